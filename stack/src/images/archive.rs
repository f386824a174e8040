//! The same images as OCI archives in a folder, for a registry: a person pushes them with a tool of their own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Image, Layout};

/// Writes `<folder>/<last part of the name>.tar`. A file of that name is replaced when the new one is complete.
pub(crate) async fn write(image: &Image, folder: &Path) -> Result<PathBuf> {
    let path = folder.join(file_name(image.name));
    let new = path.with_extension("tar.new");
    let cannot = || format!("cannot write {}", new.display());
    let mut file = tokio::fs::File::create(&new).await.with_context(cannot)?;
    Layout::of(image)?
        .write(&mut file, &[])
        .await
        .with_context(cannot)?;
    file.sync_all().await.with_context(cannot)?;
    std::fs::rename(&new, &path).with_context(cannot)?;
    Ok(path)
}

/// "docker.io/postgres-vdb-platform/operator:local" becomes "operator.tar".
fn file_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    format!("{}.tar", last.split(':').next().unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// The files of a tar, read here: another test of this package reaps every child process, `tar` too.
    fn unpacked(archive: &Path) -> BTreeMap<String, Vec<u8>> {
        let bytes = std::fs::read(archive).unwrap();
        let mut files = BTreeMap::new();
        let mut at = 0;
        while bytes[at] != 0 {
            let text = |from: usize, to: usize| {
                let field = std::str::from_utf8(&bytes[at + from..at + to]).unwrap();
                field.trim_end_matches('\0').to_owned()
            };
            let size = usize::from_str_radix(&text(124, 136), 8).unwrap();
            let content = bytes[at + 512..at + 512 + size].to_vec();
            files.insert(text(0, 100), content);
            at += 512 + size.div_ceil(512) * 512;
        }
        files
    }

    #[tokio::test]
    async fn every_blob_of_an_archive_has_the_digest_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "a program").unwrap();
        let image = Image {
            name: "docker.io/postgres-vdb-platform/operator:local",
            base: None,
            files: vec![(program, "usr/local/bin/program")],
            config: json!({"User": "65532:65532"}),
        };
        let path = write(&image, folder.path()).await.unwrap();
        assert_eq!(path, folder.path().join("operator.tar"));
        let files = unpacked(&path);
        let json = |name: &str| serde_json::from_slice::<Value>(&files[name]).unwrap();
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"]
                .as_str()
                .unwrap()
                .strip_prefix("sha256:")
                .unwrap();
            let name = format!("blobs/sha256/{digest}");
            assert_eq!(hex::encode(Sha256::digest(&files[&name])), digest);
            assert_eq!(descriptor["size"], files[&name].len());
            name
        };
        assert_eq!(json("oci-layout")["imageLayoutVersion"], "1.0.0");
        let index = json("index.json");
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        let manifest = json(&blob(&index["manifests"][0]));
        let config = json(&blob(&manifest["config"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        let layer = &manifest["layers"][0];
        blob(layer);
        assert_eq!(config["rootfs"]["diff_ids"][0], layer["digest"]);
    }
}
