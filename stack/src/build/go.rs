//! The programs that come from the Go module proxy, and the files that lie beside their sources.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cache::{self, Cache};
use crate::command::{logged, output, program, run};
use crate::console::Progress;
use crate::files;

const MODULES: [&str; 6] = ["kube", "coredns", "argocd", "gitea", "helm", "pause"];
const PNPM: &str = "pnpm@10.33.0";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GoPrograms {
    pub kube: PathBuf,
    pub coredns: PathBuf,
    pub argocd: PathBuf,
    pub gitea: PathBuf,
    pub helm: PathBuf,
    pub pause: PathBuf,
    /// Argo CD's custom resource definitions, from its module.
    pub argocd_crds: PathBuf,
    /// Gitea's templates, options and public files, from its module; with pages when they were asked for.
    pub gitea_files: PathBuf,
}

pub(crate) async fn build(
    progress: Progress,
    cache: &Cache,
    checkout: &Path,
) -> Result<GoPrograms> {
    let script = checkout.join("stack/build-go.sh");
    let mut folders = Vec::new();
    for module in MODULES {
        let folder = PathBuf::from(output(program(&script).args(["--path", module])).await?);
        let log = cache.path(&format!("logs/build-{module}.log"));
        if !folder.is_dir() {
            progress.step(&format!(
                "building {module} from Go modules (log {})",
                log.display()
            ));
        }
        logged(program(&script).arg(module), &log).await?;
        folders.push(folder);
    }
    let argocd_crds = argocd_crds(cache, checkout).await?;
    let gitea_files = gitea_files(cache, checkout).await?;
    progress.step("Go programs ready");
    let [kube, coredns, argocd, gitea, helm, pause]: [PathBuf; 6] = folders
        .try_into()
        .ok()
        .context("one folder for each module")?;
    Ok(GoPrograms {
        kube,
        coredns,
        argocd,
        gitea,
        helm,
        pause,
        argocd_crds,
        gitea_files,
    })
}

async fn argocd_crds(cache: &Cache, checkout: &Path) -> Result<PathBuf> {
    let (module, key) = pinned(checkout, "argocd", "github.com/argoproj/argo-cd/v3")?;
    cache
        .once("argocd-crds", &key, |into| async move {
            let from = source_of(cache, &module).await?.join("manifests/crds");
            for name in [
                "application-crd.yaml",
                "applicationset-crd.yaml",
                "appproject-crd.yaml",
            ] {
                std::fs::copy(from.join(name), into.join(name))
                    .with_context(|| format!("{module} has no {name}"))?;
            }
            Ok(())
        })
        .await
}

async fn gitea_files(cache: &Cache, checkout: &Path) -> Result<PathBuf> {
    let (module, key) = pinned(checkout, "gitea", "code.gitea.io/gitea")?;
    cache
        .once("gitea-files", &key, |into| async move {
            let from = source_of(cache, &module).await?;
            for name in ["options", "templates", "public"] {
                run(program("cp").arg("-r").arg(from.join(name)).arg(&into)).await?;
            }
            Ok(())
        })
        .await
}

/// The same files with the built web pages; needed only where people look at them.
pub(crate) async fn pages(
    progress: Progress,
    cache: &Cache,
    checkout: &Path,
    node: &Path,
) -> Result<PathBuf> {
    let (module, key) = pinned(checkout, "gitea", "code.gitea.io/gitea")?;
    let log = cache.path("logs/gitea-pages.log");
    cache
        .once("gitea-pages", &key, |into| async move {
            progress.step(&format!("building Gitea's web pages (log {})", log.display()));
            let work = cache.path(".gitea-pages-work");
            cache::remove(&work)?;
            run(program("cp").arg("-r").arg(source_of(cache, &module).await?).arg(&work)).await?;
            run(program("chmod").args(["-R", "u+w"]).arg(&work)).await?;
            let script = format!(
                "npx --yes {PNPM} install --frozen-lockfile --ignore-scripts --store-dir \"$PWD/.store\" && \
                 NODE_ENV=production npx --yes {PNPM} exec vite build"
            );
            let path = format!("{}:{}", node.join("bin").display(), std::env::var("PATH").unwrap_or_default());
            logged(program("sh").args(["-c", &script]).current_dir(&work).env("PATH", path), &log).await?;
            for name in ["options", "templates", "public"] {
                std::fs::rename(work.join(name), into.join(name))?;
            }
            cache::remove(&work)
        })
        .await
}

/// The build caches are far larger than what they built, and a pin that stays never needs them again.
pub(crate) fn drop_build_caches(progress: Progress, cache: &Cache) -> Result<()> {
    for name in ["go-build", "go-mod"] {
        let folder = cache.path(name);
        if folder.is_dir() && std::env::var_os("VDB_KEEP_GO_CACHE").is_none() {
            progress.step(&format!("removing the build cache {}", folder.display()));
            cache::remove(&folder)?;
        }
    }
    Ok(())
}

/// `module@version` as the wrapper's go.mod pins it, and a key for what is taken from it.
fn pinned(checkout: &Path, wrapper: &str, module: &str) -> Result<(String, String)> {
    let text = std::fs::read_to_string(checkout.join("stack/go").join(wrapper).join("go.mod"))?;
    let version = pinned_version(&text, module)
        .with_context(|| format!("go/{wrapper}/go.mod does not pin {module}"))?;
    let pinned = format!("{module}@{version}");
    let key = files::key(&[pinned.as_bytes(), b"1"]);
    Ok((pinned, key))
}

fn pinned_version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim_start_matches("require").split_whitespace();
        (words.next()? == module)
            .then(|| words.next())
            .flatten()
            .filter(|version| version.starts_with('v'))
    })
}

async fn source_of(cache: &Cache, module: &str) -> Result<PathBuf> {
    let mut go = program("go");
    go.args(["mod", "download", "-json", "-modcacherw", module])
        .current_dir(cache.path(""));
    go.env("GOMODCACHE", cache.path("go-mod"))
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod");
    let answer: serde_json::Value = serde_json::from_str(&output(&mut go).await?)?;
    answer["Dir"]
        .as_str()
        .map(PathBuf::from)
        .with_context(|| format!("{module} has no sources"))
}

#[cfg(test)]
mod tests {
    use super::pinned_version;

    #[test]
    fn a_version_is_read_from_a_block_and_from_a_single_line() {
        let text = "module x\nrequire (\n\tcode.gitea.io/gitea-vet v0.2.3 // indirect\n\tcode.gitea.io/gitea v1.26.0 // indirect\n)\n\
                    tool (\n\tcode.gitea.io/gitea\n)\n";
        assert_eq!(pinned_version(text, "code.gitea.io/gitea"), Some("v1.26.0"));
        assert_eq!(
            pinned_version("require a.b/c v1.2.3\n", "a.b/c"),
            Some("v1.2.3")
        );
    }
}
