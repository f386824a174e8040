//! The portal, as far as the sidecar calls it: groups of a user, notifications, locations of the catalog.
//!
//! Each call carries a token of our own, minted for the plugin that is called.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use crate::serve::auth::SigningKey;
use crate::web::{self, Answer};

/// A message to the owner of an environment. One scope has one notification: a later one takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    /// The entity that is told.
    pub(crate) recipient: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) link: String,
    pub(crate) severity: &'static str,
    pub(crate) scope: String,
}

/// A location that the catalog reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) id: String,
    pub(crate) target: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Http(#[from] web::Error),
    #[error("the portal answered {status} to {call}: {message}")]
    Refused {
        status: u16,
        call: String,
        message: String,
    },
    #[error("cannot sign a token for the portal")]
    Sign,
}

impl From<Error> for crate::serve::error::ApiError {
    fn from(error: Error) -> Self {
        Self::down(
            &error,
            "check that the portal is up and portal.url is right",
        )
    }
}

#[async_trait]
pub(crate) trait Portal: Send + Sync {
    /// The groups that the catalog says the user is a member of; none for a user it does not know.
    async fn groups(&self, user: &str) -> Result<Vec<String>, Error>;
    async fn notify(&self, notification: &Notification) -> Result<(), Error>;
    async fn locations(&self) -> Result<Vec<Location>, Error>;
    /// Registers a location, or has the catalog read it again.
    async fn register(&self, target: &str) -> Result<(), Error>;
    async fn unregister(&self, id: &str) -> Result<(), Error>;
    /// Has the catalog read an entity again; one that it does not know is left alone.
    async fn refresh(&self, entity: &str) -> Result<(), Error>;
}

pub(crate) struct Backstage {
    http: reqwest::Client,
    api: String,
    key: Arc<SigningKey>,
}

#[derive(Deserialize)]
struct Entity {
    #[serde(default)]
    relations: Vec<Relation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relation {
    #[serde(rename = "type")]
    kind: String,
    target_ref: String,
}

#[derive(Deserialize)]
struct LocationItem {
    data: LocationData,
}

#[derive(Deserialize)]
struct LocationData {
    id: String,
    target: String,
}

impl Backstage {
    pub(crate) fn new(http: reqwest::Client, url: &str, key: Arc<SigningKey>) -> Self {
        Self {
            http,
            api: format!("{}/api", url.trim_end_matches('/')),
            key,
        }
    }

    /// The first segment of the path is the plugin that is called: the token is for it alone.
    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<serde_json::Value>,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        let plugin = path.split(['/', '?']).next().unwrap_or_default();
        let token = self.key.token_for(plugin).map_err(|_| Error::Sign)?;
        let mut request = self
            .http
            .request(method, format!("{}/{path}", self.api))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = web::send(&self.http, "the portal", request).await?;
        if answer.is_success() || expected.contains(&answer.status) {
            return Ok(answer);
        }
        Err(Error::Refused {
            status: answer.status,
            message: answer.said(),
            call: answer.call,
        })
    }
}

#[async_trait]
impl Portal for Backstage {
    async fn groups(&self, user: &str) -> Result<Vec<String>, Error> {
        let Some((kind, namespace, name)) = parts(user) else {
            return Ok(Vec::new());
        };
        let path = format!(
            "catalog/entities/by-name/{}/{}/{}",
            web::segment(&kind),
            web::segment(&namespace),
            web::segment(&name)
        );
        let answer = self.call(reqwest::Method::GET, &path, None, &[404]).await?;
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        let entity: Entity = answer.json()?;
        Ok(entity
            .relations
            .into_iter()
            .filter(|relation| relation.kind == "memberOf")
            .map(|relation| relation.target_ref)
            .collect())
    }

    async fn notify(&self, notification: &Notification) -> Result<(), Error> {
        let body = json!({
            "recipients": {"type": "entity", "entityRef": notification.recipient},
            "payload": {
                "title": notification.title, "description": notification.description, "link": notification.link,
                "severity": notification.severity, "topic": "databases", "scope": notification.scope,
            },
        });
        self.call(reqwest::Method::POST, "notifications", Some(body), &[])
            .await?;
        Ok(())
    }

    async fn locations(&self) -> Result<Vec<Location>, Error> {
        let answer = self
            .call(reqwest::Method::GET, "catalog/locations", None, &[])
            .await?;
        let items: Vec<LocationItem> = answer.json()?;
        Ok(items
            .into_iter()
            .map(|item| Location {
                id: item.data.id,
                target: item.data.target,
            })
            .collect())
    }

    async fn register(&self, target: &str) -> Result<(), Error> {
        let body = json!({"type": "url", "target": target});
        // A version that does not know onConflict answers 409: the location is there.
        self.call(
            reqwest::Method::POST,
            "catalog/locations?onConflict=refresh",
            Some(body),
            &[409],
        )
        .await?;
        Ok(())
    }

