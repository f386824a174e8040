//! A cluster that comes from no source.

use std::path::Path;

use crate::engine::Engine;
use crate::jobs::Error;
use crate::origin::superuser::Superuser;
use crate::{origin, process, storage};

impl Engine {
    /// Made beside its place, so that it is there whole or not at all.
    pub(crate) fn make_empty(&self, root: &Path) -> Result<(), Error> {
        if storage::exists(root) {
            return Ok(());
        }
        let mut partial = root.as_os_str().to_owned();
        partial.push(storage::PARTIAL);
        let partial = Path::new(&partial);
        self.storage.delete(partial)?;
        self.storage.create(partial)?;
        let (_, folder) = self
            .newest()
            .ok_or_else(|| Error::Failed("postgresBin names no server".to_owned()))?;
        let mut command = process::command(&folder.join("initdb"));
        // Who may connect is decided by the server's own rules; these are never used.
        command.args([
            "--username=postgres",
            "--auth=reject",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]);
        command
            .args(["--data-checksums", "--no-instructions", "-D"])
            .arg(partial.join("data"));
        process::run(&mut command).map_err(storage::Error::from)?;
        let superuser = Superuser {
            role: "postgres".to_owned(),
            database: "postgres".to_owned(),
        };
        superuser.write(partial)?;
        let data = partial.join("data");
        storage::files("sweep", &data, pgdata::harmless::sweep(&data))?;
        storage::files("rename", partial, std::fs::rename(partial, root))?;
        Ok(())
    }

    /// The programs of the newest major version.
    fn newest(&self) -> Option<(u32, &Path)> {
        let folders = self.settings.postgres_bin.folders();
        let known = folders.filter_map(|(_, folder)| {
            let version = origin::servers::version(&folder.join("postgres")).ok()?;
            Some((version, folder))
        });
        known.max_by_key(|(version, _)| *version)
    }

    /// As the server's programs call themselves; absent if they do not say.
    pub(crate) fn server_version(&self) -> Option<String> {
        let mut command = process::command(&self.newest()?.1.join("postgres"));
        let said = process::run(command.arg("--version")).ok()?;
        Some(
            said.split_once("(PostgreSQL) ")?
                .1
                .split_whitespace()
                .next()?
                .to_owned(),
        )
    }
}
