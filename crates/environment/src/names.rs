//! Names of environments, databases and the labels that tie them together.
//!
//! A name is parsed once, at the edge; below that a wrong one cannot exist.

use std::fmt;

use crate::problem::Problem;

/// API group of `PostgresVDB`; the vendor's, so that existing manifests keep working.
pub const GROUP: &str = "core.delphix.com";
pub const VERSION: &str = "v1alpha1";
pub const KIND: &str = "PostgresVDB";
pub const PLURAL: &str = "postgresvdbs";
/// Value of `app.kubernetes.io/part-of` on everything the platform makes, its CRDs included.
pub const PART_OF: &str = "postgres-vdb-platform";
pub const PART_OF_LABEL: &str = "app.kubernetes.io/part-of";
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
pub const ENVIRONMENT_LABEL: &str = "postgres-vdb-platform/environment";
pub const REQUEST_ID: &str = "postgres-vdb-platform/request-id";
pub const REQUESTED_BY: &str = "postgres-vdb-platform/requested-by";
pub const OWNER: &str = "postgres-vdb-platform/owner";
/// On an environment's namespace: the environments that may order from bookmarks of its copies, with commas.
pub const SHARE_WITH: &str = "postgres-vdb-platform/share-with";
pub const FINALIZER: &str = "postgres-vdb-platform/finalizer";
/// The namespace of an environment is this prefix and its name.
pub const NAMESPACE_PREFIX: &str = "postgres-vdbs-";

/// Longest `metadata.name` of a `PostgresVDB`: names of its Jobs and volumes add up to 23 characters, and a label holds 63.
pub const MAX_CR_NAME: usize = 40;
/// `<env>-vdb` must fit into [`MAX_CR_NAME`].
pub const MAX_ENVIRONMENT_NAME: usize = MAX_CR_NAME - "-vdb".len();

/// Names that mean something else in the paths, namespaces or branches of the platform.
const RESERVED: [&str; 8] = [
    "platform",
    "system",
    "default",
    "all",
    "main",
    "master",
    "head",
    "environments",
];

/// The name of an environment: its directory, Application, namespace suffix and catalog entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentName(String);

impl EnvironmentName {
    /// # Errors
    /// Says what the name may look like, and why this one cannot be used.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let problem =
            |message: String, hint: &str| Err(Problem::field("name", "/name", message).hint(hint));
        if let Some(why) = malformed(text) {
            return problem(
                format!("environment name {} {why}", quoted(text)),
                "use lower-case letters, digits and '-', beginning with a letter, for example feat-123",
            );
        }
        if text.len() > MAX_ENVIRONMENT_NAME {
            return problem(
                format!(
                    "environment name {} has {} characters",
                    quoted(text),
                    text.len()
                ),
                "use at most 36 characters",
            );
        }
        if RESERVED.contains(&text) || text.starts_with("kube-") {
            return problem(
                format!("environment name {} is reserved", quoted(text)),
                "choose another name",
            );
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace that holds the environment.
    pub fn namespace(&self) -> String {
        format!("{NAMESPACE_PREFIX}{}", self.0)
    }

    /// The directory in the repository, without a trailing slash.
    pub fn directory(&self) -> String {
        format!("environments/{}", self.0)
    }

    pub fn values_path(&self) -> String {
        format!("{}/values.yaml", self.directory())
    }

    pub fn catalog_path(&self) -> String {
        format!("{}/catalog-info.yaml", self.directory())
    }

    /// The `PostgresVDB` of the values file's `vdb`, or of one key of its `vdbs`.
    pub fn cr_name(&self, key: Option<&VdbKey>) -> String {
        match key {
            None => format!("{}-vdb", self.0),
            Some(key) => format!("{}-{}-vdb", self.0, key.0),
        }
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key of `vdbs` in a values file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VdbKey(String);

impl VdbKey {
    /// # Errors
    /// Says what a key may look like, and how long it may be in this environment.
    pub fn parse(environment: &EnvironmentName, text: &str) -> Result<Self, Problem> {
        let pointer = format!("/vdbs/{}", text.replace('~', "~0").replace('/', "~1"));
        if let Some(why) = malformed(text) {
            return Err(Problem::at(pointer, format!("key {} {why}", quoted(text)))
                .hint("use lower-case letters, digits and '-', beginning with a letter"));
        }
        let key = Self(text.to_owned());
        let name = environment.cr_name(Some(&key));
        if name.len() > MAX_CR_NAME {
            return Err(Problem::at(
                pointer,
                format!("the database's name {name} has {} characters", name.len()),
            )
            .hint("environment and key together may have at most 35 characters"));
        }
        Ok(key)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why this is no DNS label that begins with a letter; `None` if it is one.
fn malformed(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty");
    }
    if text.chars().any(|c| c.is_ascii_uppercase()) {
        return Some("has upper-case letters");
    }
    if let Some(c) = text
        .chars()
        .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-'))
    {
        return Some(match c {
            '/' | '.' => "has characters of a path",
            '\n' | '\r' => "has a line break",
            c if c.is_whitespace() => "has white space",
            _ => "has characters other than a-z, 0-9 and '-'",
        });
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Some("does not begin with a letter");
    }
    text.ends_with('-').then_some("ends with '-'")
}

/// The text in quotes on one line, cut: names come from forms and may be anything.
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{dots}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "is empty")]
    #[case("Feat", "upper-case")]
    #[case("../x", "a path")]
    #[case("a\nb", "line break")]
    #[case("a b", "white space")]
    #[case("1a", "begin with a letter")]
    #[case("a-", "ends with")]
    #[case("main", "reserved")]
    #[case("ünder", "other than")]
    #[case("a23456789-123456789-123456789-1234567", "37 characters")]
    fn a_wrong_name_is_refused_with_its_reason(#[case] text: &str, #[case] why: &str) {
        let problem = EnvironmentName::parse(text).unwrap_err();
        assert!(problem.message.contains(why), "{problem:?}");
        assert!(problem.hint.is_some());
        assert!(!problem.message.contains('\n'));
    }

    #[test]
    fn names_derive_from_the_environment() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        assert_eq!(name.namespace(), "postgres-vdbs-feat-1");
        assert_eq!(name.values_path(), "environments/feat-1/values.yaml");
        assert_eq!(name.cr_name(None), "feat-1-vdb");
        let key = VdbKey::parse(&name, "orders").unwrap();
        assert_eq!(name.cr_name(Some(&key)), "feat-1-orders-vdb");
        assert!(VdbKey::parse(&name, &"k".repeat(31)).is_err());
    }
}
