use std::sync::Mutex;

use dct::types::{Tag, Vdb};
use k8s_openapi::api::core::v1::PersistentVolume;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::crd::PostgresVdb;

const DAY: Duration = Duration::from_hours(24);

fn now() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

fn vdb(change: impl FnOnce(&mut Vdb)) -> Vdb {
    let mut vdb = Vdb {
        id: "v-1".into(),
        name: Some("postgres-vdbs-a-a-vdb-11111111".into()),
        creation_date: Some("2026-11-01T00:00:00Z".into()),
        enabled: Some(true),
        tags: Some(vec![
            Tag::new("cr-uid", "gone"),
            Tag::new("cluster-id", "here"),
        ]),
        ..Vdb::default()
    };
    change(&mut vdb);
    vdb
}

fn volume(uid: &str, phase: &str, created: &str) -> PersistentVolume {
    serde_json::from_value(json!({
        "metadata": { "name": "pv", "uid": "pv-uid", "creationTimestamp": created,
            "labels": { "postgres-vdb-platform/uid": uid, "app.kubernetes.io/instance": "a-vdb" },
            "annotations": { "postgres-vdb-platform/identity": "v-1/tf-1" } },
        "status": { "phase": phase },
    }))
    .unwrap()
}

fn resource(uid: &str, status: &serde_json::Value) -> PostgresVdb {
    serde_json::from_value(json!({
        "metadata": { "name": "b-vdb", "namespace": "postgres-vdbs-b", "uid": uid, "creationTimestamp": "2026-11-01T00:00:00Z" },
        "spec": { "source": { "type": "dct-source", "reference": "s" }, "database": { "name": "d", "user": "u" } },
        "status": status,
    }))
    .unwrap()
}

fn estate(vdb: Vdb) -> Estate {
    Estate {
        cluster_id: "here".into(),
        vdbs: vec![vdb],
        ..Estate::default()
    }
}

fn found(estate: &Estate) -> Vec<(Kind, Fate)> {
    let found = decide::findings(estate, now(), DAY);
    found.into_iter().map(|f| (f.kind, f.fate)).collect()
}

#[test]
fn a_virtual_database_without_its_resource_is_found() {
    assert_eq!(found(&estate(vdb(|_| {}))), [(Kind::Vdb, Fate::Delete)]);
}

fn tags(vdb: &mut Vdb, tags: &[(&str, &str)]) {
    vdb.tags = Some(tags.iter().map(|(k, v)| Tag::new(*k, *v)).collect());
}

#[rstest]
#[case::of_another_cluster(|v: &mut Vdb| tags(v, &[("cr-uid", "gone"), ("cluster-id", "there")]))]
#[case::of_no_cluster(|v: &mut Vdb| tags(v, &[("cr-uid", "gone")]))]
#[case::of_no_resource(|v: &mut Vdb| tags(v, &[("cluster-id", "here")]))]
#[case::without_tags(|v: &mut Vdb| v.tags = None)]
#[case::young(|v: &mut Vdb| v.creation_date = Some("2026-11-22T10:00:01Z".into()))]
#[case::of_tomorrow(|v: &mut Vdb| v.creation_date = Some("2026-11-24T00:00:00Z".into()))]
fn what_is_not_this_clusters_or_is_young_is_not_even_named(#[case] change: fn(&mut Vdb)) {
    assert_eq!(found(&estate(vdb(change))), []);
}

#[test]
fn a_cluster_that_has_no_id_owns_nothing() {
    let nameless = Estate {
        cluster_id: String::new(),
        ..estate(vdb(|v| tags(v, &[("cr-uid", "gone"), ("cluster-id", "")])))
    };
    assert_eq!(found(&nameless), []);
}

