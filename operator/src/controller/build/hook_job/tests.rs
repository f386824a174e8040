use std::process::Command;

use kube::api::ObjectMeta;
use rstest::rstest;

use super::*;
use crate::controller::build::Helper;
use crate::crd::PostgresVdb;
use crate::settings::Settings;

const HOST: &str = "orders-vdb.team.svc.cluster.local";

struct Order {
    cr: PostgresVdb,
    settings: Settings,
    helper: Helper,
}

fn order(database: &Value, hooks: &Value, settings: &str) -> Order {
    let spec = json!({
        "source": { "type": "dct-source", "reference": "h:d" }, "database": database, "hooks": hooks,
        "port": 6543, "ownershipSpec": "1001:1002",
    });
    let metadata = ObjectMeta {
        name: Some("orders-vdb".into()),
        namespace: Some("team".into()),
        uid: Some("8c1f".into()),
        ..ObjectMeta::default()
    };
    let text = "dct: { url: 'http://e', apiKeyFile: /k, group: vdbs }\nexport: { kind: local, prefix: /p, node: n }\n";
    Order {
        cr: PostgresVdb::new(metadata, serde_json::from_value(spec).unwrap()),
        settings: environment::yaml::read(&format!("{text}{settings}")).unwrap(),
        helper: Helper::new(Vec::new()),
    }
}

impl Order {
    fn frame(&self) -> Frame<'_> {
        Frame {
            cr: &self.cr,
            settings: &self.settings,
            helper: &self.helper,
            generation: 2,
        }
    }

    /// The Job of the first hook, as the API server gets it.
    fn job(&self) -> Value {
        let hook = &self.cr.spec.hooks[0];
        serde_json::to_value(hook_job(&self.frame(), hook)).unwrap()
    }
}

/// The Job of one hook, which has these fields beside those that it must have.
fn job_of(stage: &str, kind: &str, more: &Value) -> Value {
    let hook = hook(stage, kind, more);
    order(
        &json!({ "name": "orders", "user": "app" }),
        &json!([hook]),
        "",
    )
    .job()
}

fn hook(stage: &str, kind: &str, more: &Value) -> Value {
    let mut hook = json!({ "name": "mask", "stage": stage, "type": kind, "script": "x" });
    hook.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    hook
}

fn container_of(job: &Value) -> &Value {
    &job["spec"]["template"]["spec"]["containers"][0]
}

/// What the container sees of a variable: of two with one name the later.
fn variable<'a>(job: &'a Value, name: &str) -> Option<&'a Value> {
    let env = container_of(job)["env"].as_array().unwrap();
    env.iter().rfind(|variable| variable["name"] == name)
}

fn value<'a>(job: &'a Value, name: &str) -> Option<&'a str> {
    variable(job, name)?["value"].as_str()
}

#[test]
fn of_one_stage_the_lowest_weight_comes_first_and_five_stands_for_none() {
    let weighted = |name: &str, stage: &str, weight: Option<i32>| {
        let mut hook = hook(stage, "command", &json!({ "name": name }));
        if let Some(weight) = weight {
            hook["weight"] = json!(weight);
        }
        hook
    };
    let hooks = json!([
        weighted("sixth", "pre-delete", Some(6)),
        weighted("none", "pre-delete", None),
        weighted("other", "post-delete", Some(-9)),
        weighted("five", "pre-delete", Some(5)),
        weighted("first", "pre-delete", Some(-1)),
    ]);
    let order = order(&json!({}), &hooks, "");
    let names: Vec<_> = of_stage(&order.cr.spec.hooks, HookStage::PreDelete)
        .into_iter()
        .map(|hook| hook.name.as_str())
        .collect();
    assert_eq!(names, ["first", "none", "five", "sixth"]);
}

#[test]
fn the_name_is_of_the_hook_and_the_data_generation() {
    let named = |more: &Value, generation: u32| {
        let order = order(&json!({}), &json!([hook("post-create", "sql", more)]), "");
        let frame = Frame {
            generation,
            ..order.frame()
        };
        name(&frame, &order.cr.spec.hooks[0])
    };
    let first = named(&json!({}), 1);
    assert!(first.starts_with("orders-vdb-"), "{first}");
    assert_eq!(named(&json!({}), 1), first);
    assert_ne!(named(&json!({}), 2), first);
    for edited in [
        json!({ "script": "y" }),
        json!({ "as": "admin" }),
        json!({ "database": "other" }),
        json!({ "env": { "A": "b" } }),
        json!({ "backoffLimit": 1 }),
    ] {
        assert_ne!(named(&edited, 1), first, "{edited}");
    }
}

