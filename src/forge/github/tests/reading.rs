//! What is read, polled and reported.

use serde_json::json;

use super::standin::start;
use super::{BRANCH, wanted};
use crate::forge::github::connection::Addresses;
use crate::forge::tests::{draft, put};
use crate::forge::{Check, CheckState, Error, Protection, PullState, Settings};

#[tokio::test]
async fn a_status_is_written_when_it_changes() {
    let running = start().await;
    let sha = running.standin.world().branches["main"].clone();
    let forge = running.forge();
    let mut check = Check {
        context: "vdb/validate".into(),
        state: CheckState::Failure,
        description: "ü".repeat(200),
    };
    for _ in 0..3 {
        forge.status(&sha, &check).await.unwrap();
    }
    assert_eq!(running.standin.world().statuses.len(), 1);
    check.state = CheckState::Success;
    forge.status(&sha, &check).await.unwrap();
    assert_eq!(running.standin.world().statuses[1]["state"], "success");
}

#[tokio::test]
async fn a_directory_of_more_than_a_thousand_is_listed_whole() {
    let running = start().await;
    {
        let mut world = running.standin.world();
        let files = (0..1234).map(|n| (format!("environments/e{n}/values.yaml"), String::new()));
        let sha = world.add(None, files.collect(), "many");
        world.branches.insert("main".into(), sha);
    }
    let forge = running.forge();
    let base = forge.base().await.unwrap();
    let entries = forge.list(&base, "environments").await.unwrap();
    assert_eq!(entries.len(), 1234);
    assert!(
        entries
            .iter()
            .all(|entry| entry.is_directory && !entry.is_link)
    );
}

#[tokio::test]
async fn the_pull_requests_that_changed_last_are_one_call_and_none_that_counts_while_none_has() {
    let running = start().await;
    let forge = running.forge();
    // More than a page of open ones, and as many closed.
    for n in 0..120 {
        let branch = format!("vdb/feat-{n}.create-0123456789");
        let sha = {
            let mut world = running.standin.world();
            let base = world.branches["main"].clone();
            world.add(Some(base), std::collections::BTreeMap::default(), "one")
        };
        running.standin.world().branches.insert(branch.clone(), sha);
        let mut draft = draft("", &branch, vec![]);
        draft.labels.clear();
        // Another one each time: nobody makes so many within a minute.
        let maker = running.forge();
        let pull = maker.open(&draft).await.unwrap();
        if n % 2 == 0 {
            maker.close(pull.number, "").await.unwrap();
        }
    }
    let numbers = async || {
        let before = running.standin.calls();
        let changed = forge.changed_pulls().await.unwrap();
        assert_eq!(running.standin.calls() - before, 1);
        assert_eq!(changed.len(), 50);
        changed.iter().map(|pull| pull.number).collect::<Vec<_>>()
    };
    let first = numbers().await;
    assert_eq!(first[0], 120);
    assert_eq!(running.standin.world().not_modified, 0);
    assert_eq!(numbers().await, first);
    assert_eq!(running.standin.world().not_modified, 1, "304 says the same");
    // The oldest open one of all is the first as soon as it changes.
    forge.close(2, "").await.unwrap();
    assert_eq!(numbers().await[0], 2);
}

#[tokio::test]
async fn the_files_between_two_commits_are_one_call_where_the_history_goes_on() {
    let running = start().await;
    let forge = running.forge();
    let old = forge.base().await.unwrap();
    running.push("environments/dev/values.yaml", "a: 1\n");
    running.push("environments/qa/values.yaml", "a: 1\n");
    let new = forge.base().await.unwrap();
    let before = running.standin.calls();
    let between = async |from: &str, to: &str| forge.changed_between(from, to).await.unwrap();
    assert_eq!(
        between(&old, &new).await.unwrap(),
        [
            "environments/dev/values.yaml",
            "environments/qa/values.yaml"
        ]
    );
    assert_eq!(running.standin.calls() - before, 1);
    assert_eq!(between(&new, &new).await, Some(vec![]));
    assert_eq!(between(&new, &old).await, None, "the branch was set back");
    assert_eq!(between(&old, "gone").await, None);
    // Another branch in its place, and more files than GitHub shows.
    let many = (0..300).map(|n| (format!("environments/e{n}/values.yaml"), String::new()));
    let (other, large) = {
        let mut world = running.standin.world();
        let other = world.add(Some(old), std::collections::BTreeMap::default(), "other");
        (other, world.add(Some(new.clone()), many.collect(), "many"))
    };
    assert_eq!(between(&new, &other).await, None);
    assert_eq!(between(&new, &large).await, None);
}