    async fn unregister(&self, id: &str) -> Result<(), Error> {
        self.call(
            reqwest::Method::DELETE,
            &format!("catalog/locations/{}", web::segment(id)),
            None,
            &[404],
        )
        .await?;
        Ok(())
    }

    async fn refresh(&self, entity: &str) -> Result<(), Error> {
        let body = json!({"entityRef": entity});
        self.call(reqwest::Method::POST, "catalog/refresh", Some(body), &[404])
            .await?;
        Ok(())
    }
}

/// Kind, namespace and name of an entity reference whose kind is a group where it is left out.
pub(crate) fn parts(reference: &str) -> Option<(String, String, String)> {
    let (kind, rest) = reference.split_once(':').unwrap_or(("group", reference));
    let (namespace, name) = rest.split_once('/').unwrap_or(("default", rest));
    // The parts become segments of an address: `..` must not lead elsewhere.
    let whole = [kind, namespace, name].into_iter().all(is_entity_part);
    whole.then(|| {
        (
            kind.to_lowercase(),
            namespace.to_lowercase(),
            name.to_lowercase(),
        )
    })
}

/// The catalog's own rule for names.
fn is_entity_part(text: &str) -> bool {
    let ends = |text: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(text.chars().next()) && edge(text.chars().last())
    };
    text.len() <= 63
        && ends(text)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether two references name the same entity: spelling out the defaults and upper case make no difference.
pub(crate) fn same_entity(a: &str, b: &str) -> bool {
    parts(a).is_some() && parts(a) == parts(b)
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{body_partial_json, method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn portal(server: &MockServer) -> Backstage {
        let key = SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap();
        Backstage::new(web::client().unwrap(), &server.uri(), Arc::new(key))
    }

    #[test]
    fn references_are_equal_with_and_without_their_defaults() {
        assert!(same_entity("team-orders", "group:default/Team-Orders"));
        assert!(!same_entity("user:default/a", "group:default/a"));
        assert!(!same_entity("", ""));
    }

    #[tokio::test]
    async fn a_reference_cannot_lead_to_another_address() {
        let server = MockServer::start().await;
        let portal = portal(&server);
        for user in [
            "user:../../../auth",
            "user:default/..",
            "../x:default/a",
            "user:default/a/../../b",
            "user:default/a?b",
            "user:default/a#b",
            "user:default/%2e%2e",
        ] {
            assert!(portal.groups(user).await.unwrap().is_empty(), "{user}");
        }
        assert!(server.received_requests().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn groups_are_the_memberships_of_the_user() {
        let server = MockServer::start().await;
        let entity = json!({"kind": "User", "relations": [
            {"type": "memberOf", "targetRef": "group:default/team-orders"}, {"type": "ownerOf", "targetRef": "component:default/x"}
        ]});
        Mock::given(path("/api/catalog/entities/by-name/user/default/guest"))
            .respond_with(ResponseTemplate::new(200).set_body_json(entity))
            .mount(&server)
            .await;
        let portal = portal(&server);
        assert_eq!(
            portal.groups("user:default/guest").await.unwrap(),
            ["group:default/team-orders"]
        );
        assert!(
            portal
                .groups("user:default/nobody")
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn the_owner_is_told_and_locations_come_and_go() {
        let server = MockServer::start().await;
        let told = json!({"recipients": {"type": "entity", "entityRef": "group:default/a"}, "payload": {"scope": "vdb:feat-1"}});
        Mock::given(method("POST"))
            .and(path("/api/notifications"))
            .and(body_partial_json(told))
            .respond_with(ResponseTemplate::new(200))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(method("POST"))
            .and(path("/api/catalog/locations"))
            .and(query_param("onConflict", "refresh"))
            .respond_with(ResponseTemplate::new(201))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(method("GET"))
            .and(path("/api/catalog/locations"))
            .respond_with(
                ResponseTemplate::new(200)
                    .set_body_json(json!([{"data": {"id": "1", "type": "url", "target": "t"}}])),
            )
            .mount(&server)
            .await;
        let portal = portal(&server);
        let notification = Notification {
            recipient: "group:default/a".into(),
            title: "t".into(),
            description: "d".into(),
            link: "l".into(),
            severity: "normal",
            scope: "vdb:feat-1".into(),
        };
        portal.notify(&notification).await.unwrap();
        portal.register("t").await.unwrap();
        assert_eq!(
            portal.locations().await.unwrap(),
            [Location {
                id: "1".into(),
                target: "t".into()
            }]
        );
        portal.unregister("gone").await.unwrap();
        Mock::given(method("POST"))
            .and(path("/api/catalog/refresh"))
            .and(body_partial_json(
                json!({"entityRef": "resource:default/feat-1"}),
            ))
            .respond_with(ResponseTemplate::new(200))
            .expect(1)
            .mount(&server)
            .await;
        portal.refresh("resource:default/feat-1").await.unwrap();
        portal.refresh("resource:default/unknown").await.unwrap();
    }
}