#[rstest]
#[case(json!({}), 3, 600)]
#[case(json!({ "backoffLimit": 0, "deadline": "8s" }), 0, 8)]
#[case(json!({ "backoffLimit": 2, "deadline": "2h" }), 2, 7200)]
// The API server takes no Job without time, and none with more than an i32 of it.
#[case(json!({ "deadline": "0s" }), 3, 1)]
#[case(json!({ "deadline": "9999999999h" }), 3, 8760 * 3600)]
fn it_is_tried_so_often_and_ended_at_its_deadline(
    #[case] more: Value,
    #[case] retries: i32,
    #[case] seconds: u64,
) {
    let spec = &job_of("post-create", "sql", &more)["spec"];
    assert_eq!(spec["backoffLimit"], retries);
    assert_eq!(spec["activeDeadlineSeconds"], seconds);
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
}

#[test]
fn without_a_deadline_of_its_own_the_operators_counts() {
    let hooks = json!([hook("post-create", "sql", &json!({}))]);
    let job = order(&json!({}), &hooks, "hookDeadline: 90s\n").job();
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 90);
}

#[test]
fn the_job_says_whose_it_is_and_its_pod_may_do_nothing_in_the_cluster() {
    let job = job_of("post-create", "command", &json!({}));
    let metadata = &job["metadata"];
    assert_eq!(metadata["annotations"][HOOK_ANNOTATION], "mask");
    assert_eq!(metadata["ownerReferences"][0]["uid"], "8c1f");
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsUser"], 1001);
    assert_eq!(pod["securityContext"]["runAsGroup"], 1002);
    let container = container_of(&job);
    assert_eq!(
        container["securityContext"],
        serde_json::to_value(container_security()).unwrap()
    );
    // What cannot be written elsewhere goes to memory.
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/tmp");
    assert_eq!(value(&job, "HOME"), Some("/tmp"));
}

#[test]
fn it_connects_to_its_own_database_as_the_platform_in_the_applications_role() {
    let job = job_of("post-create", "sql", &json!({}));
    for (name, wanted) in [
        ("PGHOST", HOST),
        ("PGPORT", "6543"),
        ("PGDATABASE", "orders"),
        ("PGUSER", ADMIN),
        ("PGOPTIONS", "-c role=app"),
        ("PGAPPNAME", "hook mask"),
    ] {
        assert_eq!(value(&job, name), Some(wanted), "{name}");
    }
    let password = &variable(&job, "PGPASSWORD").unwrap()["valueFrom"]["secretKeyRef"];
    assert_eq!(
        password,
        &json!({ "name": "orders-vdb-admin", "key": "password" })
    );
}

#[rstest]
#[case::admin(json!({ "as": "admin" }), "PGOPTIONS", None)]
#[case::application(json!({ "as": "application" }), "PGOPTIONS", Some("-c role=app"))]
#[case::database(json!({ "database": "audit" }), "PGDATABASE", Some("audit"))]
#[case::own(json!({ "env": { "WORD": "it's" } }), "WORD", Some("it's"))]
// Kubernetes makes one of two, and takes $(NAME) for another variable's value.
#[case::dollars(json!({ "env": { "WORD": "$(PGPASSWORD) $$" } }), "WORD", Some("$$(PGPASSWORD) $$$$"))]
#[case::quotes(json!({ "script": "do $$ begin end $$" }), "VDB_HOOK_SCRIPT", Some("do $$$$ begin end $$$$"))]
// Where to connect, and what runs, is not the environment's to say.
#[case::host(json!({ "env": { "PGHOST": "evil" } }), "PGHOST", Some(HOST))]
#[case::user(json!({ "env": { "PGOPTIONS": "-c role=boss" } }), "PGOPTIONS", Some("-c role=app"))]
#[case::script(json!({ "env": { "VDB_HOOK_SCRIPT": "y" } }), "VDB_HOOK_SCRIPT", Some("x"))]
fn what_is_ordered_shows_in_its_environment(
    #[case] more: Value,
    #[case] name: &str,
    #[case] wanted: Option<&str>,
) {
    assert_eq!(value(&job_of("pre-refresh", "sql", &more), name), wanted);
}

#[rstest]
#[case("pre-create", false)]
#[case("post-create", true)]
#[case("pre-refresh", true)]
#[case("post-refresh", true)]
#[case("pre-delete", true)]
#[case("post-delete", false)]
fn where_there_is_a_database_it_knows_the_way(#[case] stage: &str, #[case] knows: bool) {
    let env = json!({ "env": { "WORD": "a" } });
    let job = job_of(stage, "command", &env);
    for name in ["PGHOST", "PGDATABASE", "PGUSER", "PGPASSWORD"] {
        assert_eq!(variable(&job, name).is_some(), knows, "{name}");
    }
    assert_eq!(value(&job, "WORD"), Some("a"));
}

