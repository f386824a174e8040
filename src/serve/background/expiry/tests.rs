use rstest::rstest;
use serde_json::json;

use super::*;
use crate::forge::PullState;
use crate::serve::fakes::Stage;
use crate::serve::settings::Settings;

const VALUES: &str = "environments/feat-1/values.yaml";

fn database(spec: Value) -> LiveDatabase {
    LiveDatabase {
        name: "feat-1-vdb".into(),
        namespace: "postgres-vdbs-feat-1".into(),
        annotations: [(
            environment::names::OWNER.to_owned(),
            "group:default/team-orders".to_owned(),
        )]
        .into(),
        spec,
        ..LiveDatabase::default()
    }
}

/// An environment in Git and in the cluster whose database ends so many hours from now.
async fn ending(hours: i64, change: impl FnOnce(&mut Settings)) -> (Stage, String) {
    let stage = Stage::set_with(|settings, _| change(settings)).await;
    let end = Timestamp::now() + SignedDuration::from_hours(hours);
    let end = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    in_git(&stage, &end);
    let live = database(json!({"expiresAt": end}));
    stage.cluster.databases.lock().unwrap().push(live);
    (stage, end)
}

fn in_git(stage: &Stage, end: &str) {
    let values = format!(
        "owner: group:default/team-orders\nvdb:\n  source: {{type: dct-source, reference: 'h:d'}}\n  expiresAt: '{end}'\n"
    );
    stage.forge.push(|files| {
        files.insert(VALUES.into(), values);
    });
}

#[rstest]
#[case::no_end(vec![json!({})], None)]
#[case::one_has_no_end(vec![json!({"expiresAt": "2026-11-24T10:00:00Z"}), json!({})], None)]
#[case::far(vec![json!({"expiresAt": "2026-11-27T10:00:01Z"})], None)]
#[case::soon(vec![json!({"expiresAt": "2026-11-27T10:00:00Z"})], Some(Due::Notice))]
#[case::over(vec![json!({"expiresAt": "2026-11-26T09:00:00Z"})], None)]
#[case::over_for_long(vec![json!({"expiresAt": "2026-11-25T10:00:00Z"})], Some(Due::Retirement))]
#[case::protected(vec![json!({"expiresAt": "2026-11-20T10:00:00Z", "protected": true})], None)]
#[case::the_latest_counts(vec![json!({"expiresAt": "2026-11-20T10:00:00Z"}), json!({"expiresAt": "2026-11-26T20:00:00Z"})], Some(Due::Notice))]
fn what_is_due_follows_from_the_end_of_the_last_database(
    #[case] specs: Vec<Value>,
    #[case] wanted: Option<Due>,
) {
    let now = "2026-11-26T10:00:00Z".parse().unwrap();
    let databases: Vec<_> = specs.into_iter().map(database).collect();
    let grace = Some(SignedDuration::from_hours(24));
    assert_eq!(due(&databases, now, grace).map(|(due, _)| due), wanted);
    let without = due(&databases, now, None).map(|(due, _)| due);
    assert_eq!(without, wanted.filter(|due| *due == Due::Notice));
}

#[tokio::test]
async fn the_owner_is_told_once_before_the_end() {
    let (stage, end) = ending(5, |_| {}).await;
    let mut expiry = Expiry::default();
    expiry.sweep(&stage.app).await;
    expiry.sweep(&stage.app).await;
    let told = stage.portal.told.lock().unwrap().clone();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].recipient, "group:default/team-orders");
    assert!(told[0].description.contains(&end) && told[0].scope.contains("feat-1:expiry"));
    assert!(stage.forge.pulls().is_empty());
}

#[tokio::test]
async fn an_expired_environment_gets_one_pull_request_also_by_another_replica_and_after_a_rejection()
 {
    let (stage, end) = ending(-30, |_| {}).await;
    for _ in 0..2 {
        Expiry::default().sweep(&stage.app).await;
    }
    let pulls = stage.forge.pulls();
    assert_eq!(pulls.len(), 1);
    assert!(
        pulls[0].branch.starts_with("vdb/feat-1.retire-") && pulls[0].body.contains(&end),
        "{} {}",
        pulls[0].branch,
        pulls[0].body
    );
    // Somebody decided that it stays.
    stage.forge.close(pulls[0].number);
    stage.app.pulls.forget().await;
    Expiry::default().sweep(&stage.app).await;
    let pulls = stage.forge.pulls();
    assert_eq!(
        pulls.iter().map(|p| p.state).collect::<Vec<_>>(),
        [PullState::Closed]
    );
}

#[tokio::test]
async fn git_decides_whether_it_was_extended() {
    let (stage, _) = ending(-30, |_| {}).await;
    in_git(&stage, "2099-01-01T00:00:00Z");
    Expiry::default().sweep(&stage.app).await;
    assert!(stage.forge.pulls().is_empty());
}

#[rstest]
#[case::off("0")]
#[case::longer("48h")]
#[tokio::test]
async fn nothing_is_retired_within_the_grace(#[case] retire_after: &str) {
    let (stage, _) = ending(-30, |settings| {
        settings.expiry.retire_after = retire_after.into();
    })
    .await;
    Expiry::default().sweep(&stage.app).await;
    assert!(stage.forge.pulls().is_empty());
}
