//! Whose copy a bookmark is of, and whether that one's namespace lets another order from it. Masking and rights are a
//! copy's own: having its source is not having what was made of it.

use dct::types::Vdb;
use environment::names::SHARE_WITH;

use crate::cluster::{self, Cluster};
use crate::reason::Reason;
use crate::rules::{self, Refusal};

/// Tags of every virtual database that the operator orders.
pub const CLUSTER_TAG: &str = "cluster-id";
pub const NAMESPACE_TAG: &str = "namespace";

/// Who orders.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    pub namespace: &'a str,
    pub cluster_id: &'a str,
    /// What precedes an environment's name in its namespace's.
    pub prefix: &'a str,
}

/// The namespace that has to consent; `None`: nobody. What was made by hand in Data Control Tower is no environment's.
pub fn home(asker: &Asker<'_>, vdb: &Vdb) -> Result<Option<String>, Refusal> {
    let refuse = |why: &str| {
        let name = vdb.name.as_deref().unwrap_or(&vdb.id);
        Err((
            Reason::NotAllowed,
            format!("the bookmark is of {name}, {why}"),
        ))
    };
    match (vdb.tag(CLUSTER_TAG), vdb.tag(NAMESPACE_TAG)) {
        (None, _) => Ok(None),
        (Some(cluster), _) if cluster != asker.cluster_id => {
            refuse("a copy of another cluster, which cannot consent here")
        }
        (Some(_), None) => refuse("a copy that does not name its namespace, so nobody can consent"),
        (Some(_), Some(namespace)) if namespace == asker.namespace => Ok(None),
        (Some(_), Some(namespace)) => Ok(Some(namespace.to_owned())),
    }
}

/// Whether the namespace says so.
pub async fn given(
    cluster: &dyn Cluster,
    asker: &Asker<'_>,
    home: Option<String>,
) -> Result<Result<(), Refusal>, cluster::Error> {
    let Some(home) = home else {
        return Ok(Ok(()));
    };
    let shared = cluster.shared_with(&home).await?.unwrap_or_default();
    Ok(names(&shared, asker).then_some(()).ok_or_else(|| {
        let own = environment(asker);
        (
            Reason::NotAllowed,
            format!(
                "the bookmark is of a copy in namespace {home}, which does not share with {own}: add {own} to shareWith in that environment's values.yaml (annotation {SHARE_WITH} of the namespace)"
            ),
        )
    }))
}

fn environment<'a>(asker: &Asker<'a>) -> &'a str {
    let stripped = asker.namespace.strip_prefix(asker.prefix);
    stripped.unwrap_or(asker.namespace)
}

fn names(shared: &str, asker: &Asker<'_>) -> bool {
    let own = environment(asker);
    shared
        .split(',')
        .any(|pattern| rules::matches(pattern.trim(), own))
}

#[cfg(test)]
mod tests {
    use dct::types::Tag;
    use rstest::rstest;

    use super::*;

    const ASKER: Asker<'_> = Asker {
        namespace: "postgres-vdbs-qa",
        cluster_id: "c",
        prefix: "postgres-vdbs-",
    };

    #[rstest]
    #[case(&[], Ok(None))]
    #[case(&[("cluster-id", "c"), ("namespace", "postgres-vdbs-qa")], Ok(None))]
    #[case(&[("cluster-id", "c"), ("namespace", "postgres-vdbs-dev")], Ok(Some("postgres-vdbs-dev")))]
    #[case(&[("cluster-id", "d"), ("namespace", "postgres-vdbs-qa")], Err("another cluster"))]
    #[case(&[("cluster-id", "c")], Err("does not name its namespace"))]
    fn a_copy_belongs_to_the_namespace_that_it_names(
        #[case] tags: &[(&str, &str)],
        #[case] wanted: Result<Option<&str>, &str>,
    ) {
        let vdb = Vdb {
            tags: Some(tags.iter().map(|(k, v)| Tag::new(*k, *v)).collect()),
            ..Vdb::default()
        };
        match (home(&ASKER, &vdb), wanted) {
            (Ok(found), Ok(wanted)) => assert_eq!(found.as_deref(), wanted),
            (Err((reason, why)), Err(says)) => {
                assert_eq!(reason, Reason::NotAllowed);
                assert!(why.contains(says), "{why}");
            }
            (found, wanted) => panic!("{found:?}, wanted {wanted:?}"),
        }
    }

    #[rstest]
    #[case("qa", true)]
    #[case("dev, qa", true)]
    #[case("*", true)]
    #[case("feat-*,q*", true)]
    #[case("", false)]
    #[case("dev", false)]
    #[case("postgres-vdbs-qa", false)]
    #[case("q", false)]
    fn consent_names_environments(#[case] shared: &str, #[case] wanted: bool) {
        assert_eq!(names(shared, &ASKER), wanted);
    }
}