#[test]
fn secrets_and_config_maps_come_in_the_order_in_which_they_are_named() {
    let from = json!({ "envFrom": [
        { "configMapRef": { "name": "words" } },
        { "secretRef": { "name": "key" } },
    ] });
    assert_eq!(
        container_of(&job_of("post-delete", "command", &from))["envFrom"],
        from["envFrom"]
    );
}

#[test]
fn on_a_target_host_with_a_role_of_the_source_it_comes_as_that_role() {
    let database = json!({ "name": "orders", "user": "legacy", "passwordSecretRef": "theirs" });
    let remote = "remote: { sources: ['*'], hosts: [10.0.2.0/24] }\n";
    let hooks = json!([hook("post-create", "sql", &json!({}))]);
    let job = order(&database, &hooks, remote).job();
    assert_eq!(value(&job, "PGUSER"), Some("legacy"));
    assert_eq!(variable(&job, "PGOPTIONS"), None);
    let password = &variable(&job, "PGPASSWORD").unwrap()["valueFrom"]["secretKeyRef"];
    assert_eq!(password["name"], "theirs");
}

/// Runs the container's command here in its environment, with a `psql` that shows how it was called and what it read.
fn run(kind: &str, more: &Value, script: &str) -> (Option<i32>, String) {
    let mut more = more.clone();
    more["script"] = json!(script);
    let job = job_of("post-create", kind, &more);
    let env = container_of(&job)["env"].as_array().unwrap().iter();
    let env =
        env.filter_map(|v| Some((v["name"].as_str()?, v["value"].as_str()?.replace("$$", "$"))));
    let command: Vec<String> =
        serde_json::from_value(container_of(&job)["command"].clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let psql = folder.path().join("psql");
    std::fs::write(&psql, "#!/bin/sh\necho \"$@\"\ncat\nexit 3\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&psql, executable).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(&command[0])
        .args(&command[1..])
        .envs(env)
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

#[test]
fn sql_goes_to_psql_as_it_was_written_in_one_transaction_unless_told_otherwise() {
    let script = "select '%s \\n $HOME `id`', \"a\"\n  from b";
    let called = "-X -q -w -v ON_ERROR_STOP=1";
    let read = |options: &str| (Some(3), format!("{called}{options} -f -\n{script}\n"));
    let sql = |more: Value| run("sql", &more, script);
    assert_eq!(sql(json!({})), read(" --single-transaction"));
    assert_eq!(
        sql(json!({ "transaction": true })),
        read(" --single-transaction")
    );
    assert_eq!(sql(json!({ "transaction": false })), read(""));
}

#[test]
fn a_command_is_a_shells_and_its_end_is_the_hooks() {
    let script = "echo \"a  b\" 'c\"d'; false || exit 7; echo never";
    assert_eq!(
        run("command", &json!({}), script),
        (Some(7), "a  b c\"d\n".to_owned())
    );
}

/// As many characters as the schema takes, of as many bytes as a character can have.
#[test]
fn the_longest_script_starts_and_arrives_whole() {
    let head = "word='";
    let tail = "'; echo ${#word}; false || exit 7";
    let characters = 65_536 - head.len() - tail.len();
    let long = "\u{1f418}".repeat(characters);
    let (code, text) = run("command", &json!({}), &format!("{head}{long}{tail}"));
    assert_eq!(code, Some(7), "{text}");
    // A shell counts characters or bytes, by its language.
    let length: usize = text.trim().parse().unwrap();
    assert!(length == characters || length == long.len(), "{length}");

    let script = format!("select '{long}'");
    let (code, text) = run("sql", &json!({ "transaction": false }), &script);
    assert_eq!(code, Some(3));
    let read = text.split_once('\n').unwrap().1;
    assert!(
        read == format!("{script}\n"),
        "{} of {} bytes",
        read.len(),
        script.len()
    );
    let job = job_of(
        "post-create",
        "sql",
        &json!({ "script": script, "env": { "VDB_HOOK_SCRIPT_2": "y" } }),
    );
    for name in ["VDB_HOOK_SCRIPT", "VDB_HOOK_SCRIPT_2", "VDB_HOOK_SCRIPT_3"] {
        let part = value(&job, name).unwrap();
        assert!(
            part != "y" && part.len() < 128 * 1024 - name.len() - 2,
            "{name}"
        );
    }
}
