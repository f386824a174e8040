//! Against real repositories in a temporary directory.

use super::said::without_credentials;
use super::*;

pub(in crate::env) struct World {
    _directory: tempfile::TempDir,
    remote: PathBuf,
    pub(in crate::env) clone: PathBuf,
}

fn sh(directory: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn clone(remote: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    sh(to, &["init", "--quiet", "--initial-branch=main"]);
    sh(to, &["remote", "add", "origin", &remote.to_string_lossy()]);
    sh(to, &["config", "user.name", "Engineer"]);
    sh(to, &["config", "user.email", "engineer@example.com"]);
}

pub(in crate::env) fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let (remote, at) = (
        directory.path().join("remote.git"),
        directory.path().join("clone"),
    );
    std::fs::create_dir(&remote).unwrap();
    sh(
        &remote,
        &["init", "--quiet", "--bare", "--initial-branch=main"],
    );
    clone(&remote, &at);
    World {
        _directory: directory,
        remote,
        clone: at,
    }
}

pub(in crate::env) fn name(text: &str) -> EnvironmentName {
    EnvironmentName::parse(text).unwrap()
}

pub(in crate::env) fn write(clone: &Path, name: &EnvironmentName, text: &str) {
    let path = clone.join(name.values_path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub(in crate::env) async fn push(
    git: &Git,
    clone: &Path,
    name: &EnvironmentName,
    text: &str,
) -> Pushed {
    write(clone, name, text);
    assert!(git.commit(name, "create").await.unwrap());
    git.push(name).await.unwrap()
}

#[tokio::test]
async fn the_first_environment_of_an_empty_repository_is_pushed_and_removed() {
    let world = world();
    let (git, name) = (
        Git::open(&world.clone, "main").await.unwrap(),
        name("feat-1"),
    );
    git.update(&name).await.unwrap();
    assert!(git.environments().await.unwrap().is_empty());
    std::fs::write(world.clone.join("notes.txt"), "mine").unwrap();
    assert_eq!(
        push(&git, &world.clone, &name, "a: 1\n").await,
        Pushed::Done
    );
    assert_eq!(
        sh(&world.remote, &["ls-tree", "-r", "--name-only", "main"]),
        "environments/feat-1/values.yaml"
    );
    // The second run finds everything done.
    git.update(&name).await.unwrap();
    assert!(!git.commit(&name, "create").await.unwrap());
    assert!(!git.is_ahead().await.unwrap());
    assert_eq!(
        git.environments().await.unwrap(),
        std::slice::from_ref(&name)
    );

    assert!(git.remove(&name, "retire").await.unwrap());
    assert!(git.is_ahead().await.unwrap());
    assert_eq!(git.push(&name).await.unwrap(), Pushed::Done);
    assert_eq!(
        sh(&world.remote, &["ls-tree", "-r", "--name-only", "main"]),
        ""
    );
    assert!(!git.remove(&name, "retire").await.unwrap());
    assert!(world.clone.join("notes.txt").exists());
}

#[tokio::test]
async fn a_push_that_is_overtaken_goes_on_top() {
    let world = world();
    let other = world.clone.with_file_name("other");
    let git = Git::open(&world.clone, "main").await.unwrap();
    push(&git, &world.clone, &name("feat-1"), "a: 1\n").await;
    clone(&world.remote, &other);
    let second = Git::open(&other, "main").await.unwrap();
    second.update(&name("feat-2")).await.unwrap();
    push(&second, &other, &name("feat-2"), "a: 2\n").await;
    assert_eq!(
        push(&git, &world.clone, &name("feat-12"), "a: 3\n").await,
        Pushed::Done
    );
    let names: Vec<_> = git
        .environments()
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["feat-1", "feat-12", "feat-2"]);
}

#[tokio::test]
async fn a_protected_branch_is_told_apart_and_the_commit_taken_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    let git = Git::open(&world.clone, "main").await.unwrap();
    push(&git, &world.clone, &name("feat-1"), "a: 1\n").await;
    let hook = world.remote.join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(
        &hook,
        "#!/bin/sh\necho 'Not allowed to push to protected branch main'\nexit 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = push(&git, &world.clone, &name("feat-2"), "a: 2\n").await;
    assert_eq!(
        refused,
        Pushed::Protected("Not allowed to push to protected branch main".into())
    );
    git.take_back().await.unwrap();
    assert!(!git.is_ahead().await.unwrap());
    assert!(git.files(&name("feat-2")).await.unwrap().is_empty());
}

#[tokio::test]
async fn foreign_commits_are_not_pushed_along() {
    let world = world();
    let (git, one) = (
        Git::open(&world.clone, "main").await.unwrap(),
        name("feat-1"),
    );
    push(&git, &world.clone, &one, "a: 1\n").await;
    push_nothing(&git, &world.clone).await;
    let error = git.update(&one).await.unwrap_err();
    assert!(
        matches!(error, Error::ForeignCommits { path } if path == "environments/feat-2/values.yaml")
    );
}

async fn push_nothing(git: &Git, clone: &Path) {
    write(clone, &name("feat-2"), "a: 2\n");
    assert!(git.commit(&name("feat-2"), "create").await.unwrap());
}

#[tokio::test]
async fn what_is_not_committed_is_not_deleted() {
    let world = world();
    let (git, one) = (
        Git::open(&world.clone, "main").await.unwrap(),
        name("feat-1"),
    );
    push(&git, &world.clone, &one, "a: 1\n").await;
    write(&world.clone, &one, "a: 2\n");
    assert!(matches!(
        git.remove(&one, "retire").await,
        Err(Error::Uncommitted { .. })
    ));
}

#[tokio::test]
async fn a_folder_without_git_and_another_branch_are_said() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        Git::open(empty.path(), "main").await,
        Err(Error::NoClone { .. })
    ));
    let world = world();
    assert!(matches!(
        Git::open(&world.clone, "trunk").await,
        Err(Error::OtherBranch { .. })
    ));
}

