use std::sync::Arc;

use environment::names::REQUEST_ID;
use environment::status::{Condition, Stage};
use serde_json::json;

use super::*;
use crate::serve::fakes::pull;
use crate::serve::readiness::{OnBase, decide};
use crate::serve::request::RequestId;

const OURS: &str = "feat-1.create-0123456789";

fn database(stages: &[(&str, bool)], ready: bool) -> LiveDatabase {
    let mut database = LiveDatabase {
        name: "feat-1-vdb".into(),
        namespace: "postgres-vdbs-feat-1".into(),
        generation: 1,
        created_at: Some("2026-11-23T10:01:00Z".into()),
        ..LiveDatabase::default()
    };
    database.annotations.insert(REQUEST_ID.into(), OURS.into());
    database.status.observed_generation = Some(1);
    database.status.stages = stages
        .iter()
        .map(|(name, done)| Stage {
            name: (*name).to_owned(),
            started_at: "2026-11-23T10:01:01Z".into(),
            finished_at: done.then(|| "2026-11-23T10:01:02Z".into()),
        })
        .collect();
    if ready {
        database.status.conditions = vec![Condition {
            kind: "Ready".into(),
            status: "True".into(),
            reason: "Verified".into(),
            message: "a query was answered".into(),
            observed_generation: Some(1),
            last_transition_time: "2026-11-23T10:01:03Z".into(),
        }];
    }
    database
}

fn argo(metadata: &serde_json::Value) -> Argo {
    Argo::Present(Arc::new(
        serde_json::from_value(json!({"metadata": metadata})).unwrap(),
    ))
}

fn seen(id: &str, state: PullState, argo: Argo, databases: Vec<LiveDatabase>) -> Vec<Event> {
    let request = RequestId::parse(id).unwrap();
    let pull = Pull {
        state,
        ..pull(7, &request.branch(), "")
    };
    let base = match request.operation() {
        Operation::Create | Operation::Update | Operation::Refresh | Operation::Extend => {
            OnBase::Request(Some(id.into()))
        }
        Operation::Retire => OnBase::Absent,
    };
    let seen = Observation {
        request: &request,
        pull: &pull,
        base,
        argo,
        databases: databases.into_iter().map(Arc::new).collect(),
        namespace: None,
        set: None,
        holds_merge: None,
        now: "2026-11-23T10:02:00Z".parse().unwrap(),
    };
    of(&seen, &decide(&seen))
}

/// The life of an order, look by look.
fn life() -> Vec<Vec<Event>> {
    let made = argo(&json!({"name": "feat-1", "creationTimestamp": "2026-11-23T10:00:59Z"}));
    let cluster = |stages: &[(&str, bool)], ready| {
        seen(
            OURS,
            PullState::Merged,
            Argo::NotAsked,
            vec![database(stages, ready)],
        )
    };
    vec![
        seen(OURS, PullState::Open, Argo::NotAsked, vec![]),
        seen(OURS, PullState::Merged, Argo::Absent, vec![]),
        seen(OURS, PullState::Merged, made, vec![]),
        cluster(&[], false),
        cluster(&[("accept", false)], false),
        cluster(&[("accept", true), ("provision", false)], false),
        cluster(
            &[("accept", true), ("provision", true), ("start", true)],
            true,
        ),
    ]
}

#[test]
fn a_change_tells_that_it_is_applied_and_no_stage_of_the_order_before() {
    let id = "feat-1.update-0123456789";
    let mut carrier = database(&[("accept", true)], true);
    carrier
        .annotations
        .insert(environment::names::REQUEST_ID.into(), id.into());
    let events = seen(id, PullState::Merged, Argo::NotAsked, vec![carrier]);
    let said = |text: &str| events.iter().any(|event| event.message.contains(text));
    assert!(said("carries the change") && !said("accept"), "{events:?}");
}

#[test]
fn an_event_once_given_keeps_its_place_whatever_is_seen_later() {
    let looks = life();
    for (i, earlier) in looks.iter().enumerate() {
        for later in &looks[i..] {
            for event in earlier {
                let there = later.iter().find(|e| e.position == event.position);
                assert!(there.is_none_or(|there| there == event), "{event:?}");
            }
        }
    }
}

#[test]
fn who_asks_for_what_is_new_gets_every_event_once_and_in_order() {
    let (mut at, mut told) = (0, Vec::new());
    for look in life() {
        let mut new: Vec<Event> = look.into_iter().filter(|e| e.position > at).collect();
        at = cursor(&new, at);
        told.append(&mut new);
    }
    let messages: Vec<&str> = told.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "pull request #7 is open: http://gitea.localhost:3000/acme/databases/pulls/7",
            "pull request #7 was merged",
            "Argo CD has made Application feat-1",
            "PostgresVDB feat-1-vdb is in the cluster",
            "feat-1-vdb: accept began",
            "feat-1-vdb: accept is done",
            "feat-1-vdb: provision began",
            "feat-1-vdb: provision is done",
            "feat-1-vdb: start began",
            "feat-1-vdb: start is done",
            "Verified: a query was answered",
        ]
    );
    assert!(told.windows(2).all(|w| w[0].position < w[1].position));
    assert_eq!(told[2].at.as_deref(), Some("2026-11-23T10:00:59Z"));
}

#[test]
fn the_cursor_never_goes_back() {
    assert_eq!(cursor(&[], 12), 12);
    assert_eq!(
        cursor(&seen(OURS, PullState::Open, Argo::NotAsked, vec![]), 12),
        12
    );
}

#[test]
fn more_stages_than_there_are_places_for_move_no_end() {
    let many = [("s", true); 100];
    let events = seen(
        OURS,
        PullState::Merged,
        Argo::NotAsked,
        vec![database(&many, true)],
    );
    assert!(events.windows(2).all(|w| w[0].position < w[1].position));
    assert_eq!(events.last().unwrap().kind, EventKind::Ready);
}

#[test]
fn a_closed_pull_request_that_is_opened_again_and_merged_is_told() {
    let closed = seen(OURS, PullState::Closed, Argo::NotAsked, vec![]);
    let at = cursor(&closed, 0);
    let merged = seen(OURS, PullState::Merged, Argo::Absent, vec![]);
    assert!(
        merged
            .iter()
            .any(|e| e.position > at && e.kind == EventKind::Merged)
    );
}

#[test]
fn a_removal_is_told_until_all_is_gone() {
    let id = "feat-1.retire-0123456789";
    let kinds = |events: Vec<Event>| events.iter().map(|e| e.kind).collect::<Vec<_>>();
    let deleting = argo(&json!({"name": "feat-1", "deletionTimestamp": "2026-11-23T10:00:59Z"}));
    let left = || vec![database(&[], true)];
    let until = [EventKind::Proposed, EventKind::Merged];
    let still = argo(&json!({"name": "feat-1", "creationTimestamp": "2026-11-23T10:00:59Z"}));
    assert_eq!(kinds(seen(id, PullState::Merged, still, left())), until);
    let removing = [until[0], until[1], EventKind::Application];
    assert_eq!(
        kinds(seen(id, PullState::Merged, deleting, left())),
        removing
    );
    assert_eq!(
        kinds(seen(id, PullState::Merged, Argo::Absent, left())),
        removing
    );
    assert_eq!(
        kinds(seen(id, PullState::Merged, Argo::Absent, vec![])),
        [until[0], until[1], EventKind::Retired]
    );
}
