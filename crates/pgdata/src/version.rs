//! `PG_VERSION`: the major version that wrote the files.

use std::path::Path;
use std::{fmt, fs, io};

#[derive(Debug)]
pub enum Error {
    /// There is no database here.
    Empty,
    Unreadable(io::Error),
    Malformed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the directory holds no database: PG_VERSION is missing",
            Self::Unreadable(_) => "cannot read PG_VERSION",
            Self::Malformed => "PG_VERSION holds no version number",
        })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(source) => Some(source),
            Self::Empty | Self::Malformed => None,
        }
    }
}

/// The major version of the data, for example 16.
pub fn major(pgdata: &Path) -> Result<u32, Error> {
    match fs::read_to_string(pgdata.join("PG_VERSION")) {
        Ok(text) => text.trim().parse().map_err(|_| Error::Malformed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Empty),
        Err(error) => Err(Error::Unreadable(error)),
    }
}
