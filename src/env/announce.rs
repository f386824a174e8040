//! Tells Argo CD about a push, so that nobody waits for its next poll. The sidecar does the same; twice does no harm.

use environment::EnvironmentName;

use super::progress::Progress;
use super::settings::Settings;
use crate::push_event::PushEvent;
use crate::web;

/// What a push did to the environment's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    Add,
    Change,
    Remove,
}

/// Sends the push event. What fails is said and no error: Argo CD polls as well.
pub(super) async fn push(
    settings: &Settings,
    name: &EnvironmentName,
    did: Did,
    progress: &Progress,
) {
    let Some(to) = &settings.push else {
        progress.step("Argo CD is not told (VDB_ARGOCD_WEBHOOKS is not set): it finds the commit at its next poll");
        return;
    };
    let event = event(&to.repo_url, &settings.branch, name, did);
    let sent = async {
        let secret = web::token(&to.secret_file).await?;
        let http = web::client_with(to.ca_file.as_deref())?;
        Ok::<_, web::Error>(event.send(&http, &to.endpoints, &secret).await)
    };
    match sent.await {
        Ok(errors) if errors.is_empty() => progress.step("Argo CD is told"),
        Ok(errors) => {
            for error in errors {
                progress.step(format!(
                    "Argo CD finds the commit at its next poll: {}",
                    web::error_chain(&error)
                ));
            }
        }
        Err(error) => progress.step(format!(
            "Argo CD finds the commit at its next poll: {}",
            web::error_chain(&error)
        )),
    }
}

fn event(repo_url: &str, branch: &str, name: &EnvironmentName, did: Did) -> PushEvent {
    let mut files = vec![name.values_path()];
    if did != Did::Change {
        files.push(name.catalog_path());
    }
    let mut event = PushEvent {
        repo_url: repo_url.into(),
        branch: branch.into(),
        ..PushEvent::default()
    };
    match did {
        Did::Add => event.added = files,
        Did::Change => event.modified = files,
        Did::Remove => event.removed = files,
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_names_the_environments_files() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        let event = event("http://forge/a/b.git", "main", &name, Did::Remove);
        assert!(event.added.is_empty());
        assert_eq!(
            event.removed,
            [
                "environments/feat-1/values.yaml",
                "environments/feat-1/catalog-info.yaml"
            ]
        );
    }
    #[test]
    fn a_change_touches_the_values_alone() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        let event = event("http://forge/a/b.git", "main", &name, Did::Change);
        assert_eq!(event.modified, ["environments/feat-1/values.yaml"]);
        assert!(event.added.is_empty() && event.removed.is_empty());
    }
}