#[rstest]
#[case::its_own("gone", json!({}))]
#[case::recorded_by_id("x", json!({ "vdb": { "id": "v-1" } }))]
#[case::in_the_making("x", json!({ "vdb": { "intent": { "name": "postgres-vdbs-a-a-vdb-11111111", "at": "t" } } }))]
fn what_a_resource_speaks_of_is_not_even_named(
    #[case] uid: &str,
    #[case] status: serde_json::Value,
) {
    let mut estate = estate(vdb(|_| {}));
    estate.resources = vec![resource(uid, &status)];
    assert_eq!(found(&estate), []);
}

/// The intent is written before the order, so a name made of the resource alone is enough.
#[test]
fn the_name_that_a_resource_would_order_is_taken() {
    let mut estate = estate(vdb(|v| {
        v.name = Some("postgres-vdbs-b-b-vdb-0a1b2c3d".into());
    }));
    estate.resources = vec![resource("0a1b2c3d-4e5f", &json!({}))];
    assert_eq!(found(&estate), []);
}

#[rstest]
#[case::age_unknown(|v: &mut Vdb| v.creation_date = None)]
#[case::age_unreadable(|v: &mut Vdb| v.creation_date = Some("yesterday".into()))]
#[case::locked(|v: &mut Vdb| v.is_locked = Some(true))]
#[case::replica(|v: &mut Vdb| v.is_replica = Some(true))]
#[case::disabled(|v: &mut Vdb| v.enabled = Some(false))]
fn what_is_in_doubt_is_named_and_left_alone(#[case] change: fn(&mut Vdb)) {
    let found = found(&estate(vdb(change)));
    assert!(
        matches!(found.as_slice(), [(Kind::Vdb, Fate::Keep(_))]),
        "{found:?}"
    );
}

#[test]
fn what_the_ledger_keeps_is_not_an_orphan() {
    let mut estate = estate(vdb(|_| {}));
    estate.kept = ["gone".to_owned()].into();
    assert_eq!(found(&estate), []);
}

const OLD: &str = "2026-11-01T00:00:00Z";

#[rstest]
#[case::orphan(volume("gone", "Released", OLD), Some(Fate::Delete))]
#[case::never_bound(volume("gone", "Available", OLD), Some(Fate::Delete))]
#[case::bound(volume("gone", "Bound", OLD), Some(Fate::Keep("it is still bound to a claim".into())))]
#[case::of_a_resource(volume("lives", "Released", OLD), None)]
#[case::young(volume("gone", "Released", "2026-11-23T09:00:00Z"), None)]
#[case::not_ours(volume("", "Released", OLD), None)]
fn a_volume_without_both_is_found(#[case] volume: PersistentVolume, #[case] fate: Option<Fate>) {
    let estate = Estate {
        cluster_id: "here".into(),
        volumes: vec![volume],
        resources: vec![resource("lives", &json!({}))],
        ..Estate::default()
    };
    let expected: Vec<_> = fate.map(|fate| (Kind::Volume, fate)).into_iter().collect();
    assert_eq!(found(&estate), expected);
}

#[test]
fn the_volume_goes_after_its_virtual_database_and_both_stay_while_a_claim_holds_it() {
    let mut both = estate(vdb(|_| {}));
    both.volumes = vec![volume("gone", "Released", OLD)];
    let keep = Fate::Keep("virtual database v-1 goes first".into());
    assert_eq!(
        found(&both),
        [(Kind::Vdb, Fate::Delete), (Kind::Volume, keep)]
    );
    both.volumes = vec![volume("gone", "Bound", OLD)];
    let kept = found(&both);
    assert!(
        kept.iter().all(|(_, fate)| matches!(fate, Fate::Keep(_))),
        "{kept:?}"
    );
}

#[derive(Default)]
struct Fake {
    estate: Estate,
    /// Made between the look and the deletion.
    came_back: bool,
    exists: bool,
    unreadable: bool,
    last: Mutex<Report>,
    calls: Mutex<Vec<String>>,
}

