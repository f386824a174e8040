//! Bookmarks, made with the caller's own rights.

use anyhow::{Context as _, Result};
use environment::EnvironmentName;
use environment::actions::ActionStatus;
use kube::api::PostParams;

use super::Cluster;
use crate::bookmark::{NewBookmark, api};

impl Cluster {
    /// Makes it, unless it is there.
    pub(in crate::env) async fn make_bookmark(
        &self,
        environment: &EnvironmentName,
        wanted: &NewBookmark,
    ) -> Result<()> {
        let namespace = environment.namespace();
        let object = serde_json::from_value(wanted.manifest(&namespace))?;
        let made = api(self.client.clone(), &namespace)
            .create(&PostParams::default(), &object)
            .await;
        match made {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            made => made
                .map(drop)
                .with_context(|| format!("cannot create a PostgresSnapshot in {namespace}")),
        }
    }

    pub(in crate::env) async fn bookmark(
        &self,
        environment: &EnvironmentName,
        name: &str,
    ) -> Result<ActionStatus> {
        let found = api(self.client.clone(), &environment.namespace())
            .get(name)
            .await
            .with_context(|| format!("cannot read PostgresSnapshot {name}"))?;
        Ok(serde_json::from_value(found.data["status"].clone()).unwrap_or_default())
    }
}
