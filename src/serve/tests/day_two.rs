//! What people do with an environment that exists, through the portal's calls.

use super::*;

/// An environment that was ordered, merged and is ready.
async fn running(stage: &Stage) -> String {
    let published = stage.invoke("publish", order(&json!({}))).await.body["output"].clone();
    stage.forge.merge(1);
    stage.app.pulls.forget().await;
    let id = published["requestId"].as_str().unwrap().to_owned();
    stage.live(&id, "True");
    id
}

#[tokio::test]
async fn an_update_goes_from_form_to_database() {
    let stage = Stage::set().await;
    running(&stage).await;
    let input = json!({"name": "feat-1", "memory": "1Gi", "cpu": "", "postgresConfig": [], "requestId": "task-2"});
    let proposed = stage.invoke("update", input.clone()).await.body["output"].clone();
    assert_eq!(
        (
            &proposed["state"],
            &proposed["pullRequestNumber"],
            &proposed["entityRef"]
        ),
        (
            &json!("PROPOSED"),
            &json!(2),
            &json!("resource:default/feat-1")
        )
    );
    let view = stage.get("/v1/environments/feat-1").await.body;
    assert_eq!(
        (&view["state"], &view["request"]["state"]),
        (&json!("READY"), &json!("PROPOSED"))
    );
    stage.forge.merge(2);
    let id = proposed["requestId"].as_str().unwrap();
    let wait = json!({"requestId": id, "timeoutSeconds": 0});
    assert_eq!(
        stage.invoke("wait", wait.clone()).await.body["output"]["state"],
        "MERGED"
    );
    stage.live(id, "True");
    let ready = stage.invoke("wait", wait).await.body["output"].clone();
    assert_eq!(
        (&ready["state"], &ready["ready"]),
        (&json!("READY"), &json!(true))
    );
    // The same call again finds it done.
    let again = stage.invoke("update", input).await.body["output"].clone();
    assert_eq!(
        (&again["requestId"], &again["state"]),
        (&proposed["requestId"], &json!("READY"))
    );
    assert_eq!(stage.forge.pulls().len(), 2);
}

/// A sidecar that can do everything, with these limits, and an environment that runs.
async fn limited(change: impl FnOnce(&mut crate::serve::settings::Orders)) -> Stage {
    let stage = Stage::set_with(|settings, _| change(&mut settings.orders)).await;
    running(&stage).await;
    stage
}

#[tokio::test]
async fn an_update_beyond_a_limit_is_refused_with_its_numbers_and_a_smaller_one_is_not() {
    let stage = limited(|orders| {
        orders.max_memory_per_owner = Some(environment::quantity::Quantity::new("3Gi"));
    })
    .await;
    // Another environment of the same owner.
    let mut other = stage.cluster.databases.lock().unwrap()[0].clone();
    other.namespace = "postgres-vdbs-other".into();
    other.spec["resources"] = json!({"requests": {"memory": "1Gi"}});
    stage.cluster.databases.lock().unwrap().push(other);
    let update = |change: Value| {
        let mut input = json!({"name": "feat-1", "requestId": "task-2"});
        input
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        input
    };
    let refused = stage
        .invoke("update", update(json!({"memory": "6Gi"})))
        .await;
    assert_eq!(refused.status, 429, "{}", refused.phrase);
    assert!(
        refused.phrase.contains(
            "would reserve 4Gi of at most 3Gi memory: 3Gi here, 1Gi in other environments"
        ),
        "{}",
        refused.phrase
    );
    assert_eq!(refused.retry_after, None, "time does not help");
    // Beyond what Kubernetes grants one environment: its server would not come back.
    let refused = stage.invoke("update", update(json!({"cpu": "50"}))).await;
    assert_eq!(refused.status, 429, "{}", refused.phrase);
    assert!(
        refused
            .phrase
            .contains("environment feat-1 would reserve 5 of at most 4 CPU"),
        "{}",
        refused.phrase
    );
    assert_eq!(stage.forge.pulls().len(), 1, "nothing was proposed");
    let well = stage
        .invoke("update", update(json!({"memory": "4Gi"})))
        .await;
    assert_eq!(well.status, 200, "{}", well.phrase);
    // What was asked for before is not refused by a limit that it uses up itself.
    let again = stage
        .invoke("update", update(json!({"memory": "4Gi"})))
        .await;
    assert_eq!(again.body, well.body);
}

