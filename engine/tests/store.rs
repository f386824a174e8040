//! What is looked up is what a look at everything finds, whatever was written, and after a restart.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::path::Path;

use dct::types::Job;
use engine::model::{Intent, JobRecord, Kind, Object, Phase};
use engine::store::{Error, State, Store};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

const KINDS: [Kind; 2] = [Kind::Vdb, Kind::Timeflow];
const WORDS: [&str; 3] = ["a", "b", "ü"];

#[derive(Clone, Debug)]
enum Op {
    /// Number, name, tags, live.
    Put(u64, &'static str, Vec<&'static str>, bool),
    Remove(u64),
    /// Number, under way.
    Job(u64, bool),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let word = || select(&WORDS[..]);
    let number = || 1..8_u64;
    prop_oneof![
        4 => (number(), word(), proptest::collection::vec(word(), 0..3), any::<bool>())
            .prop_map(|(number, name, tags, live)| Op::Put(number, name, tags, live)),
        1 => number().prop_map(Op::Remove),
        2 => (number(), any::<bool>()).prop_map(|(number, going)| Op::Job(number, going)),
        1 => Just(Op::Restart),
    ]
}

/// An object stays of one kind.
fn kind(number: u64) -> Kind {
    KINDS[usize::from(number.is_multiple_of(2))]
}

fn object(number: u64, name: &str, tags: &[&str], live: bool) -> Object {
    let tags: Vec<_> = tags
        .iter()
        .map(|tag| json!({"key": "k", "value": tag}))
        .collect();
    Object {
        number,
        kind: kind(number),
        id: format!("id-{number}"),
        name: name.to_owned(),
        scope: number.to_string(),
        phase: if live { Phase::Live } else { Phase::Creating },
        parent: None,
        doc: json!({"name": name, "tags": tags}).into(),
    }
}

fn job(number: u64, going: bool) -> JobRecord {
    JobRecord {
        number: 100 + number,
        job: Job {
            id: format!("job-{number}"),
            target_id: Some(format!("id-{number}")),
            ..Job::default()
        },
        intent: going.then_some(Intent::Nothing),
    }
}

fn ids<'a>(found: impl Iterator<Item = &'a Object>) -> Vec<&'a str> {
    found.map(|o| o.id.as_str()).collect()
}

fn check(state: &State) -> Result<(), TestCaseError> {
    for kind in KINDS {
        let all: Vec<&Object> = state.objects(kind).collect();
        prop_assert!(all.windows(2).all(|pair| pair[0].number < pair[1].number));
        for number in 1..8 {
            let id = format!("id-{number}");
            let naive = all.iter().find(|o| o.id == id);
            prop_assert_eq!(
                state.any(kind, &id).map(|o| o.number),
                naive.map(|o| o.number)
            );
        }
        let live = || all.iter().copied().filter(|o| o.phase == Phase::Live);
        for word in WORDS {
            prop_assert_eq!(
                ids(state.live_named(kind, word)),
                ids(live().filter(|o| o.name == word))
            );
            let tag = format!("\"value\":\"{word}\"");
            prop_assert_eq!(
                ids(state.live_tagged(kind, "k", word)),
                ids(live().filter(|o| o.doc.to_string().contains(&tag)))
            );
            prop_assert_eq!(state.live_tagged(kind, word, "k").count(), 0);
        }
    }
    for number in 1..8 {
        let (target, id) = (format!("id-{number}"), format!("job-{number}"));
        let naive = state.jobs().find(|j| j.job.id == id);
        prop_assert_eq!(state.job(&id).map(|j| j.number), naive.map(|j| j.number));
        let going = naive.filter(|j| j.intent.is_some());
        prop_assert_eq!(
            state.busy(&target).map(|j| j.number),
            going.map(|j| j.number)
        );
    }
    Ok(())
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("meta.db")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn lookups_find_what_a_look_at_everything_finds(ops in proptest::collection::vec(op(), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let mut model: std::collections::BTreeMap<u64, String> = std::collections::BTreeMap::new();
        for op in ops {
            match &op {
                Op::Restart => {
                    drop(store);
                    store = open(dir.path());
                }
                op => store
                    .change(|draft| {
                        match op {
                            Op::Put(number, name, tags, live) => {
                                let object = object(*number, name, tags, *live);
                                model.insert(*number, object.doc.to_string());
                                draft.put(object);
                            }
                            Op::Remove(number) => {
                                model.remove(number);
                                draft.remove(*number);
                            }
                            Op::Job(number, going) => draft.job(job(*number, *going)),
                            Op::Restart => {}
                        }
                        Ok::<(), Error>(())
                    })
                    .unwrap(),
            }
            store.read(|state| {
                check(state)?;
                let all = KINDS.into_iter().flat_map(|kind| state.objects(kind));
                let mut kept: Vec<_> = all.map(|o| (o.number, o.doc.to_string())).collect();
                kept.sort();
                prop_assert_eq!(kept, model.clone().into_iter().collect::<Vec<_>>());
                Ok::<(), TestCaseError>(())
            })?;
        }
    }
}
