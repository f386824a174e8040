//! What every adapter must do. The suite runs on the forge in memory, on Gitea's recorded answers and, where
//! `VDB_TEST_FORGE` names a settings file, on a real forge: `cargo test -p vdb --lib a_real_forge_behaves -- --ignored`.

mod changes;
mod user;

use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::serve::FakeForge;

pub(super) fn draft(base: &str, branch: &str, changes: Vec<Change>) -> Draft {
    Draft {
        base_sha: base.into(),
        branch: branch.into(),
        changes,
        message: "Create environment feat-1\n\nRequested-by: user:default/guest\n".into(),
        title: "Create environment feat-1".into(),
        body: "Please.".into(),
        labels: vec!["vdb".into()],
        reviewers: Vec::new(),
        as_user: None,
    }
}

pub(super) fn put(path: &str, content: &str) -> Change {
    Change::Put {
        path: path.into(),
        content: content.into(),
    }
}

/// `salt` keeps runs on one real repository apart.
pub(super) async fn behaves(forge: &dyn Forge, salt: &str) {
    let base = forge.base().await.unwrap();
    let directory = format!("environments/{salt}");
    let (values, catalog) = (
        format!("{directory}/values.yaml"),
        format!("{directory}/sub/catalog-info.yaml"),
    );
    assert_eq!(forge.read(&base, &values).await.unwrap(), None);
    assert!(forge.list(&base, &directory).await.unwrap().is_empty());
    let branch = format!("vdb/{salt}.create-0123456789");
    assert_eq!(forge.branch(&branch).await.unwrap(), None);
    assert_eq!(forge.find(&branch).await.unwrap(), None);

    let wanted = draft(
        &base,
        &branch,
        vec![put(&values, "a: ä\n"), put(&catalog, "b: 1\n")],
    );
    let made = forge.propose(&wanted).await.unwrap();
    assert_eq!(
        (made.state, made.branch.as_str(), made.merge_sha.as_deref()),
        (PullState::Open, branch.as_str(), None)
    );
    assert_eq!(
        forge.branch(&branch).await.unwrap().as_ref(),
        Some(&made.head_sha)
    );
    assert_eq!(
        forge.propose(&wanted).await.unwrap().number,
        made.number,
        "a second proposal finds the first"
    );
    assert_eq!(
        forge.find(&branch).await.unwrap().unwrap().number,
        made.number
    );
    assert_eq!(
        forge.pull(made.number).await.unwrap().unwrap().body.trim(),
        "Please."
    );
    assert_eq!(forge.pull(999_999).await.unwrap(), None);
    assert!(
        forge
            .open_pulls()
            .await
            .unwrap()
            .iter()
            .any(|pull| pull.number == made.number)
    );
    assert!(
        !forge
            .recent_pulls()
            .await
            .unwrap()
            .iter()
            .any(|pull| pull.number == made.number)
    );
    assert_eq!(
        forge.base().await.unwrap(),
        base,
        "the base branch is not written to"
    );

    let changed = forge.changed_pulls().await.unwrap();
    assert!(changed.iter().any(|pull| pull.number == made.number));
    let same = forge.changed_between(&base, &base).await.unwrap();
    assert!(same.is_none_or(|files| files.is_empty()));

    tells_what_is_changed(forge, &made, &directory).await;

    assert_eq!(
        forge.comment(made.number, "<!-- m -->").await.unwrap(),
        None
    );
    for text in ["one", "two"] {
        forge
            .upsert_comment(made.number, "<!-- m -->", text)
            .await
            .unwrap();
        assert!(
            forge
                .comment(made.number, "<!-- m -->")
                .await
                .unwrap()
                .unwrap()
                .contains(text)
        );
    }
    let check = Check {
        context: "vdb/validate".into(),
        state: CheckState::Success,
        description: "valid".into(),
    };
    forge.status(&made.head_sha, &check).await.unwrap();
    assert!(forge.contains(&base, &base).await.unwrap());
    withdraws(forge, &made).await;
}

