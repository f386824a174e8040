//! Which server's programs go with which major version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::origin::Error;
use crate::process;
use crate::settings::ServerPrograms;

/// The folder whose `postgres` is of this major version.
pub(crate) fn of(programs: &ServerPrograms, major: u32, whose: &str) -> Result<PathBuf, Error> {
    let mut others = Vec::new();
    for (_, folder) in programs.folders() {
        match version(&folder.join("postgres")) {
            Ok(found) if found == major => return Ok(folder.to_owned()),
            Ok(found) => others.push(format!("{} is {found}", folder.display())),
            Err(error) => others.push(crate::error_chain(&error)),
        }
    }
    Err(Error::Unfit(format!(
        "{whose} is PostgreSQL {major} and postgresBin names no server of that major version ({}): add the folder of its programs",
        others.join("; ")
    )))
}

impl ServerPrograms {
    /// The major versions, as the programs or else the settings say.
    pub(crate) fn versions(&self) -> Vec<u32> {
        let all = self.folders();
        all.filter_map(|(named, folder)| version(&folder.join("postgres")).ok().or(named))
            .collect()
    }
}

/// The major version of a program. It is asked once, and again when its file is another.
pub(crate) fn version(program: &Path) -> Result<u32, Error> {
    static KNOWN: Mutex<BTreeMap<PathBuf, (SystemTime, u32)>> = Mutex::new(BTreeMap::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let changed = std::fs::metadata(program).and_then(|file| file.modified());
    if let (Ok(changed), Some(found)) = (&changed, known().get(program))
        && found.0 == *changed
    {
        return Ok(found.1);
    }
    let text = process::run(process::command(program).arg("--version"))?;
    let major = major(&text)
        .ok_or_else(|| Error::Unfit(format!("cannot read the version from {:?}", text.trim())))?;
    if let Ok(changed) = changed {
        known().insert(program.to_owned(), (changed, major));
    }
    Ok(major)
}

/// `pg_basebackup (PostgreSQL) 17.2 (Debian 17.2-1)` is 17.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_distribution_read() {
        assert_eq!(
            major("pg_basebackup (PostgreSQL) 17.2 (Debian 17.2-1.pgdg120+1)"),
            Some(17)
        );
        assert_eq!(major("postgres (PostgreSQL) 16.9\n"), Some(16));
        assert_eq!(major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major("mysqld 8"), None);
    }

    #[test]
    fn the_folder_of_the_sources_version_is_taken_or_all_are_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let folder = |version: u32| {
            let folder = dir.path().join(version.to_string());
            std::fs::create_dir(&folder).unwrap();
            let program = folder.join("postgres");
            let text = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}.3'\n");
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            (version, folder)
        };
        let programs: ServerPrograms = [folder(16), folder(17)].into_iter().collect();
        assert_eq!(of(&programs, 17, "x").unwrap(), dir.path().join("17"));
        let said = of(&programs, 15, "source x").unwrap_err().to_string();
        assert!(
            said.contains("source x is PostgreSQL 15")
                && said.contains("16 is 16")
                && said.contains("17 is 17"),
            "{said}"
        );
    }
}
