//! Bookmarks as the cluster holds them: the one kind of object that the sidecar makes beside databases, by a right that
//! it has in the environments' namespaces alone.

use kube::api::{DynamicObject, PostParams};

use super::super::{Error, LiveBookmark};
use crate::bookmark::{NewBookmark, api};

/// `None`: there is none of this name.
pub(super) async fn get(
    client: kube::Client,
    namespace: &str,
    name: &str,
) -> Result<Option<LiveBookmark>, Error> {
    let found = api(client, namespace).get_opt(name).await;
    Ok(found.map_err(|e| explained(e, namespace))?.map(live))
}

/// The one that there is of this name, or a new one.
pub(super) async fn make(
    client: kube::Client,
    namespace: &str,
    wanted: &NewBookmark,
) -> Result<LiveBookmark, Error> {
    let api = api(client, namespace);
    let object = serde_json::from_value(wanted.manifest(namespace))
        .expect("a name, a namespace and a spec are an object");
    match api.create(&PostParams::default(), &object).await {
        Ok(made) => Ok(live(made)),
        // An earlier call, or another replica, was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let found = api.get(&wanted.name).await;
            found.map(live).map_err(|e| explained(e, namespace))
        }
        Err(error) => Err(explained(error, namespace)),
    }
}

fn live(mut object: DynamicObject) -> LiveBookmark {
    let mut part = |name: &str| object.data[name].take();
    let (spec, status) = (part("spec"), part("status"));
    LiveBookmark {
        spec: serde_json::from_value(spec).unwrap_or_default(),
        status: serde_json::from_value(status).unwrap_or_default(),
    }
}

/// What the API server says of one object is for the caller; everything else is the platform's trouble.
fn explained(error: kube::Error, namespace: &str) -> Error {
    let (code, said) = match &error {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        _ => (0, String::new()),
    };
    match code {
        400 | 422 => Error::Refused { said },
        403 => Error::Forbidden {
            said,
            namespace: namespace.to_owned(),
        },
        404 => Error::NoKind,
        _ => Error::Kubernetes {
            what: "postgressnapshots",
            source: Box::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use environment::actions::SnapshotSpec;
    use serde_json::json;

    use super::*;

    fn status(code: u16, message: &str) -> kube::Error {
        let status =
            json!({ "status": "Failure", "message": message, "reason": "x", "code": code });
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn what_the_api_server_refuses_is_said_in_its_words_and_with_what_to_do() {
        let said = |code, message| {
            let error = explained(status(code, message), "postgres-vdbs-feat-1");
            crate::serve::error::ApiError::from(error)
        };
        let invalid = said(422, "spec.name: Invalid value: \"-\": should match");
        assert_eq!(invalid.status, 400);
        assert!(
            invalid.message.contains("spec.name: Invalid value"),
            "{invalid:?}"
        );
        let forbidden = said(403, "cannot create resource");
        assert_eq!(forbidden.status, 503);
        assert!(
            forbidden.message.contains("postgres-vdb-sidecar")
                && forbidden.message.contains("postgres-vdbs-feat-1")
                && forbidden.message.contains("cannot create resource"),
            "{forbidden:?}"
        );
        assert!(said(404, "").message.contains("postgressnapshots"));
    }

    #[test]
    fn the_manifest_is_the_kind_of_the_operator() {
        let wanted = NewBookmark {
            name: "bookmark-0123456789".into(),
            by: "user:default/ann".into(),
            spec: SnapshotSpec {
                vdb: "feat-1-vdb".into(),
                ..SnapshotSpec::default()
            },
        };
        let object = wanted.manifest("postgres-vdbs-feat-1");
        assert_eq!(object["apiVersion"], "actions.delphix.com/v1alpha1");
        assert_eq!(object["spec"], json!({ "vdb": "feat-1-vdb" }));
        let made: DynamicObject = serde_json::from_value(object).unwrap();
        assert_eq!(live(made).spec, wanted.spec);
    }
}