/// A pull request is closed with another text, its branch removed; both may be said twice, and it is still found.
async fn withdraws(forge: &dyn Forge, made: &Pull) {
    for _ in 0..2 {
        let closed = forge.close(made.number, "Withdrawn.").await.unwrap();
        assert_eq!(
            (closed.state, closed.number, closed.body.trim()),
            (PullState::Closed, made.number, "Withdrawn.")
        );
    }
    for _ in 0..2 {
        forge.delete_branch(&made.branch).await.unwrap();
        assert_eq!(forge.branch(&made.branch).await.unwrap(), None);
    }
    let found = forge.find(&made.branch).await.unwrap().unwrap();
    assert_eq!(
        (found.state, found.number),
        (PullState::Closed, made.number)
    );
    let among = |pulls: Vec<Pull>| pulls.iter().any(|pull| pull.number == made.number);
    assert!(!among(forge.open_pulls().await.unwrap()));
    assert!(among(forge.recent_pulls().await.unwrap()));
    assert!(among(forge.finished_pulls(2).await.unwrap()));
}

/// The files that a pull request changes, as a list and as they stand at its head; and how its base is protected.
async fn tells_what_is_changed(forge: &dyn Forge, made: &Pull, directory: &str) {
    let mut changes = forge.changes(made.number).await.unwrap();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    let added = |path: &str| Changed {
        path: format!("{directory}/{path}"),
        deleted: false,
    };
    assert_eq!(
        changes,
        [added("sub/catalog-info.yaml"), added("values.yaml")]
    );
    let listed = forge.list(&made.head_sha, directory).await.unwrap();
    assert!(
        listed.len() == 2 && listed.iter().all(|entry| !entry.is_link),
        "{listed:?}"
    );
    let protection = forge.protection().await.unwrap();
    assert!(protection.protected || protection.pushes_allowed);
}

#[tokio::test]
async fn the_forge_of_the_tests_behaves() {
    let forge = FakeForge::default();
    forge.push(|_| {});
    behaves(&forge, "feat-1").await;
}

#[tokio::test]
#[ignore = "needs a running forge: VDB_TEST_FORGE names its settings as JSON"]
async fn a_real_forge_behaves() {
    let file = std::env::var("VDB_TEST_FORGE").unwrap();
    let settings: Settings = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let forge = connect(settings).unwrap();
    let salt = format!("suite-{}", jiff::Timestamp::now().as_millisecond());
    behaves(forge.as_ref(), &salt).await;
    let base = forge.base().await.unwrap();
    let readme = forge.read(&base, "README.md").await.unwrap();
    assert!(
        readme.is_some(),
        "the suite expects a README.md on the base branch"
    );
    let gone = draft(
        &base,
        &format!("vdb/{salt}.retire-0123456789"),
        vec![Change::Delete {
            path: "README.md".into(),
        }],
    );
    let pull = forge.propose(&gone).await.unwrap();
    let changes = forge.changes(pull.number).await.unwrap();
    assert!(
        changes.len() == 1 && changes[0].path == "README.md" && changes[0].deleted,
        "{changes:?}"
    );
    let sha = pull.head_sha;
    assert_eq!(forge.read(&sha, "README.md").await.unwrap(), None);
    assert!(forge.contains(&sha, &base).await.unwrap());
    assert!(!forge.contains(&base, &sha).await.unwrap());
    forge.close(pull.number, "Withdrawn.").await.unwrap();
    forge.delete_branch(&gone.branch).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a running forge, and a person's token in the file that VDB_TEST_FORGE_USER names"]
async fn a_real_forge_takes_a_persons_token() {
    let read = |name: &str| std::fs::read_to_string(std::env::var(name).unwrap()).unwrap();
    let settings: Settings = serde_json::from_str(&read("VDB_TEST_FORGE")).unwrap();
    let token = UserToken::parse(&read("VDB_TEST_FORGE_USER")).unwrap();
    let forge = connect(settings).unwrap();
    let base = forge.base().await.unwrap();
    let salt = format!("user-{}", jiff::Timestamp::now().as_millisecond());
    let changes = vec![put(&format!("environments/{salt}/values.yaml"), "a: 1\n")];
    let platforms = draft(&base, &format!("vdb/{salt}.create-0123456789"), changes);
    let theirs = Draft {
        branch: format!("vdb/{salt}.create-123456789a"),
        as_user: Some(token),
        ..platforms.clone()
    };
    let platforms = forge.propose(&platforms).await.unwrap();
    let theirs = forge.propose(&theirs).await.unwrap();
    assert_ne!(platforms.author, theirs.author);
    for pull in [platforms, theirs] {
        forge.close(pull.number, "Withdrawn.").await.unwrap();
        forge.delete_branch(&pull.branch).await.unwrap();
    }
}

pub(super) struct Gitea {
    pub(super) server: MockServer,
    pub(super) forge: Arc<dyn Forge>,
    _directory: tempfile::TempDir,
}

pub(super) async fn gitea() -> Gitea {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "secret-token\n").unwrap();
    let settings = serde_json::json!({"kind": "gitea", "url": server.uri(), "owner": "acme", "repository": "databases", "tokenFile": token_file});
    let forge = connect(serde_json::from_value(settings).unwrap()).unwrap();
    Gitea {
        server,
        forge,
        _directory: directory,
    }
}

