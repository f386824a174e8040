//! One request and its answer: key, body, limits, and what a failure is.

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, wrong};
use crate::CLIENT_NAME_HEADER;
use crate::error::{Error, sentence, unreadable};
use crate::types::{Job, JobAnswer, Page, SearchBody};

/// A page of the largest size (1000 objects) stays far below this; more is not the API that we know.
const LARGEST_ANSWER: usize = 64 << 20;

/// A call as it is repeated after a change of the key.
struct Call<'a> {
    method: Method,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    body: Option<serde_json::Value>,
}

impl Client {
    pub(super) async fn search<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &str,
        sort: Option<&str>,
        limit: u16,
    ) -> Result<Page<T>, Error> {
        self.search_from(path, filter, (sort, None), limit).await
    }

    /// The page that begins at a cursor of the page before it.
    pub(super) async fn search_from<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &str,
        (sort, cursor): (Option<&str>, Option<&str>),
        limit: u16,
    ) -> Result<Page<T>, Error> {
        let body = SearchBody {
            filter_expression: (!filter.is_empty()).then(|| filter.to_owned()),
        };
        let limit = limit.clamp(1, 1000).to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(sort.filter(|s| !s.is_empty()).map(|sort| ("sort", sort)));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.call(&Call {
            method: Method::POST,
            path,
            query: &query,
            body: Some(json(&body)),
        })
        .await
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        self.call(&Call {
            method: Method::GET,
            path,
            query,
            body: None,
        })
        .await
    }

    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.call(&Call {
            method: Method::POST,
            path,
            query: &[],
            body: Some(json(body)),
        })
        .await
    }

    pub(super) async fn action(&self, path: &str, body: &impl Serialize) -> Result<Job, Error> {
        let answer: JobAnswer = self.write(path, body).await?;
        answer.job.ok_or_else(|| Error::Malformed {
            call: format!("POST {path}"),
            why: "it names no job".to_owned(),
        })
    }

    /// Whatever a success says beside its status is of no interest: some say nothing.
    pub(super) async fn remove(&self, path: &str) -> Result<(), Error> {
        let call = Call {
            method: Method::DELETE,
            path,
            query: &[],
            body: None,
        };
        self.exchange(&call).await.map(|_| ())
    }

    async fn call<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Error> {
        let (body, key) = self.exchange(call).await?;
        serde_json::from_slice(&body).map_err(|e| Error::Malformed {
            call: format!("{} {}", call.method, call.path),
            why: unreadable(&body, &e).replace(&key, "…"),
        })
    }

    /// The answer's body, and the key that it may repeat. A key that was refused is read again and tried once more if it
    /// has changed: nothing was done under the old one.
    async fn exchange(&self, call: &Call<'_>) -> Result<(Vec<u8>, String), Error> {
        let key = self.key().await?;
        let (mut status, mut body) = self.send(call, &key).await?;
        if status == StatusCode::UNAUTHORIZED {
            let again = self.key().await?;
            if again != key {
                (status, body) = self.send(call, &again).await?;
            }
        }
        if !status.is_success() {
            return Err(Error::Refused {
                call: format!("{} {}", call.method, call.path),
                status: status.as_u16(),
                message: sentence(&body).replace(&key, "…"),
            });
        }
        Ok((body, key))
    }

    async fn send(&self, call: &Call<'_>, key: &str) -> Result<(StatusCode, Vec<u8>), Error> {
        let name = || format!("{} {}", call.method, call.path);
        let unreachable = |source: reqwest::Error| Error::Unreachable {
            call: name(),
            source: source.without_url(),
        };
        let mut authorization = HeaderValue::from_str(&format!("apk {key}")).map_err(|_| {
            wrong(format!(
                "{} holds more than a key",
                self.api_key_file.display()
            ))
        })?;
        authorization.set_sensitive(true);
        let mut request = self
            .http
            .request(call.method.clone(), format!("{}{}", self.base, call.path))
            .header(AUTHORIZATION, authorization)
            .header(CLIENT_NAME_HEADER, self.name.clone())
            .query(call.query);
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            if body.len() + part.len() > LARGEST_ANSWER {
                return Err(Error::Malformed {
                    call: name(),
                    why: "it is larger than 64 MiB".to_owned(),
                });
            }
            body.extend_from_slice(&part);
        }
        Ok((status, body))
    }

    async fn key(&self) -> Result<String, Error> {
        let text = tokio::fs::read_to_string(&self.api_key_file)
            .await
            .map_err(|source| Error::Key {
                path: self.api_key_file.clone(),
                source,
            })?;
        let key = text.trim();
        // People store the whole header value too.
        let key = key.strip_prefix("apk ").unwrap_or(key).trim();
        if key.is_empty() {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is empty");
            return Err(Error::Key {
                path: self.api_key_file.clone(),
                source,
            });
        }
        Ok(key.to_owned())
    }
}

fn json(body: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(body).expect("wire types are plain structs with text keys")
}
