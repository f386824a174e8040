//! The check of a tower: what it says of a good one and of one that differs, and that nothing of it stays.

use std::future::pending;

use dct::types::Vdb;
use operator::dct_check::{ALL, Check, Outcome, Tagged, Verdict};
use operator::tower;
use serde_json::json;

use super::world::{World, settings};

#[async_trait::async_trait]
impl Tagged for World {
    async fn tagged(&self, key: &str, value: &str) -> Result<Vec<Vdb>, tower::Error> {
        let state = self.state();
        let all = state.vdbs.values().map(|found| found.vdb.clone());
        Ok(all.filter(|vdb| vdb.tag(key) == Some(value)).collect())
    }
}

async fn checked(world: &World, stop: impl Future<Output = String>) -> Outcome {
    let settings = settings();
    let check = Check {
        dct: world,
        tags: world,
        clock: world,
        settings: &settings,
        source: "10.0.1.54:largedb",
        name: "vdb-dct-check-1".to_owned(),
    };
    let outcome = check.run(stop).await;
    assert_eq!(outcome.left, Vec::<String>::new());
    assert!(world.state().vdbs.is_empty(), "something stays");
    outcome
}

fn verdict<'a>(outcome: &'a Outcome, id: &str) -> &'a Verdict {
    let line = outcome.assumptions.iter().find(|line| line.id == id);
    &line.unwrap().verdict
}

#[tokio::test]
async fn a_good_tower_holds_what_is_assumed() {
    let outcome = checked(&World::new(json!({})), pending()).await;
    assert_eq!(outcome.ended, None, "{}", outcome.text());
    for assumption in ALL {
        // The tower of the simulation neither dates its copies nor says that one is disabled.
        let holds = !["age", "disable"].contains(&assumption.id);
        let seen = verdict(&outcome, assumption.id);
        assert_eq!(
            matches!(seen, Verdict::Holds(_)),
            holds,
            "{}",
            outcome.text()
        );
    }
    assert!(!outcome.is_well());
}

#[tokio::test]
async fn a_tower_that_takes_a_name_twice_is_found_out_and_both_are_deleted() {
    let world = World::new(json!({}));
    world.state().unique_names = false;
    let outcome = checked(&world, pending()).await;
    assert!(matches!(
        verdict(&outcome, "unique-name"),
        Verdict::Fails(_)
    ));
    assert_eq!(world.state().provisioned, 2);
}

/// Ctrl-C or the deadline, at whatever call.
#[tokio::test]
async fn a_life_that_is_cut_off_anywhere_leaves_nothing() {
    let clean = World::new(json!({}));
    checked(&clean, pending()).await;
    let calls = clean.state().calls;
    for at in 1..calls {
        let world = World::new(json!({}));
        let watched = world.clone();
        let stop = std::future::poll_fn(move |context| {
            if watched.state().calls >= at {
                return std::task::Poll::Ready("interrupted".to_owned());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        });
        checked(&world, stop).await;
    }
}

#[tokio::test]
async fn a_lost_answer_at_any_call_leaves_nothing() {
    let clean = World::new(json!({}));
    checked(&clean, pending()).await;
    let calls = clean.state().calls;
    for at in 1..calls {
        let world = World::new(json!({}));
        world.state().fault = Some((at, super::world::Fault::LostReply));
        checked(&world, pending()).await;
    }
}
