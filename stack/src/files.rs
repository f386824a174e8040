//! Small file work: write only on change, secrets, content keys.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Writes the file unless it has this content already (kube-proxy exits when its configuration is rewritten).
pub(crate) fn put(path: &Path, content: &str) -> Result<bool> {
    put_mode(path, content, 0o644)
}

/// As [`put`], readable by root alone.
pub(crate) fn put_private(path: &Path, content: &str) -> Result<bool> {
    put_mode(path, content, 0o600)
}

fn put_mode(path: &Path, content: &str, mode: u32) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == content.as_bytes()) {
        return Ok(false);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(content.as_bytes())?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// A random secret that is made once and kept in a file of mode 600.
pub(crate) fn secret(path: &Path) -> Result<String> {
    if let Ok(text) = fs::read_to_string(path) {
        return Ok(text);
    }
    let mut random = [0_u8; 20];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let text = hex::encode(random);
    put_private(path, &text)?;
    Ok(text)
}

pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// The digest of a file, as `sha256:…` of OCI without its prefix.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file =
        fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hex::encode(hasher.finalize()))
}

/// A short key over texts, for folders of the cache.
pub(crate) fn key(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex::encode(hasher.finalize())[..12].to_owned()
}

/// Every file below the folders, sorted, without what other tools generate.
pub(crate) fn tree(roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = roots.to_vec();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let name = entry.file_name();
                if !["node_modules", "dist", "dist-types", "db", ".git"]
                    .iter()
                    .any(|skip| name == *skip)
                {
                    open.push(entry.path());
                }
            }
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A key over the content of files and folders.
pub(crate) fn tree_key(roots: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new();
    for path in tree(roots)? {
        hasher.update(path.to_string_lossy().as_bytes());
        hasher.update(fs::read(&path)?);
    }
    Ok(hex::encode(hasher.finalize())[..12].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_the_same_content_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.yaml");
        assert!(put(&path, "x").unwrap());
        assert!(!put(&path, "x").unwrap());
        assert!(put(&path, "y").unwrap());
    }

    #[test]
    fn a_secret_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let first = secret(&path).unwrap();
        assert_eq!(first.len(), 40);
        assert_eq!(secret(&path).unwrap(), first);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn keys_depend_on_the_boundaries_of_their_parts() {
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
    }
}
