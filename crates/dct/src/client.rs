//! The typed client. One request per method; what to do about a failure is the caller's decision.

mod renewal;
mod transport;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::HeaderValue;

use crate::BASE_PATH;
use crate::error::{Error, clean};
use crate::types::{
    DSource, DeleteVdb, DisableVdb, EnableVdb, Engine, Environment, Job, LinkAnswer, LinkAppdata,
    Page, ProductInfo, ProvisionAnswer, ProvisionBySnapshot, Snapshot, Source, TagsBody, Vdb,
};

#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Scheme, host and port, without `/dct/v3`.
    pub url: String,
    /// Holds the key alone. Read at every call, so that a rotated key is used at once.
    pub api_key_file: PathBuf,
    /// How this client calls itself.
    pub client_name: String,
    pub timeout: Duration,
    /// For towers with their own certificate authority, as PEM.
    pub ca_file: Option<PathBuf>,
}

impl ClientSettings {
    /// Thirty seconds: the tower answers an action at once and works in a job.
    pub fn new(
        url: impl Into<String>,
        api_key_file: impl Into<PathBuf>,
        client_name: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            api_key_file: api_key_file.into(),
            client_name: client_name.into(),
            timeout: Duration::from_secs(30),
            ca_file: None,
        }
    }
}

/// Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    api_key_file: PathBuf,
    name: HeaderValue,
}

impl Client {
    pub fn new(settings: ClientSettings) -> Result<Self, Error> {
        let url = reqwest::Url::parse(&settings.url)
            .map_err(|e| wrong(format!("url {:?}: {e}", clean(&settings.url))))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong(format!(
                "url {:?} is not http:// or https:// with a host",
                clean(&settings.url)
            )));
        }
        let client_name = HeaderValue::from_str(&settings.client_name)
            .map_err(|_| wrong("the client name is not printable ASCII".to_owned()))?;
        let mut builder = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(Duration::from_secs(5)))
            // A redirect would carry the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("postgres-vdb-platform/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.ca_file {
            let pem = std::fs::read(path)
                .map_err(|e| wrong(format!("ca file {}: {e}", path.display())))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| wrong(format!("ca file {} holds no certificate", path.display())))?;
            builder = certificates
                .into_iter()
                .fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        if url.scheme() == "http" {
            // Otherwise an image without certificates could not even talk to a tower that needs none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|e| wrong(format!("http client: {e}")))?;
        let base = format!("{}{BASE_PATH}", url.as_str().trim_end_matches('/'));
        Ok(Self {
            http,
            base,
            api_key_file: settings.api_key_file,
            name: client_name,
        })
    }

    pub async fn product_info(&self) -> Result<ProductInfo, Error> {
        self.read("/reporting/product_info", &[]).await
    }

    pub async fn engines(&self) -> Result<Page<Engine>, Error> {
        self.read("/management/engines", &[]).await
    }

    pub async fn search_vdbs(&self, filter: &str, limit: u16) -> Result<Page<Vdb>, Error> {
        self.search("/vdbs/search", filter, None, limit).await
    }

    /// All that match, page by page; the answer's cursor is that of the first page that was not asked for any more.
    pub async fn search_all_vdbs(&self, filter: &str, pages: usize) -> Result<Page<Vdb>, Error> {
        let mut all: Page<Vdb> = self.search("/vdbs/search", filter, None, 1000).await?;
        for _ in 1..pages {
            let Some(cursor) = all.next_cursor().map(str::to_owned) else {
                break;
            };
            let next: Page<Vdb> = self
                .search_from("/vdbs/search", filter, (None, Some(&cursor)), 1000)
                .await?;
            all.items.extend(next.items);
            all.errors.extend(next.errors);
            all.response_metadata = next.response_metadata;
        }
        Ok(all)
    }

    /// `None`: there is no such VDB.
    pub async fn vdb(&self, id: &str) -> Result<Option<Vdb>, Error> {
        absent(self.read(&format!("/vdbs/{}", segment(id)), &[]).await)
    }

    pub async fn provision_by_snapshot(
        &self,
        request: &ProvisionBySnapshot,
    ) -> Result<ProvisionAnswer, Error> {
        self.write("/vdbs/provision_by_snapshot", request).await
    }

    pub async fn enable(&self, id: &str, request: &EnableVdb) -> Result<Job, Error> {
        self.action(&format!("/vdbs/{}/enable", segment(id)), request)
            .await
    }

    pub async fn disable(&self, id: &str, request: &DisableVdb) -> Result<Job, Error> {
        self.action(&format!("/vdbs/{}/disable", segment(id)), request)
            .await
    }

    /// `None`: it is gone already.
    pub async fn delete_vdb(&self, id: &str, request: &DeleteVdb) -> Result<Option<Job>, Error> {
        absent(
            self.action(&format!("/vdbs/{}/delete", segment(id)), request)
                .await,
        )
    }

    pub async fn add_tags(&self, id: &str, tags: &TagsBody) -> Result<TagsBody, Error> {
        self.write(&format!("/vdbs/{}/tags", segment(id)), tags)
            .await
    }

    pub async fn link_appdata(&self, request: &LinkAppdata) -> Result<LinkAnswer, Error> {
        self.write("/dsources/appdata", request).await
    }

    pub async fn snapshot_dsource(&self, id: &str) -> Result<Job, Error> {
        self.action(
            &format!("/dsources/{}/snapshots", segment(id)),
            &serde_json::json!({}),
        )
        .await
    }

    /// `None`: the tower does not know it (any more).
    pub async fn job(&self, id: &str) -> Result<Option<Job>, Error> {
        absent(self.read(&format!("/jobs/{}", segment(id)), &[]).await)
    }

    pub async fn search_jobs(&self, filter: &str) -> Result<Page<Job>, Error> {
        self.search("/jobs/search", filter, None, 1000).await
    }

    pub async fn search_dsources(&self, filter: &str) -> Result<Page<DSource>, Error> {
        self.search("/dsources/search", filter, None, 1000).await
    }

    pub async fn search_sources(&self, filter: &str) -> Result<Page<Source>, Error> {
        self.search("/sources/search", filter, None, 1000).await
    }

    pub async fn search_environments(&self, filter: &str) -> Result<Page<Environment>, Error> {
        self.search("/environments/search", filter, None, 1000)
            .await
    }

    /// `sort` is one field, `-field` for descending.
    pub async fn search_snapshots(
        &self,
        filter: &str,
        sort: &str,
        limit: u16,
    ) -> Result<Page<Snapshot>, Error> {
        self.search("/snapshots/search", filter, Some(sort), limit)
            .await
    }
}

fn wrong(what: String) -> Error {
    Error::Settings { what }
}

fn absent<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.class() == crate::Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An id as one path segment: it comes from a status that others can write.
fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && !id.starts_with('.'))
        {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
