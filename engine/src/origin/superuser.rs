//! How a copy can be talked to as its superuser, kept beside its data: whoever makes a copy of a copy takes it along.
//!
//! It is a hint. Those who may do everything in a copy can make it untrue.

use std::fs;
use std::path::Path;

use crate::origin::{Error, files};

const FILE: &str = "superuser";

/// A superuser that may log in, and a database that it can connect to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Superuser {
    pub(crate) role: String,
    pub(crate) database: String,
}

impl Superuser {
    pub(crate) fn write(&self, root: &Path) -> Result<(), Error> {
        // Names that are no lines are not written: then there is no hint.
        if [&self.role, &self.database]
            .iter()
            .any(|name| name.contains(['\n', '\r']))
        {
            return Ok(());
        }
        let path = root.join(FILE);
        let text = format!("{}\n{}\n", self.role, self.database);
        files("write", &path, fs::write(&path, text))
    }

    pub(crate) fn read(root: &Path) -> Option<Self> {
        let text = fs::read_to_string(root.join(FILE)).ok()?;
        let (role, database) = text.strip_suffix('\n')?.split_once('\n')?;
        Some(Self {
            role: role.to_owned(),
            database: database.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_cannot_be_is_no_hint() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Superuser::read(dir.path()), None);
        let named = |role: &str| Superuser {
            role: role.to_owned(),
            database: "a b".to_owned(),
        };
        named("two\nlines").write(dir.path()).unwrap();
        assert_eq!(Superuser::read(dir.path()), None);
        named("it's").write(dir.path()).unwrap();
        assert_eq!(Superuser::read(dir.path()), Some(named("it's")));
        fs::write(dir.path().join(FILE), "half").unwrap();
        assert_eq!(Superuser::read(dir.path()), None);
    }
}