#[tokio::test]
async fn a_change_counts_as_an_order_and_an_order_meets_the_amounts_too() {
    let stage = limited(|orders| {
        orders.max_orders_per_hour = 1;
        orders.max_cpu_per_owner = Some(environment::quantity::Quantity::new("100m"));
    })
    .await;
    let input = json!({"name": "feat-1", "postgresConfig": [{"name": "work_mem", "value": "8MB"}], "requestId": "task-2"});
    let refused = stage.invoke("update", input).await;
    assert_eq!(refused.status, 429, "{}", refused.phrase);
    assert!(
        refused
            .phrase
            .contains("1 orders of at most 1 within an hour"),
        "{}",
        refused.phrase
    );
    assert!(refused.retry_after.is_some());
    let stage = limited(|orders| {
        orders.max_cpu_per_owner = Some(environment::quantity::Quantity::new("100m"));
    })
    .await;
    let large = order(&json!({"name": "feat-2", "cpu": "2", "requestId": "task-3"}));
    let refused = stage.invoke("publish", large.clone()).await;
    assert_eq!(refused.status, 429, "{}", refused.phrase);
    assert!(
        refused
            .phrase
            .contains("would reserve 200m of at most 100m CPU"),
        "{}",
        refused.phrase
    );
    let mut asked = large;
    asked["reportOnly"] = json!(true);
    let checked = stage.invoke("validate", asked).await.body;
    assert!(
        checked["output"]["report"]
            .as_str()
            .unwrap()
            .contains("100m CPU"),
        "{checked}"
    );
}

#[tokio::test]
async fn a_protected_environment_is_not_retired_until_its_protection_is_lifted() {
    let stage = Stage::set().await;
    running(&stage).await;
    let values = "environments/feat-1/values.yaml";
    let was = stage.forge.base_files()[values].clone();
    let protected = was.replace("\nvdb:\n", "\nvdb:\n  protected: true\n");
    assert_ne!(protected, was);
    let name = environment::EnvironmentName::parse("feat-1").unwrap();
    environment::Values::parse(&name, &protected).expect("the field is in the schema");
    stage.forge.push(|files| {
        files.insert(values.into(), protected);
    });
    let retire = json!({"name": "feat-1", "requestId": "task-2"});
    let refused = stage.invoke("retire", retire.clone()).await;
    assert_eq!(refused.status, 409, "{}", refused.phrase);
    assert_eq!(
        refused.phrase,
        "name: environment feat-1 is protected; set protected: false in a pull request of its own, merge that first"
    );
    assert_eq!(stage.forge.pulls().len(), 1);
    stage.forge.push(|files| {
        files.insert(values.into(), was);
    });
    assert_eq!(stage.invoke("retire", retire).await.status, 200);
}

#[rstest]
#[case("extend", json!({"name": "feat-1", "days": 3}), "do not expire yet")]
#[case("bookmark", json!({"name": "feat-1", "requestId": "k"}), "cannot keep bookmarks yet")]
#[tokio::test]
async fn what_the_operator_cannot_do_is_refused_in_one_line_and_listed_so(
    #[case] action: &str,
    #[case] input: Value,
    #[case] why: &str,
) {
    let stage = Stage::unable().await;
    running(&stage).await;
    let answer = stage.invoke(action, input.clone()).await;
    assert!(
        answer.status == 409 && answer.phrase.contains(why),
        "{} {}",
        answer.status,
        answer.phrase
    );
    assert_eq!(
        (stage.forge.pulls().len(), stage.forge.branches().len()),
        (1, 1)
    );
    let list = stage.get("/.backstage/actions/v1/actions").await.body;
    let listed = list["actions"].as_array().unwrap();
    let listed = listed.iter().find(|a| a["name"] == action).unwrap();
    assert!(
        listed["description"]
            .as_str()
            .unwrap()
            .starts_with("Refused: "),
        "{listed}"
    );
}

#[tokio::test]
async fn an_environment_says_what_can_be_done_with_it() {
    let stage = Stage::unable().await;
    running(&stage).await;
    let view = stage.get("/v1/environments/feat-1").await.body;
    let told = |action: &str| {
        let all = view["capabilities"].as_array().unwrap();
        all.iter().find(|c| c["action"] == action).unwrap().clone()
    };
    assert_eq!(
        told("update"),
        json!({"action": "update", "possible": true})
    );
    assert_eq!(
        told("retire"),
        json!({"action": "retire", "possible": true})
    );
    // What is said here is what an action is refused with.
    for (action, input) in [
        ("refresh", json!({"name": "feat-1"})),
        ("extend", json!({"name": "feat-1", "days": 3})),
        ("bookmark", json!({"name": "feat-1", "requestId": "task-2"})),
    ] {
        let (told, answer) = (told(action), stage.invoke(action, input).await);
        assert_eq!(told["possible"], false, "{told}");
        assert!(
            answer.status == 409 && answer.phrase.contains(told["reason"].as_str().unwrap()),
            "{told}: {}",
            answer.phrase
        );
    }
    let list = stage.get("/v1/environments").await.body;
    assert!(list["items"][0].get("capabilities").is_none());
}

