//! The source: a PostgreSQL server on the node, from the same root folder as the copies, so C library and ICU agree.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rustix::mount::{MountFlags, mount};

use crate::command::{feed, output, program, run};
use crate::files;
use crate::instance::{Instance, SOURCE};
use crate::steps::{Inside, Service};
use crate::supervisor::mounts::{bind, tmpfs};
use crate::wait;

const CONFIGURATION: &str = include_str!("../../source/postgresql.conf");
const ACCESS: &str = include_str!("../../source/pg_hba.conf");
/// What differs between instances: passwords, and everything that holds one.
const CONNECTIONS: &str = include_str!("../../source/connections.sql");
const PATH: &str = "PATH=/usr/lib/postgresql/16/bin:/usr/lib/postgresql/17/bin:/usr/bin:/bin";
const ROLES: [&str; 4] = ["app", "reporting", "vdb_replicator", "rates_subscriber"];

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let data = instance.path("source/data");
    if !data.exists() {
        copy_data(&inside.order.built.source_data.join("data"), &data).await?;
        inside.progress.step("source data copied");
    }
    let root = prepare_root(inside, &data)?;
    let mut args = vec![
        "--userspec=999:999".to_owned(),
        root.display().to_string(),
        "env".into(),
        "-i".into(),
    ];
    args.extend([PATH.to_owned(), "LANG=C.UTF-8".into(), "postgres".into()]);
    args.extend(["-D".into(), "/var/lib/postgresql/data".into()]);
    // SIGTERM waits for clients; they are ours and may be cut off when the grace is over.
    inside
        .start(
            Service::new("source", "/usr/sbin/chroot")
                .args(args)
                .grace(5),
        )
        .await?;
    let log = instance.log("source");
    wait::until("the source PostgreSQL", 60, Some(&log), || {
        sql(&root, "largedb", "SELECT 1")
    })
    .await?;
    connect(instance, &root).await?;
    inside
        .progress
        .step(&format!("source PostgreSQL ready at {SOURCE}:5432"));
    Ok(())
}

async fn copy_data(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    crate::cache::remove(&new)?;
    files::make_dir(new.parent().unwrap_or(&new), 0o755)?;
    run(program("cp")
        .args(["--archive", "--reflink=auto", "--sparse=never"])
        .arg(from)
        .arg(&new))
    .await?;
    // Outside the data directory's SQL, these are the instance's.
    for (name, text) in [("postgresql.conf", CONFIGURATION), ("pg_hba.conf", ACCESS)] {
        let path = new.join(name);
        fs::write(&path, text)?;
        std::os::unix::fs::chown(&path, Some(999), Some(999))?;
    }
    Ok(fs::rename(&new, to)?)
}

/// The shared root folder, with the instance's data, archive and devices mounted in it.
fn prepare_root(inside: &Inside, data: &Path) -> Result<PathBuf> {
    let root = inside.instance.path("source/root");
    if root.join("usr").exists() {
        return Ok(root);
    }
    let archive = inside.instance.path("source/archive");
    files::make_dir(&archive, 0o700)?;
    std::os::unix::fs::chown(&archive, Some(999), Some(999))?;
    fs::create_dir_all(&root)?;
    bind(&inside.order.built.postgres.root(), &root)?;
    bind(data, &root.join("var/lib/postgresql/data"))?;
    bind(&archive, &root.join("mnt/postgres"))?;
    bind(Path::new("/dev"), &root.join("dev"))?;
    bind(Path::new("/dev/shm"), &root.join("dev/shm"))?;
    mount("proc", root.join("proc"), "proc", MountFlags::empty(), None)?;
    tmpfs(&root.join("tmp"), c"mode=1777")?;
    Ok(root)
}

fn psql(root: &Path, database: &str) -> tokio::process::Command {
    let mut psql = program("chroot");
    psql.arg("--userspec=999:999").arg(root).args([
        "env", "-i", PATH, "psql", "-qAtX", "-h", "/tmp", "-U", "postgres",
    ]);
    psql.args(["-v", "ON_ERROR_STOP=1", "-d", database]);
    psql
}

async fn sql(root: &Path, database: &str, statement: &str) -> Result<String> {
    output(psql(root, database).args(["-c", statement])).await
}

/// Passwords, the subscription and the foreign server, over standard input: an argument list is public.
async fn connect(instance: &Instance, root: &Path) -> Result<()> {
    if sql(root, "largedb", "SELECT count(*) FROM pg_subscription").await? != "0" {
        return Ok(());
    }
    let mut script = String::from("SET log_statement = 'none';\n");
    for role in ROLES {
        let password = files::secret(&instance.secret(&format!("source-{role}.password")))?;
        if !password.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            bail!("the password file of {role} was changed");
        }
        writeln!(
            script,
            "\\set {role}_password '{password}'\nALTER ROLE {role} PASSWORD :'{role}_password';"
        )?;
    }
    script.push_str(CONNECTIONS);
    feed(&mut psql(root, "largedb"), script.as_bytes())
        .await
        .map(drop)
}