impl Gitea {
    pub(super) async fn answers(&self, verb: &str, at: &str, status: u16, body: &str) {
        let answer =
            ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json");
        Mock::given(method(verb))
            .and(path(format!("/api/v1/repos/acme/databases{at}")))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }
}

/// As Gitea 1.26 sent it, shortened.
const MERGED: &str = r#"{"number":1,"title":"Create","body":"b","state":"closed","html_url":"http://g/acme/databases/pulls/1","merged":true,
"merged_at":"2026-11-23T23:45:14Z","merge_commit_sha":"9fccf387","created_at":"2026-11-23T23:45:10Z","closed_at":"2026-11-23T23:45:14Z",
"base":{"label":"main","ref":"main","sha":"9fccf387"},
"head":{"label":"vdb/feat-1.create-0123456789","ref":"refs/pull/1/head","sha":"0465b148"}}"#;
const NOT_FOUND: &str = r#"{"errors":null,"message":"not found","url":"http://g/api/swagger"}"#;

#[tokio::test]
async fn a_merged_pull_request_keeps_its_branchs_name_when_the_branch_is_gone() {
    let gitea = gitea().await;
    gitea
        .answers(
            "GET",
            "/pulls/main/vdb/feat-1.create-0123456789",
            200,
            MERGED,
        )
        .await;
    let pull = gitea
        .forge
        .find("vdb/feat-1.create-0123456789")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (pull.state, pull.branch.as_str(), pull.merge_sha.as_deref()),
        (
            PullState::Merged,
            "vdb/feat-1.create-0123456789",
            Some("9fccf387")
        )
    );
}

