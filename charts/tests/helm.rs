//! Runs the cached Helm, or the one on PATH. Without one these tests say that they were skipped.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use environment::yaml;
use serde_json::Value;

use super::root;

static HELM: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| find("stack/build-go.sh", "helm", &["helm".into()]));
static HELM_4: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| find("charts/tools/build.sh", "helm4", &[]));

/// The one that the script has built, or the first of the others that runs.
fn find(script: &str, module: &str, others: &[PathBuf]) -> Option<PathBuf> {
    let folder = Command::new(root().join(script))
        .args(["--path", module])
        .output()
        .ok()?;
    let cached = PathBuf::from(String::from_utf8_lossy(&folder.stdout).trim()).join("helm");
    let runs = |helm: &PathBuf| {
        Command::new(helm)
            .arg("version")
            .output()
            .is_ok_and(|o| o.status.success())
    };
    std::iter::once(cached)
        .chain(others.iter().cloned())
        .find(runs)
}

/// Whether there is a Helm; says so if not.
pub(crate) fn missing(test: &str) -> bool {
    say_if_missing(HELM.as_ref(), test, "stack/build-go.sh helm")
}

pub(crate) fn missing_4(test: &str) -> bool {
    say_if_missing(HELM_4.as_ref(), test, "charts/tools/build.sh helm4")
}

#[expect(clippy::print_stdout, reason = "a skipped test must be seen")]
fn say_if_missing(helm: Option<&PathBuf>, test: &str, script: &str) -> bool {
    if helm.is_none() {
        println!("SKIPPED {test}: there is no such helm; `{script}` builds it");
    }
    helm.is_none()
}

/// `helm template` in the checkout; the manifests, or what Helm says.
pub(crate) fn template(release: &str, chart: &str, more: &[&str]) -> Result<Vec<Value>, String> {
    render(HELM.as_ref(), release, chart, more)
}

pub(crate) fn template_4(release: &str, chart: &str, more: &[&str]) -> Result<Vec<Value>, String> {
    render(HELM_4.as_ref(), release, chart, more)
}

fn render(
    helm: Option<&PathBuf>,
    release: &str,
    chart: &str,
    more: &[&str],
) -> Result<Vec<Value>, String> {
    let output = Command::new(helm.expect("asked before"))
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
    check(HELM.as_ref(), chart)
}

pub(crate) fn lint_4(chart: &str) -> Result<(), String> {
    check(HELM_4.as_ref(), chart)
}

fn check(helm: Option<&PathBuf>, chart: &str) -> Result<(), String> {
    let output = Command::new(helm.expect("asked before"))
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
