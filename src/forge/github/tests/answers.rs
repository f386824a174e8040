//! Answers that the small GitHub does not give: refusals, forks, links.

use std::sync::Arc;

use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::forge::tests::{draft, put};
use crate::forge::{Error, Forge, PullState, connect};

pub(super) struct Answers {
    server: MockServer,
    pub(super) forge: Arc<dyn Forge>,
    _directory: tempfile::TempDir,
}

pub(super) async fn github() -> Answers {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "secret-token\n").unwrap();
    let settings = serde_json::json!({
        "kind": "github", "url": "https://github.com", "apiUrl": server.uri(), "graphqlUrl": format!("{}/graphql", server.uri()),
        "owner": "acme", "repository": "databases", "tokenFile": token_file,
    });
    let forge = connect(serde_json::from_value(settings).unwrap()).unwrap();
    Answers {
        server,
        forge,
        _directory: directory,
    }
}

impl Answers {
    pub(super) async fn answer(&self, verb: &str, at: &str, answer: ResponseTemplate) {
        self.answer_times(verb, at, answer, 0..).await;
    }

    pub(super) async fn answer_times(
        &self,
        verb: &str,
        at: &str,
        answer: ResponseTemplate,
        times: impl Into<wiremock::Times>,
    ) {
        let at = match at {
            "/graphql" => at.to_owned(),
            _ => format!("/repos/acme/databases{at}"),
        };
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(answer)
            .expect(times)
            .mount(&self.server)
            .await;
    }
}

pub(super) fn said(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json")
}

/// In the shape of a list's entry, shortened. Its branch has our name, its repository is a fork.
const FORKS: &str = r#"[{"number":7,"state":"open","title":"t","body":null,"html_url":"https://github.com/acme/databases/pull/7","merged_at":null,
"closed_at":null,"merge_commit_sha":"e5bd3914","created_at":"2026-11-23T10:00:00Z","labels":[],"requested_reviewers":[],"requested_teams":[],
"head":{"label":"mallory:vdb/feat-1.create-0123456789","ref":"vdb/feat-1.create-0123456789","sha":"6dcb09b5","repo":{"full_name":"mallory/databases"}},
"base":{"label":"acme:main","ref":"main","sha":"9fccf387","repo":{"full_name":"acme/databases"}}}]"#;

#[tokio::test]
async fn a_forks_branch_never_passes_for_one_of_ours() {
    let github = github().await;
    github.answer("GET", "/pulls", said(200, FORKS)).await;
    let found = github.forge.find("vdb/feat-1.create-0123456789").await;
    assert_eq!(found.unwrap(), None);
    let pull = github.forge.open_pulls().await.unwrap().remove(0);
    assert_eq!(pull.branch, "mallory:vdb/feat-1.create-0123456789");
    assert_eq!((pull.state, pull.body.as_str()), (PullState::Open, ""));
}

#[tokio::test]
async fn a_pull_request_of_a_fork_that_is_gone_is_readable() {
    let github = github().await;
    let gone = FORKS.replace(
        r#""repo":{"full_name":"mallory/databases"}"#,
        r#""repo":null"#,
    );
    github.answer("GET", "/pulls", said(200, &gone)).await;
    assert_eq!(github.forge.open_pulls().await.unwrap().len(), 1);
    assert_eq!(
        github
            .forge
            .find("vdb/feat-1.create-0123456789")
            .await
            .unwrap(),
        None
    );
}

#[rstest::rstest]
#[case::token_refused(
    401,
    r#"{"message":"Bad credentials secret-token"}"#,
    "refuses the token",
    "renew the token"
)]
#[case::no_right(
    403,
    r#"{"message":"Resource not accessible by personal access token"}"#,
    "not accessible",
    "write access"
)]
#[case::moved(
    301,
    r#"{"message":"Moved Permanently"}"#,
    "acme/databases has moved",
    "forge settings"
)]
#[case::ruleset(422, r#"{"message":"Repository rule violations found","errors":["Cannot create ref due to creations being restricted."]}"#, "creations being restricted", "forge's log")]
#[case::broken(500, "<html>500</html>", "answered 500", "wait until")]
#[tokio::test]
async fn each_refusal_names_what_to_change_and_never_the_token(
    #[case] status: u16,
    #[case] body: &str,
    #[case] says: &str,
    #[case] hint: &str,
) {
    let github = github().await;
    github
        .answer(
            "GET",
            "/git/ref/heads/vdb/x",
            said(404, r#"{"message":"Not Found"}"#),
        )
        .await;
    github.answer("POST", "/git/refs", said(status, body)).await;
    let wanted = draft("538c360b", "vdb/x", vec![put("a", "b")]);
    let error = github.forge.commit(&wanted).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(says) && !text.contains("secret-token"),
        "{text}"
    );
    assert!(error.hint().contains(hint), "{}", error.hint());
}