#[tokio::test]
async fn a_branch_of_a_fork_is_none_of_ours_whatever_its_name() {
    let fork = MERGED.replace(r#""sha":"0465b148""#, r#""sha":"0465b148","repo_id":2"#);
    let theirs = fork.replace(r#""sha":"9fccf387""#, r#""sha":"9fccf387","repo_id":1"#);
    let ours = theirs.replace(r#""repo_id":2"#, r#""repo_id":1"#);
    for (body, branch) in [
        (theirs, "fork:vdb/feat-1.create-0123456789"),
        (ours, "vdb/feat-1.create-0123456789"),
    ] {
        let gitea = gitea().await;
        gitea.answers("GET", "/pulls/1", 200, &body).await;
        assert_eq!(gitea.forge.pull(1).await.unwrap().unwrap().branch, branch);
    }
}

#[tokio::test]
async fn a_branch_that_somebody_made_meanwhile_is_taken_as_it_is() {
    let gitea = gitea().await;
    gitea
        .answers(
            "GET",
            "/contents/environments/feat-1/values.yaml",
            404,
            NOT_FOUND,
        )
        .await;
    gitea
        .answers(
            "POST",
            "/contents",
            422,
            r#"{"message":"branch already exists [name: vdb/x]"}"#,
        )
        .await;
    let wanted = draft(
        "538c360b",
        "vdb/x",
        vec![put("environments/feat-1/values.yaml", "a: 1\n")],
    );
    gitea
        .answers(
            "GET",
            "/branches/vdb/x",
            200,
            r#"{"commit":{"id":"0465b148"}}"#,
        )
        .await;
    gitea.forge.commit(&wanted).await.unwrap();
}

#[tokio::test]
async fn a_replaced_and_a_deleted_file_name_their_blobs() {
    let gitea = gitea().await;
    gitea
        .answers(
            "GET",
            "/contents/a.yaml",
            200,
            r#"{"path":"a.yaml","type":"file","sha":"a8926a52"}"#,
        )
        .await;
    gitea
        .answers(
            "GET",
            "/contents/b.yaml",
            200,
            r#"{"path":"b.yaml","type":"file","sha":"b8926a52"}"#,
        )
        .await;
    gitea
        .answers("GET", "/contents/c.yaml", 404, NOT_FOUND)
        .await;
    let files = serde_json::json!({"branch": "main", "new_branch": "vdb/x", "files": [
        {"operation": "update", "path": "a.yaml", "content": "YTogMQo=", "sha": "a8926a52"}, {"operation": "delete", "path": "b.yaml", "sha": "b8926a52"}
    ]});
    Mock::given(method("POST"))
        .and(path("/api/v1/repos/acme/databases/contents"))
        .and(body_partial_json(files))
        .respond_with(ResponseTemplate::new(201))
        .expect(1)
        .mount(&gitea.server)
        .await;
    let changes = vec![
        put("a.yaml", "a: 1\n"),
        Change::Delete {
            path: "b.yaml".into(),
        },
        Change::Delete {
            path: "c.yaml".into(),
        },
    ];
    gitea
        .forge
        .commit(&draft("538c360b", "vdb/x", changes))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_lies_elsewhere_is_told_from_files() {
    let gitea = gitea().await;
    let entries = r#"[{"path":"e/a","type":"file"},{"path":"e/b","type":"symlink"},{"path":"e/c","type":"submodule"},{"path":"e/d","type":"dir"}]"#;
    gitea.answers("GET", "/contents/e", 200, entries).await;
    let listed = gitea.forge.list("538c360b", "e").await.unwrap();
    let kinds: Vec<(bool, bool)> = listed
        .iter()
        .map(|entry| (entry.is_directory, entry.is_link))
        .collect();
    assert_eq!(
        kinds,
        [(false, false), (false, true), (false, true), (true, false)]
    );
}

#[tokio::test]
async fn the_files_of_a_pull_request_come_in_pages_until_an_empty_one() {
    let gitea = gitea().await;
    let page = |n: u8, body: &'static str| {
        Mock::given(method("GET"))
            .and(path("/api/v1/repos/acme/databases/pulls/7/files"))
            .and(wiremock::matchers::query_param("page", n.to_string()))
            .respond_with(ResponseTemplate::new(200).set_body_raw(body, "application/json"))
    };
    let first = r#"[{"filename":"a","status":"added"},{"filename":"b","status":"deleted"}]"#;
    let second = r#"[{"filename":"d","previous_filename":"c","status":"renamed"}]"#;
    page(1, first).mount(&gitea.server).await;
    page(2, second).mount(&gitea.server).await;
    page(3, "[]").mount(&gitea.server).await;
    let changed = |path: &str, deleted| Changed {
        path: path.into(),
        deleted,
    };
    assert_eq!(
        gitea.forge.changes(7).await.unwrap(),
        [
            changed("a", false),
            changed("b", true),
            changed("c", true),
            changed("d", false)
        ]
    );
}

/// As Gitea sends it to somebody who is no administrator: the rule's name is empty.
const PROTECTED: &str = r#"{"commit":{"id":"0465b148"},"protected":true,"required_approvals":1,"enable_status_check":true,
"status_check_contexts":["vdb/validate"],"user_can_push":false,"effective_branch_protection_name":"NAME"}"#;

#[rstest::rstest]
#[case::no_administrator("", 200, r#"{"enable_push":true}"#, false)]
#[case::rule_lets_push("main", 200, r#"{"enable_push":true}"#, true)]
#[case::rule_lets_some_push(
    "main",
    200,
    r#"{"enable_push":true,"enable_push_whitelist":true,"push_whitelist_usernames":["engineer"],"push_whitelist_teams":null}"#,
    true
)]
#[case::rule_lets_nobody_of_a_list_push(
    "main",
    200,
    r#"{"enable_push":true,"enable_push_whitelist":true,"push_whitelist_usernames":[]}"#,
    false
)]
#[case::rule_is_not_shown("main", 403, "{}", false)]
#[case::rule_is_gone("main", 404, NOT_FOUND, false)]
#[tokio::test]
async fn a_rule_that_is_not_shown_is_not_taken_for_none(
    #[case] name: &str,
    #[case] status: u16,
    #[case] rule: &str,
    #[case] pushes_allowed: bool,
) {
    let gitea = gitea().await;
    let branch = PROTECTED.replace("NAME", name);
    gitea.answers("GET", "/branches/main", 200, &branch).await;
    gitea
        .answers("GET", "/branch_protections/main", status, rule)
        .await;
    let expected = Protection {
        protected: true,
        required_approvals: 1,
        required_checks: vec!["vdb/validate".into()],
        pushes_allowed,
    };
    assert_eq!(gitea.forge.protection().await.unwrap(), expected);
}

