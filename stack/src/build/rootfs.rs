//! Root folders from Debian packages: one with PostgreSQL for databases, engine and source, a small one for the rest.
//!
//! Debian trixie, because its pg_basebackup and psql serve a 16.9 server, which older ones do not.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::postgres;
use crate::cache::{self, Cache};
use crate::command::{logged, program, run};
use crate::console::Progress;
use crate::files;

const SUITE: &str = "trixie";
/// Bump when a recipe below changes.
const RECIPE: &[u8] = b"4";

/// An image's lowest layer: `root.tar`, its digest, and (where it is also run on the node) the folder `root`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rootfs {
    pub folder: PathBuf,
    pub digest: String,
}

impl Rootfs {
    pub(crate) fn tar(&self) -> PathBuf {
        self.folder.join("root.tar")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn open(folder: PathBuf) -> Result<Self> {
        let digest = std::fs::read_to_string(folder.join("digest"))?;
        Ok(Self { folder, digest })
    }
}

/// PostgreSQL 16 server, PostgreSQL 17 client programs, btrfs, two locales, user postgres = 999:999.
pub(crate) async fn postgres(progress: Progress, cache: &Cache) -> Result<Rootfs> {
    let key = files::key(&[b"3", SUITE.as_bytes(), postgres::VERSION.as_bytes()]);
    let folder = cache
        .once("rootfs-postgres", &key, |into| async move {
            progress.step("making the PostgreSQL root folder (Debian packages, Maven)");
            let work = into.join("work");
            let server = work.join("server");
            postgres::unpack(&server, &work).await?;
            let hooks = [
                "chroot \"$1\" localedef -i en_US -f UTF-8 en_US.UTF-8".to_owned(),
                "chroot \"$1\" groupadd -g 999 postgres".to_owned(),
                "chroot \"$1\" useradd -u 999 -g 999 -d /var/lib/postgresql -s /bin/bash postgres 2>/dev/null".to_owned(),
                format!("mkdir -p \"$1/usr/lib/postgresql/16\" && cp -a {}/. \"$1/usr/lib/postgresql/16/\"", server.display()),
                "mkdir -p \"$1/pool\" \"$1/mnt/postgres\" \"$1/var/lib/postgresql/data\"".to_owned(),
                "chown -R 999:999 \"$1/pool\" \"$1/mnt/postgres\" \"$1/var/lib/postgresql\"".to_owned(),
            ];
            let packages = "postgresql-client-17,btrfs-progs,locales,ca-certificates";
            bootstrap(&into, "minbase", packages, &hooks).await?;
            std::fs::create_dir(into.join("root"))?;
            run(program("tar").args(["--numeric-owner", "-xpf"]).arg(into.join("root.tar")).arg("-C").arg(into.join("root")))
                .await?;
            cache::remove(&work)
        })
        .await?;
    Rootfs::open(folder)
}

/// The C library and certificates, for one program that is added as a layer.
pub(crate) async fn small(progress: Progress, cache: &Cache) -> Result<Rootfs> {
    let key = files::key(&[RECIPE, SUITE.as_bytes()]);
    let folder = cache
        .once("rootfs-small", &key, |into| async move {
            progress.step("making the small root folder (Debian packages)");
            // Nothing is configured in this variant, so the bundle is put together here.
            let hooks = ["mkdir -p \"$1/etc/ssl/certs\" \"$1/tmp\" && chmod 1777 \"$1/tmp\" && \
                 cat \"$1\"/usr/share/ca-certificates/mozilla/*.crt > \"$1/etc/ssl/certs/ca-certificates.crt\" && \
                 rm -rf \"$1/usr/share/ca-certificates\" && printf 'root:x:0:0::/:/sbin/nologin\\nvdb:x:65532:65532::/:/sbin/nologin\\n' > \"$1/etc/passwd\""
                .to_owned()];
            bootstrap(&into, "extract", "base-files,libc6,libgcc-s1,ca-certificates", &hooks).await
        })
        .await?;
    Rootfs::open(folder)
}

async fn bootstrap(into: &Path, variant: &str, packages: &str, hooks: &[String]) -> Result<()> {
    let sources = into.join("debian.sources");
    std::fs::write(&sources, sources_for(SUITE)?)?;
    let log = into.join("mmdebstrap.log");
    let mut command = program("mmdebstrap");
    command.args([
        "--mode=root",
        &format!("--variant={variant}"),
        &format!("--include={packages}"),
    ]);
    for excluded in ["doc/*", "man/*", "locale/*", "info/*"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{excluded}"));
    }
    // The variant that only extracts runs no later hook than this one.
    let moment = if variant == "extract" {
        "extract"
    } else {
        "customize"
    };
    for hook in hooks {
        command.arg(format!("--{moment}-hook={hook}"));
    }
    // perl is there for pg_wrapper only, which the PATH of the images goes around; perl-base stays.
    let clean = "rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/var/cache/apt/* \"$1\"/var/log/* \
         \"$1\"/usr/share/perl \"$1\"/usr/lib/x86_64-linux-gnu/perl";
    command.arg(format!("--{moment}-hook={clean}"));
    command.arg(SUITE).arg(into.join("root.tar")).arg(&sources);
    logged(&mut command, &log).await?;
    std::fs::write(into.join("digest"), files::digest(&into.join("root.tar"))?)?;
    Ok(())
}

/// The machine's own sources with the suite changed: its mirror and its keyring are the ones that work here.
fn sources_for(suite: &str) -> Result<String> {
    let release = std::fs::read_to_string("/etc/os-release")?;
    let own = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release names no Debian release")?;
    let deb822 = Path::new("/etc/apt/sources.list.d/debian.sources");
    let text = if deb822.is_file() {
        std::fs::read_to_string(deb822)?
    } else {
        std::fs::read_to_string("/etc/apt/sources.list")
            .context("no Debian sources on this machine")?
    };
    Ok(text.replace(own, suite))
}
