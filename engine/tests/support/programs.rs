//! Programs of a real PostgreSQL for tests: named by the environment, or those of the local stack's image.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// postgres refuses to run as root.
const NOBODY: &str = "65534";

/// The server's programs.
fn server() -> Option<PathBuf> {
    if let Some(bin) = std::env::var_os("VDB_TEST_POSTGRES_BIN") {
        return Some(bin.into());
    }
    let mut roots: Vec<PathBuf> = std::fs::read_dir(cache()?)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().contains("/rootfs-postgres-"))
        .map(|path| path.join("root/usr/lib/postgresql/16/bin"))
        .filter(|bin| bin.join("postgres").exists())
        .collect();
    roots.sort();
    roots.pop()
}

pub(crate) fn cache() -> Option<PathBuf> {
    if let Some(cache) = std::env::var_os("VDB_CACHE") {
        return Some(cache.into());
    }
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    Some(base.or_else(home)?.join("postgres-vdb-platform"))
}

/// psql and pg_basebackup. Those of the image want its own C library: they run by way of scripts in `dir`.
pub(crate) fn client(bin: &Path, dir: &Path) -> PathBuf {
    if let Some(bin) = std::env::var_os("VDB_TEST_CLIENT_BIN") {
        return bin.into();
    }
    if bin.join("psql").exists() {
        return bin.to_owned();
    }
    let scripts = dir.join("client");
    if scripts.exists() {
        return scripts;
    }
    std::fs::create_dir(&scripts).unwrap();
    let root = bin.ancestors().nth(5).unwrap().display();
    let libraries = format!("{root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu");
    for name in ["psql", "pg_basebackup", "pg_verifybackup", "pg_receivewal"] {
        let script = scripts.join(name);
        let text = format!(
            "#!/bin/sh\nexec {root}/lib64/ld-linux-x86-64.so.2 --library-path {libraries} --argv0 {name} {root}/usr/lib/postgresql/17/bin/{name} \"$@\"\n"
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    scripts
}

/// A folder of links to them, each of which a test may put a program of its own in the place of.
pub(crate) fn client_links(bin: &Path, dir: &Path) -> PathBuf {
    let links = dir.join("client-links");
    if !links.exists() {
        std::fs::create_dir(&links).unwrap();
        for program in std::fs::read_dir(client(bin, dir)).unwrap() {
            let program = program.unwrap();
            std::os::unix::fs::symlink(program.path(), links.join(program.file_name())).unwrap();
        }
    }
    links
}

/// As another number for the same user if that is root: the test runs again.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so aloud")]
pub(crate) fn as_nobody(name: &str, test: fn(&Path)) {
    let Some(bin) = server() else {
        println!(
            "SKIPPED: neither VDB_TEST_POSTGRES_BIN is set nor has the local stack built its image"
        );
        return;
    };
    let me = std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m));
    if me.unwrap() != 0 {
        return test(&bin);
    }
    // Programs in root's own folders are for that user alone; a chroot, though, allows no namespace of users.
    let mut again = if std::env::var_os("VDB_TEST_POSTGRES_BIN").is_some() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY]);
        command.args(["--clear-groups", "--bounding-set=-all"]);
        command
    } else {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-user", NOBODY, "--map-group", NOBODY, "--"]);
        command
    };
    let status = again
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .status()
        .unwrap();
    assert!(status.success());
}

pub(crate) fn run(program: &Path, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", program.display());
}

/// Makes the data of a source, whose superuser is `boss`.
pub(crate) fn initdb(bin: &Path, data: &Path, more: &[&str]) {
    let usual = ["-U", "boss", "-A", "trust", "--locale=C.UTF-8"];
    let place = ["-E", "UTF8", "--no-sync", "-D", data.to_str().unwrap()];
    run(&bin.join("initdb"), &[&usual[..], more, &place].concat());
}

/// `tls.crt` and `tls.key` for 127.0.0.1, trusted by nobody.
pub(crate) fn certificate(dir: &Path) {
    let at = |name: &str| dir.join(name).display().to_string();
    run(
        Path::new("openssl"),
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=engine",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &at("tls.key"),
            "-out",
            &at("tls.crt"),
        ],
    );
}
