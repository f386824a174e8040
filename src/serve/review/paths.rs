//! Which environments a pull request touches, by the paths that it changes. Paths come from a repository and may be anything.

use std::collections::BTreeMap;

use environment::EnvironmentName;
use environment::names::quoted;

use crate::forge::Changed;

const ROOT: &str = "environments";
/// The one file that may stand beside the environments.
const README: &str = "environments/README.md";

#[derive(Debug, Default)]
pub(super) struct Touched {
    /// The changed files of each environment.
    pub(super) environments: BTreeMap<EnvironmentName, Vec<Changed>>,
    /// Files that belong to no environment.
    pub(super) others: Vec<String>,
    pub(super) problems: Vec<String>,
}

pub(super) fn touched(changes: &[Changed]) -> Touched {
    let mut touched = Touched::default();
    for change in changes {
        match place(change) {
            Place::Environment(name) => touched
                .environments
                .entry(name)
                .or_default()
                .push(change.clone()),
            Place::Elsewhere => touched.others.push(change.path.clone()),
            Place::Wrong(why) => touched
                .problems
                .push(format!("{}: {why}", quoted(&change.path))),
        }
    }
    touched
}

enum Place {
    Environment(EnvironmentName),
    Elsewhere,
    Wrong(String),
}

fn place(change: &Changed) -> Place {
    let wrong = |why: &str| Place::Wrong(why.to_owned());
    let mut parts = change.path.split('/');
    if change
        .path
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return wrong("the path has empty parts, '.' or '..'; write it plainly");
    }
    if parts.next() != Some(ROOT) || change.path == README {
        return Place::Elsewhere;
    }
    let Some(name) = parts.next() else {
        return wrong("the directory of all environments cannot be replaced; keep it a directory");
    };
    let is_file = parts.next().is_none();
    match EnvironmentName::parse(name) {
        // Something wrong that is already there may be taken away.
        _ if is_file && change.deleted => Place::Elsewhere,
        _ if is_file => wrong(
            "an environment is a directory with a values.yaml; remove this file, or make a directory",
        ),
        Err(_) if change.deleted => Place::Elsewhere,
        Err(problem) => Place::Wrong(problem.to_string()),
        Ok(name) => Place::Environment(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, deleted: bool) -> Touched {
        touched(&[Changed {
            path: path.into(),
            deleted,
        }])
    }

    #[test]
    fn a_file_belongs_to_its_environment_or_to_none() {
        let found = one("environments/feat-1/docs/index.md", false);
        assert_eq!(found.environments.keys().next().unwrap().as_str(), "feat-1");
        for path in [
            "README.md",
            "environments/README.md",
            "Environments/feat-1/values.yaml",
            "environments-2/feat-1/values.yaml",
            "charts/environments/x/values.yaml",
        ] {
            let found = one(path, false);
            assert_eq!((found.others.len(), found.problems.len()), (1, 0), "{path}");
        }
    }

    #[test]
    fn a_path_that_names_no_environment_is_refused_and_may_be_removed() {
        for path in [
            "environments/../x",
            "environments/dev/../qa/values.yaml",
            "./environments/dev/values.yaml",
            "environments//values.yaml",
            "environments",
            "environments/dev",
            "environments/Dev/values.yaml",
            "environments/a b/values.yaml",
            "environments/main/values.yaml",
            "environments/x\n- [x] approved/values.yaml",
        ] {
            let found = one(path, false);
            assert_eq!(found.problems.len(), 1, "{path}");
            assert!(!found.problems[0].contains('\n'), "{path}");
            assert!(found.environments.is_empty(), "{path}");
        }
        for path in ["environments/dev", "environments/Dev/values.yaml"] {
            assert_eq!(one(path, true).others, [path], "{path}");
        }
    }
}