#[tokio::test]
async fn changes_need_a_user_and_the_owner() {
    let stage = Stage::set().await;
    running(&stage).await;
    for (action, input) in [
        ("update", json!({"name": "feat-1", "cpu": "2"})),
        ("refresh", json!({"name": "feat-1"})),
        ("extend", json!({"name": "feat-1", "days": 3})),
        ("bookmark", json!({"name": "feat-1", "requestId": "task-2"})),
    ] {
        assert_eq!(
            stage.invoke_as(None, action, input.clone()).await.status,
            403,
            "{action}"
        );
        let answer = stage
            .invoke_as(Some("user:default/stranger"), action, input)
            .await;
        assert!(
            answer.status == 403 && answer.phrase.contains("not a member"),
            "{action}: {}",
            answer.phrase
        );
    }
    assert!(stage.cluster.bookmarks.lock().unwrap().is_empty());
    assert_eq!(stage.forge.pulls().len(), 1);
}

#[tokio::test]
async fn the_list_shows_mine_and_all_where_asked_for() {
    let stage = Stage::set().await;
    let id = running(&stage).await;
    let names = |answer: Answer| -> Vec<String> {
        let items = answer.body["output"]["environments"]
            .as_array()
            .unwrap()
            .clone();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let mine = stage.invoke("list", json!({})).await;
    assert_eq!(mine.body["output"]["environments"][0]["state"], "READY");
    assert_eq!(names(mine), ["feat-1"]);
    let stranger = Some("user:default/stranger");
    assert!(names(stage.invoke_as(stranger, "list", json!({})).await).is_empty());
    assert_eq!(
        names(
            stage
                .invoke_as(stranger, "list", json!({"all": true}))
                .await
        ),
        ["feat-1"]
    );
    assert_eq!(
        names(stage.invoke_as(None, "list", json!({})).await),
        ["feat-1"]
    );
    let others = stage
        .invoke("list", json!({"owner": "group:default/platform"}))
        .await;
    assert_eq!(others.body["output"]["count"], 0);

    stage.cluster.databases.lock().unwrap()[0].status.data_as_of =
        Some("2026-01-01T00:00:00Z".into());
    let status = stage
        .invoke_as(None, "status", json!({"name": "feat-1"}))
        .await
        .body["output"]
        .clone();
    assert_eq!(
        (
            &status["state"],
            &status["request"]["id"],
            &status["endpoint"]["secret"]
        ),
        (
            &json!("READY"),
            &json!(id),
            &json!("feat-1-vdb-credentials")
        )
    );
    assert!(status["dataAge"].as_str().unwrap().contains(" d ") && status["timeline"].is_array());
    assert_eq!(
        stage
            .invoke("status", json!({"name": "feat-9"}))
            .await
            .status,
        404
    );
    assert_eq!(
        stage.invoke("status", json!({"name": "../x"})).await.status,
        400
    );
}

#[tokio::test]
async fn outputs_and_examples_keep_to_their_schemas() {
    let stage = Stage::set().await;
    running(&stage).await;
    let list = stage.get("/.backstage/actions/v1/actions").await.body;
    let within = |schema: &Value, value: &Value, what: &str| {
        let known = schema["properties"].as_object().unwrap();
        for key in value.as_object().unwrap().keys() {
            assert!(known.contains_key(key), "{what}: {key}");
        }
        for key in schema["required"].as_array().into_iter().flatten() {
            assert!(
                value.get(key.as_str().unwrap()).is_some(),
                "{what}: {key} is missing"
            );
        }
    };
    for action in list["actions"].as_array().unwrap() {
        let (name, example) = (action["name"].as_str().unwrap(), &action["examples"][0]);
        within(&action["schema"]["input"], &example["input"], name);
        within(&action["schema"]["output"], &example["output"], name);
        let input = match name {
            "validate" => order(&json!({"reportOnly": true})),
            "list" => json!({}),
            "status" => json!({"name": "feat-1"}),
            "update" => json!({"name": "feat-1", "memory": "2Gi"}),
            _ => continue,
        };
        let output = stage.invoke(name, input).await.body["output"].clone();
        within(&action["schema"]["output"], &output, name);
    }
}

#[tokio::test]
async fn data_that_is_too_old_is_refused_and_its_age_is_told() {
    let limited = async |hours| {
        Stage::set_with(|settings, _| settings.orders.max_snapshot_age_hours = hours).await
    };
    for hours in [None, Some(6)] {
        let stage = limited(hours).await;
        let output = stage.invoke("validate", order(&json!({}))).await.body["output"].clone();
        assert_eq!(output["ok"], true, "{output}");
        assert!(
            output["report"]
                .as_str()
                .unwrap()
                .contains("is 5 h 0 min old"),
            "{output}"
        );
    }
    let stage = limited(Some(4)).await;
    for action in ["validate", "publish"] {
        let answer = stage.invoke(action, order(&json!({}))).await;
        assert_eq!(answer.status, 400, "{action}");
        assert!(
            answer.phrase.contains("5 h 0 min old, at most 4 h"),
            "{}",
            answer.phrase
        );
        assert!(answer.phrase.contains("snapshotId"), "{}", answer.phrase);
    }
    assert!(stage.forge.pulls().is_empty());
    // Whoever names a snapshot has chosen its age.
    let chosen = order(&json!({"snapshotId": "s-1"}));
    assert_eq!(stage.invoke("validate", chosen).await.status, 200);
}

mod bookmark;
