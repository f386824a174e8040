//! Reads from the forge what a verdict needs: a bounded number of small files and directories.

use environment::EnvironmentName;

use super::judge::{Content, Files, MOST_DIRECTORIES, directories, looked_at};
use super::paths::Touched;
use crate::forge::{Error, Forge};
use crate::web;

/// The touched environments as a commit of the pull request has them.
pub(super) async fn head(forge: &dyn Forge, sha: &str, touched: &Touched) -> Result<Files, Error> {
    let own = looked_at(touched).map(EnvironmentName::directory);
    let below = directories(touched).into_iter().take(MOST_DIRECTORIES);
    let mut files = Files::new();
    for directory in own.chain(below) {
        for entry in forge.list(sha, &directory).await? {
            if entry.is_link {
                files.insert(entry.path, Content::Link);
            } else if !entry.is_directory {
                files.insert(entry.path, Content::Unread);
            }
        }
    }
    for name in looked_at(touched) {
        for path in [name.values_path(), name.catalog_path()] {
            if files.get(&path) == Some(&Content::Unread) {
                put(forge, sha, path, &mut files).await?;
            }
        }
    }
    Ok(files)
}

/// The same environments on the base branch: values and catalog file.
pub(super) async fn base(forge: &dyn Forge, sha: &str, touched: &Touched) -> Result<Files, Error> {
    let mut files = Files::new();
    for name in looked_at(touched) {
        for path in [name.values_path(), name.catalog_path()] {
            put(forge, sha, path, &mut files).await?;
        }
    }
    Ok(files)
}

async fn put(forge: &dyn Forge, sha: &str, path: String, files: &mut Files) -> Result<(), Error> {
    let content = match forge.read(sha, &path).await {
        Ok(Some(text)) => Content::Text(text),
        Ok(None) => return Ok(()),
        // The file's own fault: asking again would not help.
        Err(Error::Http(error @ (web::Error::TooLarge { .. } | web::Error::Malformed { .. }))) => {
            Content::Unreadable(format!(
                "{}; write a small YAML file",
                match error {
                    web::Error::TooLarge { .. } => "it is larger than 8 MiB",
                    _ => "it is not text",
                }
            ))
        }
        Err(error) => return Err(error),
    };
    files.insert(path, content);
    Ok(())
}
