use rstest::rstest;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

/// A portal that publishes the keys of two plugins and of its users.
pub(crate) struct Portal {
    /// None only while it is dropped.
    server: Option<MockServer>,
    pub(crate) scaffolder: SigningKey,
    pub(crate) users: SigningKey,
}

impl Portal {
    pub(crate) async fn start() -> Self {
        let key = || SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap();
        let server = MockServer::start().await;
        let (scaffolder, users) = (key(), key());
        for (at, key) in [
            ("/api/scaffolder/.backstage/auth/v1/jwks.json", &scaffolder),
            ("/api/auth/.well-known/jwks.json", &users),
        ] {
            Mock::given(path(at))
                .respond_with(ResponseTemplate::new(200).set_body_json(key.jwks()))
                .mount(&server)
                .await;
        }
        Self {
            server: Some(server),
            scaffolder,
            users,
        }
    }

    pub(crate) fn authenticator(&self) -> Authenticator {
        let url = self.server.as_ref().unwrap().uri();
        let portal = json!({"url": url, "plugins": ["scaffolder", "mcp-actions"]});
        Authenticator::new(
            crate::web::client().unwrap(),
            &serde_json::from_value(portal).unwrap(),
        )
    }

    /// A call of the scaffolder, on behalf of a user.
    pub(crate) fn call(&self, user: Option<&str>) -> HeaderMap {
        let obo = user.map(|user| {
            self.users
                .sign(LIMITED_USER, &json!({"sub": user, "exp": soon()}))
                .unwrap()
        });
        authorization(
            &self
                .scaffolder
                .sign(
                    PLUGIN,
                    &json!({"sub": "scaffolder", "aud": "vdb", "exp": soon(), "obo": obo}),
                )
                .unwrap(),
        )
    }

    /// A call of a signed-in user, without a plugin.
    pub(crate) fn browser(&self, user: &str) -> HeaderMap {
        let claims = json!({"sub": user, "aud": "backstage", "exp": soon()});
        authorization(&self.users.sign(USER, &claims).unwrap())
    }

    /// A recorded call's token, signed anew by this portal's keys and valid now.
    pub(crate) fn recorded(&self, token: &Value) -> String {
        let sign = |key: &SigningKey, token: &Value, obo: Option<String>| {
            let mut claims = token["claims"].clone();
            claims["exp"] = json!(soon());
            if let Some(obo) = obo {
                claims["obo"] = json!(obo);
            }
            key.sign(token["header"]["typ"].as_str().unwrap(), &claims)
                .unwrap()
        };
        let obo = &token["claims"]["obo"];
        let obo = obo.is_object().then(|| sign(&self.users, obo, None));
        sign(&self.scaffolder, token, obo)
    }
}

impl Drop for Portal {
    /// On a thread of its own: the server waits for a lock while it is dropped, and in a task that has used up its
    /// turn tokio would grant none.
    fn drop(&mut self) {
        let server = self.server.take();
        let _ = std::thread::spawn(move || drop(server)).join();
    }
}

pub(crate) fn authorization(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    headers
}

fn soon() -> i64 {
    jiff::Timestamp::now().as_second() + 600
}

#[tokio::test]
async fn a_plugin_calls_for_a_user_or_for_itself() {
    let portal = Portal::start().await;
    let authenticator = portal.authenticator();
    let caller = authenticator
        .plugin(&portal.call(Some("user:default/guest")))
        .await
        .unwrap();
    assert_eq!(
        caller,
        Caller {
            plugin: Some("scaffolder".into()),
            user: Some("user:default/guest".into())
        }
    );
    let alone = authenticator.plugin(&portal.call(None)).await.unwrap();
    assert_eq!(alone.user().unwrap_err().status, 403);
}

#[tokio::test]
async fn a_signed_in_user_reads_and_does_nothing_else() {
    let portal = Portal::start().await;
    let authenticator = portal.authenticator();
    let claims = json!({"sub": "user:default/guest", "aud": "backstage", "exp": soon()});
    let headers = authorization(&portal.users.sign(USER, &claims).unwrap());
    assert_eq!(
        authenticator
            .reader(&headers)
            .await
            .unwrap()
            .user()
            .unwrap(),
        "user:default/guest"
    );
    assert_eq!(
        authenticator.plugin(&headers).await.unwrap_err().status,
        401
    );
}

