//! Against real repositories in a temporary directory.

use std::path::Path;

use clap::Parser;
use environment::capabilities::{OPERATOR, ORDERS_ALONE};

use super::*;
use crate::env::Command;

const FILE: &str = "\
# The team's database.
owner: group:default/team-orders   # ask in #orders
request:
  id: feat-1.create-0123456789
  by: 'engineer@example.com'
vdb:
  source: {type: dct-source, reference: '10.0.1.54:largedb'} # production
  database: {name: largedb, user: app}
  resources:
    requests: {cpu: 100m, memory: 256Mi}
    limits:
      memory: 512Mi     # enough for now
  postgresConfig:
  - name: work_mem # the planner's
    value: 4MB
";

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn read(arguments: &[&str]) -> Result<(Change, How)> {
    match Line::try_parse_from(["env"].iter().chain(arguments))?.command {
        Command::Update(args) => args.read(),
        Command::Refresh(args) => args.read(),
        Command::Extend(args) => args.read(),
        other => panic!("{other:?} is no change"),
    }
}

struct World {
    _directory: tempfile::TempDir,
    clone: std::path::PathBuf,
}

fn sh(directory: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl World {
    /// A clone whose remote holds one environment.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (remote, clone) = (
            directory.path().join("remote.git"),
            directory.path().join("clone"),
        );
        std::fs::create_dir_all(clone.join("environments/feat-1")).unwrap();
        std::fs::create_dir(&remote).unwrap();
        sh(
            &remote,
            &["init", "--quiet", "--bare", "--initial-branch=main"],
        );
        sh(&clone, &["init", "--quiet", "--initial-branch=main"]);
        sh(&clone, &["remote", "add", "origin", "../remote.git"]);
        sh(&clone, &["config", "user.name", "Engineer"]);
        sh(&clone, &["config", "user.email", "engineer@example.com"]);
        let world = Self {
            _directory: directory,
            clone,
        };
        world.write(FILE);
        sh(&world.clone, &["add", "."]);
        sh(&world.clone, &["commit", "--quiet", "-m", "first"]);
        sh(&world.clone, &["push", "--quiet", "origin", "main"]);
        world
    }

    fn path(&self) -> std::path::PathBuf {
        self.clone.join("environments/feat-1/values.yaml")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    /// The file on the remote's branch.
    fn published(&self) -> String {
        sh(
            &self.clone,
            &["show", "origin/main:environments/feat-1/values.yaml"],
        )
    }

    fn commits(&self, branch: &str) -> usize {
        sh(&self.clone, &["log", "--format=%h", branch])
            .lines()
            .count()
    }

    fn settings(&self) -> Settings {
        let clone = self.clone.to_string_lossy().into_owned();
        Settings::from(|name| (name == "VDB_REPO").then(|| clone.clone()))
    }

    async fn run(&self, arguments: &[&str]) -> Result<()> {
        let arguments = [arguments, &["--no-wait"]].concat();
        run(
            read(&arguments)?,
            &OPERATOR,
            &self.settings(),
            &Progress::new(),
        )
        .await
    }
}

#[tokio::test]
async fn an_update_changes_its_lines_alone_and_pushes_them_once() {
    let world = World::new();
    let update = [
        "update",
        "feat-1",
        "--memory",
        "1Gi",
        "--set",
        "work_mem=64MB",
        "--set",
        "random_page_cost=1.1",
    ];
    world.run(&update).await.unwrap();
    let changed = world.published();
    let wanted = FILE
        .replace("memory: 512Mi     # enough", "memory: \"1Gi\"     # enough")
        .replace(
            "{cpu: 100m, memory: 256Mi}",
            "\n      cpu: \"100m\"\n      memory: \"512Mi\"",
        )
        .replace("requests: \n", "requests:\n")
        .replace(
            "value: 4MB\n",
            "value: \"64MB\"\n  - name: \"random_page_cost\"\n    value: \"1.1\"\n",
        )
        .replace("'engineer@example.com'", "\"engineer@example.com\"");
    let id = |text: &str| {
        let values: Value = yaml::read(text).unwrap();
        values["request"]["id"].as_str().unwrap().to_owned()
    };
    assert!(id(&changed).starts_with("feat-1.update-"), "{changed}");
    let quoted = format!("\"{}\"", id(&changed));
    // Who asks is the same as before, so that line keeps its quotes.
    let wanted = wanted
        .replace("feat-1.create-0123456789", &quoted)
        .replace("\"engineer@example.com\"", "'engineer@example.com'");
    assert_eq!(changed, wanted);
    assert_eq!(
        sh(&world.clone, &["log", "-1", "--format=%B"]).trim_end(),
        "Update database environment feat-1\n\nRequested-by: engineer@example.com"
    );
    // The second run finds everything done.
    world.run(&update).await.unwrap();
    assert_eq!(world.commits("origin/main"), 2);
}

