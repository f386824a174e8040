//! The operator as it is: nothing is broken, and every resource ends.

use std::sync::Mutex;

use rstest::rstest;
use serde_json::{Value, json};

use super::explore::{Found, explore};
use super::state::Model;

/// More states than any of these models has.
const LIMIT: usize = 3_000_000;

/// `MODEL_FAULTS` asks for another number of faults, for as long as it takes (`make soak`).
fn faults(otherwise: u8) -> u8 {
    let text = std::env::var("MODEL_FAULTS").ok();
    text.and_then(|t| t.parse().ok()).unwrap_or(otherwise)
}

pub(crate) fn model(spec: Value, faults: u8) -> Model {
    Model {
        spec,
        faults,
        refreshes: 0,
        deletions: false,
        ready: false,
        defect: None,
        steps: Mutex::default(),
    }
}

fn tell(what: &str, faults: u8, found: &Found) {
    println!(
        "{what}, {faults} faults: {} states, {} steps, depth {}, {:.1} s",
        found.states,
        found.steps,
        found.depth,
        found.took.as_secs_f64()
    );
    for (rule, path) in &found.broken {
        println!("{rule:?}:\n  {}", path.join("\n  "));
    }
    for (rule, path) in &found.unrest {
        println!("{rule:?}:\n  {}", path.join("\n  "));
    }
}

#[rstest]
#[case::creation("creation", false, 0, false, 2)]
#[case::creation_and_deletion("creation and deletion", false, 0, true, 1)]
#[case::refresh("refresh", true, 1, false, 1)]
#[case::refresh_and_deletion("refresh and deletion", true, 1, true, 0)]
#[case::anything("a refresh and a deletion at any moment", false, 1, true, 0)]
fn every_resource_ends_if_faults_stop(
    #[case] what: &str,
    #[case] ready: bool,
    #[case] refreshes: u8,
    #[case] deletions: bool,
    #[case] otherwise: u8,
) {
    let faults = faults(otherwise);
    let model = Model {
        refreshes,
        deletions,
        ready,
        ..model(json!({}), faults)
    };
    let found = explore(&model, LIMIT);
    tell(what, faults, &found);
    assert!(found.broken.is_empty() && found.unrest.is_empty());
}