#[tokio::test]
async fn a_commit_that_graphql_refuses_is_an_error_with_its_reason() {
    let github = github().await;
    let reference = r#"{"ref":"refs/heads/vdb/x","object":{"sha":"538c360b"}}"#;
    github
        .answer("GET", "/git/ref/heads/vdb/x", said(200, reference))
        .await;
    let body = r#"{"data":{"createCommitOnBranch":null},"errors":[{"type":"FORBIDDEN","path":["createCommitOnBranch"],"message":"Resource not accessible by integration"}]}"#;
    github.answer("POST", "/graphql", said(200, body)).await;
    let wanted = draft("538c360b", "vdb/x", vec![put("a", "b")]);
    let error = github.forge.commit(&wanted).await.unwrap_err();
    assert!(
        matches!(&error, Error::Forbidden { message, .. } if message.contains("by integration")),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_text_file_is_not_read_as_one() {
    let github = github().await;
    github
        .answer("GET", "/contents/directory", said(200, "[]"))
        .await;
    github
        .answer(
            "GET",
            "/contents/module",
            said(200, r#"{"type":"submodule","path":"module"}"#),
        )
        .await;
    let large = r#"{"type":"file","path":"large","encoding":"none","content":""}"#;
    github
        .answer("GET", "/contents/large", said(200, large))
        .await;
    let binary = r#"{"type":"file","path":"binary","encoding":"base64","content":"/w==\n"}"#;
    github
        .answer("GET", "/contents/binary", said(200, binary))
        .await;
    assert_eq!(github.forge.read("main", "directory").await.unwrap(), None);
    assert_eq!(github.forge.read("main", "module").await.unwrap(), None);
    let why = async |path| {
        github
            .forge
            .read("main", path)
            .await
            .unwrap_err()
            .to_string()
    };
    assert!(why("large").await.contains("larger than 1 MiB"));
    assert!(why("binary").await.contains("not text"));
}

#[tokio::test]
async fn links_are_told_from_files() {
    let github = github().await;
    let entries = r#"[{"type":"file","path":"d/file","download_url":"https://raw.githubusercontent.com/x"},{"type":"dir","path":"d/dir","download_url":null},
        {"type":"symlink","path":"d/link","download_url":"https://raw.githubusercontent.com/y"},{"type":"file","path":"d/module","size":0,"download_url":null}]"#;
    github
        .answer("GET", "/contents/d", said(200, entries))
        .await;
    let entries = github.forge.list("main", "d").await.unwrap();
    let links: Vec<_> = entries
        .iter()
        .map(|e| (e.is_directory, e.is_link))
        .collect();
    assert_eq!(
        links,
        [(false, false), (true, false), (false, true), (false, true)]
    );
    let many = serde_json::json!({"type": "dir", "path": "big/x"});
    let many = serde_json::Value::from(vec![many; 1000]).to_string();
    github
        .answer("GET", "/contents/big", said(200, &many))
        .await;
    let tree = r#"{"data":{"repository":{"object":{"entries":[{"path":"big/a","type":"blob","mode":33188},{"path":"big/b","type":"blob","mode":40960},
        {"path":"big/c","type":"commit","mode":57344},{"path":"big/d","type":"tree","mode":16384}]}}}}"#;
    github.answer("POST", "/graphql", said(200, tree)).await;
    let entries = github.forge.list("main", "big").await.unwrap();
    let links: Vec<_> = entries
        .iter()
        .map(|e| (e.is_directory, e.is_link))
        .collect();
    assert_eq!(
        links,
        [(false, false), (false, true), (false, true), (true, false)]
    );
}

#[tokio::test]
async fn who_merged_is_told() {
    let github = github().await;
    let one = FORKS.trim_start_matches('[').trim_end_matches(']').replace(
        r#""state":"open""#,
        r#""state":"closed","user":{"login":"vdb[bot]"},"merged_by":{"login":"rita"}"#,
    );
    github.answer("GET", "/pulls/7", said(200, &one)).await;
    let pull = github.forge.pull(7).await.unwrap().unwrap();
    assert_eq!(
        (pull.author.as_str(), pull.merged_by.as_deref()),
        ("vdb[bot]", Some("rita"))
    );
}

#[tokio::test]
async fn more_files_than_github_shows_are_told_as_too_many() {
    let github = github().await;
    let file = serde_json::json!({"filename": "f", "status": "added"});
    let page = serde_json::Value::from(vec![file; 100]).to_string();
    github
        .answer_times("GET", "/pulls/1/files", said(200, &page), 30)
        .await;
    let error = github.forge.changes(1).await.unwrap_err();
    assert!(
        matches!(error, Error::Refused { status: 413, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_renamed_file_came_and_went() {
    let github = github().await;
    let files = r#"[{"filename":"new","previous_filename":"old","status":"renamed"},{"filename":"copy","previous_filename":"new","status":"copied"}]"#;
    github
        .answer("GET", "/pulls/1/files", said(200, files))
        .await;
    let changes = github.forge.changes(1).await.unwrap();
    let changes: Vec<_> = changes
        .iter()
        .map(|c| (c.path.as_str(), c.deleted))
        .collect();
    assert_eq!(changes, [("new", false), ("old", true), ("copy", false)]);
}

#[tokio::test]
async fn an_empty_repository_and_one_that_is_not_there_are_said() {
    let github = github().await;
    github
        .answer(
            "GET",
            "/git/ref/heads/main",
            said(409, r#"{"message":"Git Repository is empty."}"#),
        )
        .await;
    let error = github.forge.base().await.unwrap_err();
    assert!(
        error.to_string().contains("branch main of acme/databases"),
        "{error}"
    );
}
