//! A check that finds nothing proves nothing: here each rule is broken on purpose, and has to be found broken.

use rstest::rstest;
use serde_json::json;

use super::checks::model;
use super::defect::Defect;
use super::explore::explore;
use super::state::{Model, Unrest};
use super::world::Broken;

/// A model of a sown defect has fewer states than this, or is found out by growing without end.
const LIMIT: usize = 200_000;

fn ordered(defect: Defect, faults: u8) -> Model {
    Model {
        defect: Some(defect),
        ..model(json!({}), faults)
    }
}

fn deleted(defect: Defect) -> Model {
    Model {
        deletions: true,
        ..ordered(defect, 0)
    }
}

fn refreshed(defect: Defect, refreshes: u8) -> Model {
    Model {
        refreshes,
        ready: true,
        ..ordered(defect, 0)
    }
}

#[rstest]
#[case(ordered(Defect::OrderUnseen, 1), Broken::SecondVdb)]
#[case(deleted(Defect::EarlyRelease), Broken::WriteAfterRelease)]
#[case(ordered(Defect::DeletionImagined, 0), Broken::LivingDataDeleted)]
#[case(deleted(Defect::PodUnseen), Broken::ChangedUnderAServer)]
#[case(refreshed(Defect::FirstDirectory, 1), Broken::WrongDirectory)]
#[case(ordered(Defect::AnswersAnything, 0), Broken::ReadyWithoutProof)]
#[case(deleted(Defect::DeletionUnseen), Broken::CreatedInADeletion)]
#[case(refreshed(Defect::OldVolumesUnseen, 2), Broken::TooManyVolumes)]
#[case(ordered(Defect::RestImagined, 0), Broken::SleepsForEver)]
fn a_sown_defect_breaks_its_rule(#[case] model: Model, #[case] rule: Broken) {
    let found = explore(&model, LIMIT);
    assert!(
        found.broken.contains_key(&rule),
        "{:?}: {found:?}",
        model.defect
    );
}

#[rstest]
#[case::stands_still(ordered(Defect::JobsUnheard, 0), Unrest::NoEnd)]
#[case::runs_in_a_circle(ordered(Defect::SetForgotten, 0), Unrest::NoEnd)]
#[case::leaks(deleted(Defect::TakenForGone), Unrest::Leak)]
#[case::keeps_old_data(refreshed(Defect::OldVolumesUnseen, 1), Unrest::NotWhole)]
fn a_sown_defect_keeps_a_resource_from_its_end(#[case] model: Model, #[case] rule: Unrest) {
    let found = explore(&model, LIMIT);
    assert!(
        found.unrest.contains_key(&rule),
        "{:?}: {found:?}",
        model.defect
    );
}
