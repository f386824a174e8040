//! Objects of the cluster that Argo CD deploys to, read through its API server: the sidecar needs no access of its own.

use serde::Deserialize;
use serde_json::Value;

use super::{Client, Error};
use crate::web;

/// An object, as Argo CD names it.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    /// Empty for one of the whole cluster.
    pub namespace: &'a str,
    pub name: &'a str,
}

/// The object is a text of its own within the answer.
#[derive(Deserialize)]
struct Live {
    #[serde(default)]
    manifest: String,
}

/// What Argo CD answers, with status 400, where it has not seen the object in the cluster.
const NOT_SEEN: &str = "not found as part of application";

impl Client {
    /// `None`: the Application has no such object in the cluster (yet, or any more), or there is no Application.
    pub async fn resource(
        &self,
        application: &str,
        object: Object<'_>,
    ) -> Result<Option<Value>, Error> {
        let path = format!("applications/{}/resource", web::segment(application));
        let query = [
            ("project", self.settings.project.as_str()),
            ("appNamespace", &self.settings.namespace),
            ("resourceName", object.name),
            ("namespace", object.namespace),
            ("group", object.group),
            ("version", object.version),
            ("kind", object.kind),
        ];
        let answer = match self.get(&path, &query).await {
            Err(Error::Refused {
                status: 400,
                message,
                ..
            }) if message.contains(NOT_SEEN) => return Ok(None),
            answer => answer?,
        };
        let Some(answer) = answer else {
            return Ok(None);
        };
        let live: Live = answer.json()?;
        serde_json::from_str(&live.manifest)
            .map(Some)
            .map_err(|error| Error::Refused {
                status: answer.status,
                call: answer.call.clone(),
                message: format!("its manifest is not readable: {error}"),
            })
    }
}

#[cfg(test)]
mod tests;
