//! Where the stack is: what its `context.env` says, and the passwords in its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub(crate) struct Context {
    pub(crate) file: PathBuf,
    settings: BTreeMap<String, String>,
    pub(crate) http: reqwest::Client,
}

impl Context {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)?;
        let settings = text
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
            .map(|(key, value)| (key.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
            .collect();
        let mut context = Self {
            file: file.to_owned(),
            settings,
            http: reqwest::Client::new(),
        };
        context.http = client(context.get("VDB_FORGE_URL")?)?;
        Ok(context)
    }

    pub(crate) fn get(&self, key: &str) -> anyhow::Result<&str> {
        self.settings
            .get(key)
            .map(String::as_str)
            .with_context(|| format!("{} lacks {key}", self.file.display()))
    }

    /// A password or token of the stack; never printed.
    pub(crate) fn secret(&self, name: &str) -> anyhow::Result<String> {
        let path = Path::new(self.get("VDB_STATE_DIR")?)
            .join("secrets")
            .join(name);
        Ok(std::fs::read_to_string(&path)
            .with_context(|| format!("read {}", path.display()))?
            .trim()
            .to_owned())
    }

    /// A call of the engine, below its base path.
    pub(crate) fn engine(
        &self,
        method: reqwest::Method,
        path: &str,
    ) -> anyhow::Result<reqwest::RequestBuilder> {
        let url = format!("{}/dct/v3{path}", self.get("VDB_DCT_URL")?);
        let key = self.secret("dct.key")?;
        let call = self.http.request(method, url);
        Ok(call.header("authorization", format!("apk {key}")))
    }
}

/// A client that finds `*.localhost` on this machine, as browsers do.
fn client(forge: &str) -> anyhow::Result<reqwest::Client> {
    let url: reqwest::Url = forge.parse()?;
    let host = url.host_str().context("the forge's address has no host")?;
    let port = url
        .port_or_known_default()
        .context("the forge's address has no port")?;
    Ok(reqwest::Client::builder()
        .resolve(host, ([127, 0, 0, 1], port).into())
        .timeout(std::time::Duration::from_secs(60))
        .build()?)
}