#[tokio::test]
async fn a_branch_without_a_rule_is_open_and_a_missing_one_is_an_error() {
    let gitea = gitea().await;
    assert!(gitea.forge.protection().await.is_err());
    let branch = r#"{"commit":{"id":"0465b148"},"protected":false,"user_can_push":true}"#;
    gitea.answers("GET", "/branches/main", 200, branch).await;
    let open = gitea.forge.protection().await.unwrap();
    assert!(!open.protected && open.pushes_allowed);
}

#[rstest::rstest]
#[case::token_refused(
    401,
    r#"{"message":"invalid username, password or token secret-token"}"#,
    "refuses the token",
    "renew the token"
)]
#[case::branch_protected(
    403,
    r#"{"message":"user cannot commit to repo [user: vdb-bot]"}"#,
    "user cannot commit to repo",
    "must not be protected"
)]
#[case::archived(
    423,
    r#"{"message":"This repo is archived"}"#,
    "archived",
    "write access"
)]
#[case::gone(404, NOT_FOUND, "does not know", "forge.owner")]
#[case::broken(500, "<html>500</html>", "answered 500", "wait until")]
#[tokio::test]
async fn each_refusal_names_what_to_change_and_never_the_token(
    #[case] status: u16,
    #[case] body: &str,
    #[case] says: &str,
    #[case] hint: &str,
) {
    let gitea = gitea().await;
    gitea.answers("POST", "/contents", status, body).await;
    let error = gitea
        .forge
        .commit(&draft("538c360b", "vdb/x", vec![]))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(says) && !text.contains("secret-token"),
        "{text}"
    );
    assert!(error.hint().contains(hint), "{}", error.hint());
}

#[tokio::test]
async fn a_forge_that_is_down_is_said() {
    let settings = serde_json::json!({"kind": "gitea", "url": "http://127.0.0.1:9", "owner": "a", "repository": "b", "tokenFile": "/dev/null"});
    let error = connect(serde_json::from_value(settings.clone()).unwrap())
        .unwrap()
        .base()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("token file"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("t"), "x").unwrap();
    let mut settings: Settings = serde_json::from_value(settings).unwrap();
    settings.token_file = Some(directory.path().join("t"));
    let error = connect(settings).unwrap().base().await.unwrap_err();
    assert!(
        error.to_string().contains("does not answer") && error.is_transient(),
        "{error}"
    );
}