#[rstest]
#[case::another_audience(json!({"aud": "catalog"}), 401, "meant for another plugin")]
#[case::expired(json!({"exp": 1_700_000_000}), 401, "has expired")]
#[case::no_expiry(json!({"exp": null}), 401, "not valid")]
#[case::another_plugin(json!({"sub": "catalog"}), 403, "portal.plugins")]
#[case::a_path_as_plugin(json!({"sub": "../auth"}), 403, "portal.plugins")]
#[case::an_allowed_plugin_that_is_not_there(json!({"sub": "mcp-actions"}), 503, "portal.url")]
#[case::a_user_proof_of_the_plugin_itself(json!({"obo": "x.y.z"}), 401, "cannot be read")]
#[tokio::test]
async fn each_wrong_token_is_refused_with_its_reason(
    #[case] change: Value,
    #[case] status: u16,
    #[case] why: &str,
) {
    let portal = Portal::start().await;
    let mut claims = json!({"sub": "scaffolder", "aud": "vdb", "exp": soon()});
    for (key, value) in change.as_object().unwrap() {
        claims[key] = value.clone();
    }
    let headers = authorization(&portal.scaffolder.sign(PLUGIN, &claims).unwrap());
    let error = portal.authenticator().plugin(&headers).await.unwrap_err();
    assert_eq!(error.status, status, "{}", error.message);
    assert!(error.message.contains(why), "{}", error.message);
}

#[tokio::test]
async fn a_token_of_another_key_or_none_is_refused() {
    let portal = Portal::start().await;
    let authenticator = portal.authenticator();
    assert_eq!(
        authenticator
            .plugin(&HeaderMap::new())
            .await
            .unwrap_err()
            .status,
        401
    );
    assert_eq!(
        authenticator
            .plugin(&authorization("nonsense"))
            .await
            .unwrap_err()
            .status,
        401
    );
    let claims = json!({"sub": "scaffolder", "aud": "vdb", "exp": soon()});
    let forged = portal.users.sign(PLUGIN, &claims).unwrap();
    let error = authenticator
        .plugin(&authorization(&forged))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("does not publish"),
        "{}",
        error.message
    );
    // The plugin's own signature is no proof of a user.
    let obo = portal
        .scaffolder
        .sign(
            LIMITED_USER,
            &json!({"sub": "user:default/admin", "exp": soon()}),
        )
        .unwrap();
    let token = portal
        .scaffolder
        .sign(
            PLUGIN,
            &json!({"sub": "scaffolder", "aud": "vdb", "exp": soon(), "obo": obo}),
        )
        .unwrap();
    assert_eq!(
        authenticator
            .plugin(&authorization(&token))
            .await
            .unwrap_err()
            .status,
        401
    );
}

#[test]
fn a_key_keeps_its_id() {
    let pem = SigningKey::generate().unwrap();
    let (a, b) = (
        SigningKey::from_pem(&pem).unwrap(),
        SigningKey::from_pem(&pem).unwrap(),
    );
    assert_eq!(a.jwks(), b.jwks());
    let other = SigningKey::from_pem(&SigningKey::generate().unwrap()).unwrap();
    assert_ne!(a.jwks()["keys"][0]["kid"], other.jwks()["keys"][0]["kid"]);
    assert!(
        a.jwks()["keys"][0].get("d").is_none(),
        "the private half stays here"
    );
}

#[tokio::test]
async fn the_id_in_a_token_never_leads_to_an_address_that_is_not_in_the_settings() {
    let portal = Portal::start().await;
    let authenticator = portal.authenticator();
    for subject in [
        "//169.254.169.254",
        "http://169.254.169.254/x",
        "scaffolder@169.254.169.254",
        "scaffolder/../../../latest",
        "scaffolder?x=",
        "scaffolder#",
        "scaffolder%2f..",
        "SCAFFOLDER",
        "scaffolder\n",
        "",
    ] {
        let claims = json!({"sub": subject, "aud": "vdb", "exp": soon()});
        let headers = authorization(&portal.scaffolder.sign(PLUGIN, &claims).unwrap());
        let error = authenticator.plugin(&headers).await.unwrap_err();
        assert_eq!(error.status, 403, "{subject:?}");
    }
    assert!(
        portal
            .server
            .as_ref()
            .unwrap()
            .received_requests()
            .await
            .unwrap()
            .is_empty()
    );
}
