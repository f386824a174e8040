//! Whether the platform may go: not while there are databases. Without the operator nobody takes their finalizers off.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};

use crate::crd::PostgresVdb;

const ANSWER: Duration = Duration::from_secs(60);
/// Named in the refusal; the rest is counted.
const NAMED: usize = 10;

/// # Errors
/// There are databases, or the cluster does not say.
pub async fn check() -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("no access to a cluster")?;
    let api: Api<PostgresVdb> = Api::all(client);
    let parameters = ListParams::default();
    let listed = tokio::time::timeout(ANSWER, api.list_metadata(&parameters))
        .await
        .context("the cluster does not say whether there are databases")?;
    let found = match listed {
        Ok(list) => list.items,
        // Without the definition there is nothing to keep.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error).context("cannot list PostgresVDBs"),
    };
    let named: Vec<_> = found
        .iter()
        .map(|object| (object.namespace().unwrap_or_default(), object.name_any()))
        .collect();
    match refusal(&named) {
        Some(refusal) => bail!(refusal),
        None => Ok(()),
    }
}

/// One sentence on what stands in the way, one on the orderly way out, one on the other.
fn refusal(databases: &[(String, String)]) -> Option<String> {
    databases.first()?;
    let list: Vec<_> = databases
        .iter()
        .take(NAMED)
        .map(|(namespace, name)| format!("{namespace}/{name}"))
        .collect();
    let more = match databases.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "the platform is not uninstalled while there are PostgresVDBs ({}): {}{more}. \
         Retire their environments first (make delete-env ENV=...), while the operator still runs, then uninstall again; \
         to keep the platform: helm rollback <release> <revision>, because Helm now calls the release uninstalling. \
         To leave their virtual databases and volumes behind instead: helm uninstall --no-hooks, then \
         vdb doctor --release, which writes down what remains and lets each go",
        databases.len(),
        list.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_stand_in_the_way_and_both_ways_out_are_named() {
        assert_eq!(refusal(&[]), None);
        let many: Vec<_> = (0..12)
            .map(|n| ("postgres-vdbs-a".to_owned(), format!("a-{n}-vdb")))
            .collect();
        let said = refusal(&many).unwrap();
        for part in [
            "(12)",
            "postgres-vdbs-a/a-9-vdb and 2 more",
            "make delete-env",
            "helm uninstall --no-hooks, then vdb doctor --release",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(!said.contains("a-10-vdb"), "{said}");
    }
}
