//! `vdb validate`: every problem of every values file at once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use environment::problem::Problem;
use environment::{EnvironmentName, validate};

use super::settings::Settings;
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Values files or directories of environments; every environment of the repository if absent
    paths: Vec<PathBuf>,
}

/// `true`: no file is refused.
pub(super) fn run(args: Args, settings: &Settings) -> Result<bool> {
    let files = if args.paths.is_empty() {
        all(&settings.repository)?
    } else {
        args.paths
    };
    let mut refused = 0;
    let count = files.len();
    for file in files {
        let file = if file.is_dir() {
            file.join("values.yaml")
        } else {
            file
        };
        let problems = problems(&file)?;
        for problem in &problems {
            let kind = if problem.warning { "warning: " } else { "" };
            output::line(format!("{}: {kind}{problem}", file.display()));
        }
        refused += usize::from(problems.iter().any(|problem| !problem.warning));
    }
    let valid = count - refused;
    output::progress(format!("{valid} of {count} environments valid"));
    Ok(refused == 0)
}

fn all(repository: &Path) -> Result<Vec<PathBuf>> {
    let directory = repository.join("environments");
    let entries = std::fs::read_dir(&directory)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    if files.is_empty() {
        bail!("{} holds no environment", directory.display());
    }
    files.sort();
    Ok(files)
}

/// The environment is named by the directory that the file lies in.
fn problems(file: &Path) -> Result<Vec<Problem>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let absolute =
        std::path::absolute(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = absolute
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(match EnvironmentName::parse(&name) {
        Ok(name) => validate::values(&name, &text),
        Err(problem) => vec![problem],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_valid() {
        for file in all(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap() {
            assert_eq!(
                problems(&file.join("values.yaml")).unwrap(),
                [],
                "{}",
                file.display()
            );
        }
    }

    #[test]
    fn a_wrong_directory_and_a_wrong_file_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text, why) in [
            ("Feat", "", "upper-case"),
            ("feat", "vdbb: {}\n", "vdbb"),
            ("x", "a: [", "YAML"),
        ] {
            let at = directory.path().join(name);
            std::fs::create_dir(&at).unwrap();
            std::fs::write(at.join("values.yaml"), text).unwrap();
            let found = problems(&at.join("values.yaml")).unwrap();
            assert!(
                found
                    .iter()
                    .any(|problem| problem.to_string().contains(why)),
                "{name}: {found:?}"
            );
        }
    }
}