impl Fake {
    fn called(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    async fn sweep(&self, delete: bool) -> anyhow::Result<Vec<String>> {
        let settings = Sweep {
            delete,
            ..Sweep::default()
        };
        once(self, now(), &settings, &Metrics::default()).await?;
        Ok(std::mem::take(&mut self.calls.lock().unwrap()))
    }
}

#[async_trait]
impl Port for Fake {
    async fn estate(&self) -> anyhow::Result<Estate> {
        anyhow::ensure!(!self.unreadable, "forbidden");
        Ok(self.estate.clone())
    }
    async fn vdb_exists(&self, id: &str) -> anyhow::Result<bool> {
        self.called(format!("ask {id}"));
        Ok(self.exists)
    }
    async fn living(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self
            .came_back
            .then(|| "gone".to_owned())
            .into_iter()
            .collect())
    }
    async fn delete_vdb(&self, id: &str) -> anyhow::Result<()> {
        self.called(format!("delete {id}"));
        Ok(())
    }
    async fn delete_volume(&self, name: &str, uid: &str) -> anyhow::Result<()> {
        self.called(format!("delete {name} {uid}"));
        Ok(())
    }
    async fn last_report(&self) -> anyhow::Result<Report> {
        Ok(self.last.lock().unwrap().clone())
    }
    async fn report(&self, report: &Report, _: &str) -> anyhow::Result<()> {
        self.called(format!("report {}", report.found));
        *self.last.lock().unwrap() = report.clone();
        Ok(())
    }
}

#[tokio::test]
async fn nothing_is_deleted_unless_told_and_the_same_is_told_once() {
    let fake = Fake {
        estate: estate(vdb(|_| {})),
        ..Fake::default()
    };
    assert_eq!(fake.sweep(false).await.unwrap(), ["report 1"]);
    assert!(fake.sweep(false).await.unwrap().is_empty());
    assert_eq!(fake.sweep(true).await.unwrap(), ["report 1", "delete v-1"]);
    let clean = Fake::default();
    assert!(clean.sweep(true).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_resource_that_came_meanwhile_keeps_what_is_its() {
    let fake = Fake {
        estate: estate(vdb(|_| {})),
        came_back: true,
        ..Fake::default()
    };
    assert_eq!(fake.sweep(true).await.unwrap(), ["report 1"]);
}

#[tokio::test]
async fn one_sweep_deletes_a_few_and_no_more() {
    let mut many = estate(vdb(|_| {}));
    many.vdbs = (0..30).map(|n| vdb(|v| v.id = format!("v-{n}"))).collect();
    let fake = Fake {
        estate: many,
        ..Fake::default()
    };
    assert_eq!(fake.sweep(true).await.unwrap().len(), 1 + MOST_DELETED);
}

#[tokio::test]
async fn a_lost_virtual_database_is_asked_for_once_more_and_its_resource_never_deleted() {
    let lost = |exists| Fake {
        estate: Estate {
            cluster_id: "here".into(),
            resources: vec![resource("u", &json!({ "vdb": { "id": "v-9" } }))],
            ..Estate::default()
        },
        exists,
        ..Fake::default()
    };
    assert_eq!(
        lost(false).sweep(true).await.unwrap(),
        ["ask v-9", "report 1"]
    );
    assert_eq!(lost(true).sweep(true).await.unwrap(), ["ask v-9"]);
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_sweep() {
    let fake = Fake {
        estate: estate(vdb(|_| {})),
        unreadable: true,
        ..Fake::default()
    };
    fake.sweep(true).await.unwrap_err();
    assert!(fake.calls.lock().unwrap().is_empty());
}

#[test]
fn restarts_do_not_make_it_sweep_oftener() {
    let hour = Duration::from_hours(1);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(until_next(at("2026-11-23T10:00:00Z"), hour), hour);
    assert_eq!(
        until_next(at("2026-11-23T10:59:30Z"), hour),
        Duration::from_secs(30)
    );
}
