//! Reads that cost nothing where nothing has changed: the answer is kept with its ETag and asked for again with
//! `If-None-Match`. A server that sends no ETag is simply read anew.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Answer, Error};

/// Only a handful of addresses is read again and again.
const MOST: usize = 64;

/// Answers by address.
#[derive(Debug, Default)]
pub struct Kept(Mutex<HashMap<String, (String, Vec<u8>)>>);

impl Kept {
    /// Sends the request, which must be a GET, as a conditional one where an answer is kept.
    pub async fn send(
        &self,
        http: &reqwest::Client,
        server: &str,
        address: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, Error> {
        let kept = self.get(address);
        let request = match &kept {
            Some((etag, _)) => request.header("if-none-match", etag),
            None => request,
        };
        let mut answer = super::send(http, server, request).await?;
        match (answer.status, kept) {
            (304, Some((_, body))) => {
                answer.status = 200;
                answer.body = body;
            }
            (200, _) => self.keep(address, &answer),
            _ => {}
        }
        Ok(answer)
    }

    fn get(&self, address: &str) -> Option<(String, Vec<u8>)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(address).cloned()
    }

    fn keep(&self, address: &str, answer: &Answer) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let etag = answer
            .headers
            .get("etag")
            .and_then(|etag| etag.to_str().ok());
        match etag {
            Some(etag) => {
                if kept.len() >= MOST && !kept.contains_key(address) {
                    kept.clear();
                }
                kept.insert(address.to_owned(), (etag.to_owned(), answer.body.clone()));
            }
            None => {
                kept.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::header;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::web;

    #[tokio::test]
    async fn an_answer_with_an_etag_is_not_sent_twice() {
        let server = MockServer::start().await;
        Mock::given(header("if-none-match", "\"v1\""))
            .respond_with(ResponseTemplate::new(304))
            .with_priority(1)
            .expect(2)
            .mount(&server)
            .await;
        let whole = ResponseTemplate::new(200)
            .insert_header("etag", "\"v1\"")
            .set_body_string("head");
        Mock::given(wiremock::matchers::any())
            .respond_with(whole)
            .with_priority(2)
            .expect(1)
            .mount(&server)
            .await;
        let (http, kept) = (web::client().unwrap(), Kept::default());
        for _ in 0..3 {
            let answer = kept
                .send(&http, "the forge", "/head", http.get(server.uri()))
                .await
                .unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"head"[..]));
        }
    }

    #[tokio::test]
    async fn a_server_without_etags_is_read_anew() {
        let server = MockServer::start().await;
        Mock::given(wiremock::matchers::any())
            .respond_with(ResponseTemplate::new(200).set_body_string("x"))
            .expect(2)
            .mount(&server)
            .await;
        let (http, kept) = (web::client().unwrap(), Kept::default());
        for _ in 0..2 {
            kept.send(&http, "the forge", "/head", http.get(server.uri()))
                .await
                .unwrap();
        }
    }
}
