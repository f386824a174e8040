//! Runs the cached Helm, or the one on PATH. Without one these tests say that they were skipped.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use environment::yaml;
use serde_json::Value;

use super::root;

static HELM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let folder = Command::new(root().join("stack/build-go.sh"))
        .args(["--path", "helm"])
        .output()
        .ok()?;
    let cached = PathBuf::from(String::from_utf8_lossy(&folder.stdout).trim()).join("helm");
    let runs = |helm: &PathBuf| {
        Command::new(helm)
            .arg("version")
            .output()
            .is_ok_and(|o| o.status.success())
    };
    [cached, "helm".into()].into_iter().find(runs)
});

/// Whether there is a Helm; says so if not.
#[expect(clippy::print_stdout, reason = "a skipped test must be seen")]
pub(crate) fn missing(test: &str) -> bool {
    if HELM.is_none() {
        println!("SKIPPED {test}: there is no helm; `stack/build-go.sh helm` builds it");
    }
    HELM.is_none()
}

/// `helm template` in the checkout; the manifests, or what Helm says.
pub(crate) fn template(release: &str, chart: &str, more: &[&str]) -> Result<Vec<Value>, String> {
    let output = Command::new(HELM.as_ref().expect("asked before"))
        .args(["template", release, chart, "--kube-version", "1.34.4"])
        .args(more)
        .current_dir(root())
        .output()
        .expect("helm runs");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(documents(&String::from_utf8_lossy(&output.stdout)))
}

pub(crate) fn lint(chart: &str) -> Result<(), String> {
    let output = Command::new(HELM.as_ref().expect("asked before"))
        .args(["lint", "--strict", "--kube-version", "1.34.4", chart])
        .current_dir(root())
        .output()
        .expect("helm runs");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

pub(crate) fn documents(text: &str) -> Vec<Value> {
    let parts = text
        .split("\n---")
        .map(|part| part.trim_start_matches("---"));
    let read =
        |part: &str| yaml::read::<Value>(part).unwrap_or_else(|error| panic!("{error}\n{part}"));
    parts
        .map(read)
        .filter(|document| !document.is_null())
        .collect()
}

pub(crate) fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents
        .iter()
        .filter(|document| document["kind"] == kind)
        .collect()
}
