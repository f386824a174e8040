//! Path B: environments from the command line, through make, as people type it.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::context::Context;
use crate::gitea::Gitea;
use crate::kubernetes::{Kubernetes, namespace};
use crate::process::{self, Finished};
use crate::scenarios::gone;

pub(super) const NAME: &str = "feat-b";

pub(crate) async fn make(
    context: &Context,
    target: &str,
    variables: &[(&str, &str)],
) -> anyhow::Result<Finished> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new("make");
    command
        .current_dir(root)
        .arg("--no-print-directory")
        .arg(target)
        .arg(format!("CONTEXT={}", context.file.display()));
    for (key, value) in variables {
        command.arg(format!("{key}={value}"));
    }
    process::run(&mut command).await
}

pub(crate) async fn first_environment(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    // A name is data, whatever it looks like in a shell.
    let hostile = make(
        context,
        "create-env",
        &[("ENV", "x; touch /tmp/vdb-injected")],
    )
    .await?;
    anyhow::ensure!(
        !hostile.ok && !Path::new("/tmp/vdb-injected").exists(),
        "a name reached the shell: {}",
        hostile.text()
    );
    anyhow::ensure!(
        hostile.text().contains("environment name"),
        "no clear error: {}",
        hostile.text()
    );

    let created = make(context, "create-env", &[("ENV", NAME)]).await?;
    anyhow::ensure!(created.ok, "make create-env: {}", created.text());
    kubernetes.ready(NAME, Duration::from_secs(5)).await?;
    let forge = Gitea::new(context)?;
    for file in ["values.yaml", "catalog-info.yaml"] {
        anyhow::ensure!(
            forge.holds(&format!("environments/{NAME}/{file}")).await?,
            "Git lacks {file}"
        );
    }
    let again = make(context, "create-env", &[("ENV", NAME)]).await?;
    anyhow::ensure!(again.ok, "make create-env twice: {}", again.text());

    more_memory(context, &kubernetes).await?;

    let listed = make(context, "list-envs", &[]).await?;
    anyhow::ensure!(
        listed.ok && listed.stdout.contains(NAME),
        "make list-envs: {}",
        listed.text()
    );
    let status = make(context, "status", &[("ENV", NAME)]).await?;
    anyhow::ensure!(
        status.ok && status.stdout.contains("Ready"),
        "make status: {}",
        status.text()
    );
    let template = make(context, "template-env", &[("ENV", NAME)]).await?;
    anyhow::ensure!(
        template.ok && template.stdout.contains("kind: PostgresVDB"),
        "make template-env: {}",
        template.text()
    );

    let rows = kubernetes
        .sql(NAME, "select count(*) > 100000 from orders")
        .await?;
    anyhow::ensure!(rows == "t", "the copy holds the source's rows: {rows}");
    Ok(())
}

/// A change by a commit: the command ends when the new server answers.
async fn more_memory(context: &Context, kubernetes: &Kubernetes<'_>) -> anyhow::Result<()> {
    let wanted = [("ENV", NAME), ("MEMORY", "512Mi")];
    for run in ["the first run", "the second run"] {
        let updated = make(context, "update-env", &wanted).await?;
        anyhow::ensure!(updated.ok, "make update-env, {run}: {}", updated.text());
    }
    let pod = format!("{NAME}-vdb-0");
    let pod = kubernetes
        .json(&["-n", &namespace(NAME), "get", "pod", &pod])
        .await?;
    let limit = &pod["spec"]["containers"][0]["resources"]["limits"]["memory"];
    anyhow::ensure!(*limit == "512Mi", "the pod has {limit}");
    Ok(())
}

pub(crate) async fn delete(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    let deleted = make(context, "delete-env", &[("ENV", NAME), ("YES", "1")]).await?;
    anyhow::ensure!(deleted.ok, "make delete-env: {}", deleted.text());
    for what in ["Application", "PostgresVDB", "namespace", "VDB", "volume"] {
        anyhow::ensure!(
            deleted.text().contains(what),
            "{what} is not listed as gone: {}",
            deleted.text()
        );
    }
    gone(&kubernetes, NAME).await?;
    let forge = Gitea::new(context)?;
    anyhow::ensure!(
        !forge
            .holds(&format!("environments/{NAME}/values.yaml"))
            .await?,
        "Git still holds the environment"
    );
    let again = make(context, "delete-env", &[("ENV", NAME), ("YES", "1")]).await?;
    anyhow::ensure!(again.ok, "make delete-env twice: {}", again.text());
    Ok(())
}