#[test]
fn a_refusal_is_read_from_what_git_prints() {
    assert_eq!(
        refusal(" ! [rejected] HEAD -> main (fetch first)"),
        Refusal::Overtaken
    );
    assert_eq!(
        refusal(
            "remote: \nremote: error:\nremote: error: Gitea: Not allowed to push to protected branch main\n ! [remote rejected] (pre-receive hook declined)"
        ),
        Refusal::Protected("Gitea: Not allowed to push to protected branch main".into())
    );
    assert_eq!(
        refusal("fatal: Authentication failed for 'http://x/'"),
        Refusal::Other
    );
}

#[test]
fn a_message_holds_no_token() {
    let said = without_credentials(
        "fatal: unable to access 'http://engineer:s3cret@forge/x.git/': refused",
    );
    assert_eq!(
        said,
        "fatal: unable to access 'http://…@forge/x.git/': refused"
    );
}

#[test]
fn a_name_is_one_argument() {
    let git = Git {
        repository: "/r".into(),
        branch: "main".into(),
        _lock: None,
    };
    let command = git.command(&["rm", "-r", "--", "environments/feat-1"]);
    let arguments: Vec<_> = command
        .as_std()
        .get_args()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        arguments,
        ["-C", "/r", "rm", "-r", "--", "environments/feat-1"]
    );
}

#[tokio::test]
async fn two_runs_in_one_clone_take_turns() {
    let world = world();
    let first = Git::lock(&world.clone, "main").await.unwrap();
    let second = Git::lock(&world.clone, "main");
    tokio::pin!(second);
    let waited = tokio::time::timeout(std::time::Duration::from_millis(100), &mut second).await;
    assert!(waited.is_err(), "the second run did not wait");
    drop(first);
    second.await.unwrap();
}