#[tokio::test]
async fn a_change_that_is_not_pushed_is_not_made_twice() {
    for change in [
        &["refresh", "feat-1"][..],
        &["extend", "feat-1", "--for", "2w"],
        &["extend", "feat-1", "--until", "2999-01-31T12:00:00Z"],
    ] {
        let world = World::new();
        let unpushed = [change, &["--no-push"]].concat();
        let result = world.run(&unpushed).await;
        if change.contains(&"--until") {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("at most 90 days"), "{error}");
            continue;
        }
        result.unwrap();
        assert_eq!(world.published(), FILE);
        world.run(&unpushed).await.unwrap();
        world.run(change).await.unwrap();
        assert_eq!(world.commits("origin/main"), 2, "{change:?}");
        let values: Value = yaml::read(&world.published()).unwrap();
        let id = values["request"]["id"].as_str().unwrap();
        assert!(id.starts_with(&format!("feat-1.{}-", change[0])), "{id}");
        let (token, expiry) = (
            &values["vdb"]["refresh"]["token"],
            &values["vdb"]["expiresAt"],
        );
        assert_eq!(
            (token == id, expiry.is_string()),
            (change[0] == "refresh", change[0] == "extend")
        );
        // Once it is pushed, the same words are another wish.
        world.run(change).await.unwrap();
        assert_eq!(world.commits("origin/main"), 3, "{change:?}");
    }
}

#[tokio::test]
async fn two_changes_before_a_push_are_both_kept() {
    let world = World::new();
    world
        .run(&["update", "feat-1", "--memory", "1Gi", "--no-push"])
        .await
        .unwrap();
    world
        .run(&["extend", "feat-1", "--for", "3d"])
        .await
        .unwrap();
    let values: Value = yaml::read(&world.published()).unwrap();
    assert_eq!(values["vdb"]["resources"]["limits"]["memory"], "1Gi");
    assert!(values["vdb"]["expiresAt"].is_string());
    assert_eq!(world.commits("origin/main"), 3);
}

#[tokio::test]
async fn what_is_in_the_way_is_said_and_nothing_is_changed() {
    let world = World::new();
    let update = |name| ["update", name, "--memory", "1Gi"];
    let error = world.run(&update("feat-9")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there is no environment feat-9 in Git"),
        "{error}"
    );
    let mine = FILE.replace("512Mi", "768Mi");
    world.write(&mine);
    let error = world.run(&update("feat-1")).await.unwrap_err();
    assert!(error.to_string().contains("not committed"), "{error}");
    assert_eq!(std::fs::read_to_string(world.path()).unwrap(), mine);
    // A comment inside the very list that would be written anew.
    world.write(&FILE.replace(
        "{cpu: 100m, memory: 256Mi}",
        "{cpu: 100m, # why\n      memory: 256Mi}",
    ));
    sh(&world.clone, &["commit", "--quiet", "-am", "a comment"]);
    let error = world.run(&update("feat-1")).await.unwrap_err();
    assert!(error.to_string().contains("line "), "{error}");
    assert_eq!(world.commits("origin/main"), 1);
}

#[tokio::test]
async fn what_the_operator_cannot_do_is_refused_before_git_is_touched() {
    let nowhere = Settings::from(|name| (name == "VDB_REPO").then(|| "/nowhere".into()));
    for arguments in [
        &["refresh", "feat-1"][..],
        &["extend", "feat-1", "--for", "3d"],
    ] {
        let (change, how) = read(arguments).unwrap();
        let problem = ORDERS_ALONE.missing(change.what(), "feat-1").unwrap();
        let error = run((change, how), &ORDERS_ALONE, &nowhere, &Progress::new())
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), problem.to_string());
    }
}

#[test]
fn wrong_arguments_are_all_named() {
    for (arguments, why) in [
        (&["update", "feat-1"][..], "nothing to change"),
        (&["update", "feat-1", "--set", "work_mem"], "NAME=VALUE"),
        (&["update", "feat-1", "--memory", "1GB"], "memory"),
        (&["update", "UP", "--memory", "1Gi"], "UP"),
        (&["extend", "feat-1"], "--until <TIME>"),
        (
            &[
                "extend",
                "feat-1",
                "--for",
                "2d",
                "--until",
                "2030-01-31T12:00:00Z",
            ],
            "cannot be used with",
        ),
        (&["extend", "feat-1", "--for", "14"], "14d or 2w"),
        (&["extend", "feat-1", "--until", "soon"], "no point in time"),
    ] {
        let error = read(arguments).unwrap_err().to_string();
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    let error = read(&["update", "feat-1", "--memory", "1GB", "--cpu", "x"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("memory") && error.contains("cpu"), "{error}");
    assert_eq!((days("14d"), days("2w")), (Ok(14), Ok(14)));
}

#[test]
fn the_result_for_programs_says_how_far_it_went() {
    let name = EnvironmentName::parse("feat-1").unwrap();
    let edited = Edited {
        text: String::new(),
        request: Some("feat-1.update-0123456789".into()),
        was_there: false,
    };
    let mut outcome = Outcome::new(&name, &edited);
    assert_eq!(
        outcome.json("PUSHED"),
        json!({"environment": "feat-1", "request": "feat-1.update-0123456789", "changed": true, "state": "PUSHED"})
    );
    outcome.pull_request = Some("https://forge/pulls/1".into());
    assert_eq!(
        outcome.json("PROPOSED")["pullRequest"],
        "https://forge/pulls/1"
    );
}