#[tokio::test]
async fn the_base_branch_is_read_again_only_when_it_moved() {
    let running = start().await;
    let forge = running.forge();
    let first = forge.base().await.unwrap();
    assert_eq!(forge.base().await.unwrap(), first, "304 says the same");
    running.push("a", "b");
    assert_ne!(forge.base().await.unwrap(), first);
}

#[tokio::test]
async fn lists_that_are_polled_cost_nothing_while_nothing_changes() {
    let running = start().await;
    let base = running.standin.world().branches["main"].clone();
    let forge = running.forge();
    for n in 0..60 {
        let branch = format!("vdb/feat-{n}.create-0123456789");
        let changes = vec![put("a", &n.to_string())];
        let mut draft = draft(&base, &branch, changes);
        draft.labels.clear();
        // What the budget allows in a minute is less: each has a connection of its own.
        running.forge().propose(&draft).await.unwrap();
    }
    assert_eq!(forge.open_pulls().await.unwrap().len(), 60);
    assert_eq!(running.standin.world().not_modified, 0);
    assert_eq!(forge.open_pulls().await.unwrap().len(), 60);
    assert_eq!(running.standin.world().not_modified, 2, "both pages");
    running.standin.world().pulls[3].state = "closed";
    assert_eq!(forge.open_pulls().await.unwrap().len(), 59);
    assert_eq!(forge.recent_pulls().await.unwrap().len(), 1);
}

#[tokio::test]
async fn protection_says_what_the_rules_say() {
    let running = start().await;
    let expected = Protection {
        protected: true,
        required_approvals: 1,
        required_checks: vec!["vdb/validate".into()],
        pushes_allowed: false,
    };
    assert_eq!(running.forge().protection().await.unwrap(), expected);
}

#[tokio::test]
async fn a_merged_and_a_closed_pull_request_are_found_in_their_state() {
    let running = start().await;
    let forge = running.forge();
    forge.propose(&wanted(&running)).await.unwrap();
    let state = |state, merged| {
        let mut world = running.standin.world();
        (world.pulls[0].state, world.pulls[0].merged) = (state, merged);
    };
    state("closed", false);
    let pull = forge.find(BRANCH).await.unwrap().unwrap();
    assert_eq!((pull.state, pull.merge_sha), (PullState::Closed, None));
    assert_eq!(forge.recent_pulls().await.unwrap().len(), 1);
    state("closed", true);
    let pull = forge.find(BRANCH).await.unwrap().unwrap();
    assert_eq!(
        (pull.state, pull.merge_sha.as_deref()),
        (PullState::Merged, Some("7e57ab1e"))
    );
    assert_eq!(pull.finished_at.as_deref(), Some("2026-11-23T11:00:00Z"));
}

#[test]
fn the_apis_follow_from_the_sites_address() {
    let of = |url: &str, more: &[(&str, &str)]| {
        let mut settings = json!({"kind": "github", "url": url, "owner": "a", "repository": "b", "tokenFile": "/t"});
        for (key, value) in more {
            settings[*key] = (*value).into();
        }
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let Addresses { rest, graphql } = Addresses::of(&settings);
        (rest, graphql)
    };
    let pair = |rest: &str, graphql: &str| (rest.to_owned(), graphql.to_owned());
    let public = pair("https://api.github.com", "https://api.github.com/graphql");
    assert_eq!(of("https://github.com/", &[]), public);
    assert_eq!(
        of("https://git.acme.example", &[]),
        pair(
            "https://git.acme.example/api/v3",
            "https://git.acme.example/api/graphql"
        )
    );
    assert_eq!(
        of("https://acme.ghe.com", &[]),
        pair(
            "https://api.acme.ghe.com",
            "https://api.acme.ghe.com/graphql"
        )
    );
    let given = [
        ("apiUrl", "http://127.0.0.1:1/"),
        ("graphqlUrl", "http://127.0.0.1:1/g"),
    ];
    assert_eq!(
        of("https://github.com", &given),
        pair("http://127.0.0.1:1", "http://127.0.0.1:1/g")
    );
}

#[tokio::test]
async fn files_are_shown_on_the_site() {
    let running = start().await;
    assert_eq!(
        running.forge().file_url("environments/dev/a b.yaml"),
        format!(
            "{}/acme/databases/blob/main/environments/dev/a%20b.yaml",
            running.url
        )
    );
    let unknown = running.forge().read("0000", "x").await;
    assert!(matches!(unknown, Ok(None) | Err(Error::NotFound { .. })));
}
