//! Folders with the server's programs: one, several that are asked for their versions, or one for each major version.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPrograms(Vec<(Option<u32>, PathBuf)>);

impl ServerPrograms {
    /// The folders in the order of the settings; the major version where the settings name it.
    pub fn folders(&self) -> impl Iterator<Item = (Option<u32>, &Path)> {
        self.0.iter().map(|(major, path)| (*major, path.as_path()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<PathBuf> for ServerPrograms {
    fn from(folder: PathBuf) -> Self {
        Self(vec![(None, folder)])
    }
}

impl FromIterator<(u32, PathBuf)> for ServerPrograms {
    fn from_iter<I: IntoIterator<Item = (u32, PathBuf)>>(folders: I) -> Self {
        let folders = folders.into_iter();
        Self(folders.map(|(major, path)| (Some(major), path)).collect())
    }
}

impl<'de> Deserialize<'de> for ServerPrograms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Folders)
    }
}

struct Folders;

impl<'de> Visitor<'de> for Folders {
    type Value = ServerPrograms;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a folder, a list of folders, or a folder for each major version, for example {16: /usr/lib/postgresql/16/bin}")
    }

    fn visit_str<E>(self, folder: &str) -> Result<Self::Value, E> {
        Ok(PathBuf::from(folder).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut folders = Vec::new();
        while let Some(folder) = list.next_element::<PathBuf>()? {
            folders.push((None, folder));
        }
        Ok(ServerPrograms(folders))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut folders = Vec::new();
        while let Some((major, folder)) = map.next_entry::<u32, PathBuf>()? {
            folders.push((Some(major), folder));
        }
        Ok(ServerPrograms(folders))
    }
}
