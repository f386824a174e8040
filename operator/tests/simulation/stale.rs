//! Reads that are behind: the resource is shown as it was one or several changes ago, also after the operator's own write
//! and to a process that has just started. The API server promises better than that; what lies between may not.

use environment::status::RefreshState;
use operator::actions::Action;
use rstest::rstest;
use serde_json::{Value, json};

use super::actions::{action, add};
use super::world::{Fault, State, World};

const CHANGES: [usize; 3] = [1, 2, 5];

fn hooks() -> Value {
    let hook =
        |stage: &str| json!({ "name": stage, "stage": stage, "type": "sql", "script": "select 1" });
    let hooks = ["post-create", "pre-refresh", "post-refresh", "pre-delete"].map(hook);
    json!({ "hooks": hooks })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Create,
    Refresh,
    Rewind,
    Delete,
}

impl Work {
    async fn base(self) -> State {
        let world = World::new(hooks());
        world.state().shown = Some(Vec::new());
        if self != Self::Create {
            world.drive(State::is_ready).await;
        }
        match self {
            Self::Create => {}
            Self::Refresh => world.state().change(|cr| {
                cr.spec.refresh = serde_json::from_value(json!({ "token": "t-1" })).unwrap();
            }),
            Self::Rewind => {
                let spec = json!({ "snapshotId": "of-vdb" });
                let it: Action = action(environment::actions::Kind::PostgresRewind, "it", &spec);
                add(&mut world.state(), it);
            }
            Self::Delete => {
                world.delete();
                let mut state = world.state();
                let version = state.bump();
                state.cr.as_mut().unwrap().metadata.resource_version = Some(version);
            }
        }
        let mut state = world.state().clone();
        state.log.clear();
        state.calls = 0;
        state
    }

    fn is_done(self, state: &State) -> bool {
        let refresh = state.refresh().and_then(|r| r.state);
        match self {
            Self::Create => state.is_ready(),
            Self::Refresh => state.is_ready() && refresh.is_some_and(RefreshState::is_over),
            Self::Rewind => {
                state.is_ready() && state.actions.values().all(|a| a.status.phase.is_over())
            }
            Self::Delete => state.cr.is_none(),
        }
    }

    fn check(self, state: &State) {
        let about = format!("{:?}: {:?}", state.fault, state.log);
        assert_eq!(state.provisioned, 1, "{about}");
        assert!(!state.ready_without_query, "{about}");
        match self {
            Self::Create => assert_eq!(state.vdbs.len(), 1, "{about}"),
            Self::Refresh => assert_eq!(state.exchanges, ["refresh"], "{about}"),
            Self::Rewind => assert_eq!(state.exchanges, ["rewind"], "{about}"),
            Self::Delete => {
                let mut left = state.objects.keys();
                let left = left.find(|n| !n.name.starts_with("vdb-init-"));
                assert!(state.vdbs.is_empty() && left.is_none(), "{left:?}, {about}");
            }
        }
    }

    async fn run(self, base: &State, fault: Option<(usize, Fault)>) -> Vec<String> {
        let world = World::of(base.clone());
        world.state().fault = fault;
        world.drive(|state| self.is_done(state)).await;
        world.state().advance(std::time::Duration::from_secs(5));
        self.check(&world.state());
        world.state().log.clone()
    }
}

#[rstest]
#[case(Work::Create)]
#[case(Work::Refresh)]
#[case(Work::Rewind)]
#[case(Work::Delete)]
#[tokio::test]
async fn a_read_that_is_behind_repeats_and_undoes_nothing(#[case] work: Work) {
    let base = work.base().await;
    let calls = work.run(&base, None).await;
    for (at, call) in (1..).zip(&calls) {
        for changes in CHANGES {
            let fault = if call == "read PostgresVDB" {
                Fault::Stale(changes)
            } else if super::world::faults(call).len() > 1 {
                Fault::CrashThenStale(changes)
            } else {
                continue;
            };
            work.run(&base, Some((at, fault))).await;
        }
    }
}
