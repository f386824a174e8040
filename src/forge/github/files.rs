//! Files and directories of the repository at a commit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{GitHub, wire};
use crate::forge::{Entry, Error};
use crate::web;

/// GitHub shows no more entries of a directory by REST.
const MOST_ENTRIES: usize = 1000;

/// GitHub shows no more files of a comparison.
const MOST_COMPARED: usize = 300;

/// Git's mode of a symbolic link, as GraphQL writes it: decimal.
const SYMBOLIC_LINK: u32 = 0o120_000;

impl GitHub {
    /// What is at a path: an object for a file, a list for a directory.
    pub(super) async fn content(&self, at: &str, path: &str) -> Result<Option<Value>, Error> {
        let path = format!("/contents/{}?ref={}", web::path(path), web::segment(at));
        let answer = self.0.get(&path, &[404]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(answer.json()?))
    }

    /// All entries of a directory that is too large for REST.
    async fn large_directory(&self, at: &str, directory: &str) -> Result<Vec<Entry>, Error> {
        const QUERY: &str = "query($owner: String!, $name: String!, $expression: String!) { repository(owner: $owner, name: $name) { \
            object(expression: $expression) { ... on Tree { entries { path type mode } } } } }";
        let settings = &self.0.settings;
        let variables = json!({"owner": settings.owner, "name": settings.repository, "expression": format!("{at}:{directory}")});
        let data = self.0.ask(QUERY, &variables).await?.data("entries")?;
        let entries = data["repository"]["object"]["entries"].as_array();
        let entries = entries.into_iter().flatten().filter_map(|entry| {
            Some(Entry {
                path: entry["path"].as_str()?.to_owned(),
                is_directory: entry["type"] == "tree",
                is_link: entry["type"] == "commit" || entry["mode"] == SYMBOLIC_LINK,
            })
        });
        Ok(entries.collect())
    }

    /// The files that differ between two commits, of which the second must come after the first: GitHub compares with what
    /// both have in common, so of a history that was rewritten it does not tell all.
    pub(super) async fn files_between(
        &self,
        from: &str,
        to: &str,
    ) -> Result<Option<Vec<String>>, Error> {
        let both = format!("{}...{}", web::segment(from), web::segment(to));
        // The commits do not matter: one is the least that a page can hold. All files stand on the first page.
        let path = format!("/compare/{both}?per_page=1");
        let answer = self.0.get(&path, &[404]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let compared: wire::Comparison = answer.json()?;
        let whole = match compared.status.as_str() {
            "identical" => true,
            "ahead" => (1..MOST_COMPARED).contains(&compared.files.len()),
            _ => false,
        };
        let paths = |file: wire::ChangedFile| file.changes().into_iter().map(|change| change.path);
        Ok(whole.then(|| compared.files.into_iter().flat_map(paths).collect()))
    }

    pub(super) async fn read_file(&self, at: &str, path: &str) -> Result<Option<String>, Error> {
        let Some(found) = self.content(at, path).await? else {
            return Ok(None);
        };
        let malformed = |why: String| web::Error::Malformed {
            server: "GitHub".into(),
            call: format!("GET /contents/{path}"),
            why,
        };
        // A directory is a list.
        let Ok(file) = serde_json::from_value::<wire::Content>(found) else {
            return Ok(None);
        };
        if file.kind != "file" {
            return Ok(None);
        }
        if file.encoding != "base64" {
            return Err(malformed("the file is larger than 1 MiB".into()).into());
        }
        let text: String = file.held.split_ascii_whitespace().collect();
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| malformed(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| malformed("it is not text".into()))?;
        Ok(Some(text))
    }

    pub(super) async fn list_directory(
        &self,
        at: &str,
        directory: &str,
    ) -> Result<Vec<Entry>, Error> {
        let entries: Vec<wire::Content> = match self.content(at, directory).await? {
            Some(Value::Array(entries)) if entries.len() >= MOST_ENTRIES => {
                return self.large_directory(at, directory).await;
            }
            Some(Value::Array(entries)) => {
                serde_json::from_value(entries.into()).map_err(|error| web::Error::Malformed {
                    server: "GitHub".into(),
                    call: format!("GET /contents/{directory}"),
                    why: error.to_string(),
                })?
            }
            _ => Vec::new(),
        };
        Ok(entries
            .into_iter()
            .map(|entry| Entry {
                is_directory: entry.kind == "dir",
                is_link: entry.is_link(),
                path: entry.path,
            })
            .collect())
    }
}
