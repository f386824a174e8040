//! What the server's pod says about itself. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use environment::status::Verified;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition};

use super::build::UID_LABEL;
use crate::crd::PostgresVdb;
use crate::reason::Reason;

/// Set by the sets' controller: the template that a pod was made from.
const REVISION_LABEL: &str = "controller-revision-hash";

#[derive(Debug)]
pub enum State {
    Waiting(String),
    Failed(Reason, String),
    /// On a node, and nothing is known to be wrong: try to connect.
    Up(Up),
}

#[derive(Debug)]
pub struct Up {
    pub uid: String,
    pub restarts: i32,
    pub ready: bool,
}

impl Up {
    /// One run of the server's container.
    pub fn run(&self) -> String {
        format!("{}/{}", self.uid, self.restarts)
    }

    /// What is proved by this run with that version of the credentials.
    pub fn verified(&self, secret_hash: String) -> Verified {
        Verified {
            pod_uid: self.uid.clone(),
            restarts: self.restarts,
            secret_hash,
        }
    }
}

pub fn state(pod: Option<&Pod>, cr: &PostgresVdb) -> State {
    let Some(pod) = pod else {
        return State::Waiting("the pod is being created".to_owned());
    };
    if let Some(why) = lost(pod) {
        return State::Failed(Reason::NodeLost, why);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return State::Waiting("the pod is being replaced".to_owned());
    }
    let owned = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|l| l.get(UID_LABEL))
        .is_some_and(|uid| uid == cr.uid());
    if !owned {
        return State::Waiting("the pod of an earlier resource is being removed".to_owned());
    }
    if let Some(condition) = condition(pod, "PodScheduled", "False") {
        return State::Failed(
            Reason::Unschedulable,
            condition.message.clone().unwrap_or_default(),
        );
    }
    if pod
        .spec
        .as_ref()
        .and_then(|s| s.node_name.as_ref())
        .is_none()
    {
        return State::Waiting("the pod is being scheduled".to_owned());
    }
    let container = container(pod);
    if let Some((reason, message)) = container.and_then(failure) {
        return State::Failed(reason, message);
    }
    State::Up(Up {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        restarts: container.map_or(0, |c| c.restart_count),
        ready: container.is_some_and(|c| c.ready),
    })
}

/// A kubelet calls a pod ready as soon as all its containers are. Where they are and the pod is not, the cluster has taken
/// the word back, because the kubelet is not heard of any more: nothing that it said is known to be so, and the Service
/// leads to this pod no longer.
pub fn lost(pod: &Pod) -> Option<String> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    condition(pod, "ContainersReady", "True")?;
    condition(pod, "Ready", "False")?;
    Some(format!("node {node} does not report any more"))
}

/// A number that changes when a pass may decide otherwise; texts that only tell of progress are left out.
pub fn stands(pod: &Pod) -> u64 {
    let meta = &pod.metadata;
    let labels = meta.labels.as_ref();
    let label = |name: &str| labels.and_then(|l| l.get(name));
    let mut hasher = DefaultHasher::new();
    (
        meta.deletion_timestamp.is_some(),
        label(UID_LABEL),
        label(REVISION_LABEL),
        pod.spec.as_ref().and_then(|s| s.node_name.as_ref()),
        condition(pod, "Ready", "True").is_some(),
        lost(pod),
        condition(pod, "PodScheduled", "False").map(|c| &c.message),
        container(pod).map(|c| (c.restart_count, c.ready, format!("{:?}", failure(c)))),
    )
        .hash(&mut hasher);
    hasher.finish()
}

fn condition<'a>(pod: &'a Pod, kind: &str, status: &str) -> Option<&'a PodCondition> {
    let mut all = pod.status.as_ref()?.conditions.as_ref()?.iter();
    all.find(|c| c.type_ == kind && c.status == status)
}

/// The server's own container.
pub fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let all = pod.status.as_ref()?.container_statuses.as_ref()?;
    all.iter().find(|c| c.name == "postgres")
}

/// What is to become of a pod that was made from an older template of its set.
#[derive(Debug, PartialEq, Eq)]
pub enum Outdated {
    /// The set replaces it.
    Leaving,
    /// A set waits for a pod to become ready before it replaces it; this one may never.
    Stuck,
}

/// A server that is still the one of before proves nothing about a changed spec.
pub fn outdated(pod: &Pod, set: &StatefulSet) -> Option<Outdated> {
    let status = set.status.as_ref()?;
    if set.metadata.generation > status.observed_generation {
        return Some(Outdated::Leaving);
    }
    let labels = pod.metadata.labels.as_ref()?;
    let (wanted, is) = (
        status.update_revision.as_ref()?,
        labels.get(REVISION_LABEL)?,
    );
    if wanted == is {
        return None;
    }
    let ready = condition(pod, "Ready", "True").is_some();
    let leaving = ready || pod.metadata.deletion_timestamp.is_some();
    Some(if leaving {
        Outdated::Leaving
    } else {
        Outdated::Stuck
    })
}

fn failure(container: &ContainerStatus) -> Option<(Reason, String)> {
    let state = container.state.clone().unwrap_or_default();
    if state.running.is_some() {
        return None;
    }
    if let Some(stopped) =
        terminated(&state).or_else(|| terminated(&container.last_state.clone().unwrap_or_default()))
    {
        return Some(stopped);
    }
    let waiting = state.waiting?;
    let reason = match waiting.reason.as_deref()? {
        "ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName"
        | "ImageInspectError" => Reason::ImageUnavailable,
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Reason::MountDenied
        }
        "CrashLoopBackOff" => Reason::ServerStopped,
        _ => return None,
    };
    Some((reason, waiting.message.unwrap_or_default()))
}

#[derive(serde::Deserialize)]
struct Report {
    reason: String,
    message: String,
}

/// The helper leaves one line of JSON; the server leaves nothing but its exit code.
fn terminated(state: &ContainerState) -> Option<(Reason, String)> {
    let ended = state.terminated.as_ref()?;
    let report = ended
        .message
        .as_deref()
        .and_then(|text| serde_json::from_str::<Report>(text.trim()).ok());
    let known = report.and_then(|report| Some((Reason::named(&report.reason)?, report.message)));
    let plain = || {
        let why = ended.reason.as_deref().unwrap_or("ended");
        (
            Reason::ServerStopped,
            format!("the server stopped: {why}, exit code {}", ended.exit_code),
        )
    };
    Some(known.unwrap_or_else(plain))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_of_an_older_template_is_not_the_servers_pod() {
        let pod = |revision: &str, ready: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "labels": { "controller-revision-hash": revision } },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            }))
            .unwrap()
        };
        let set = |generation: i64, observed: i64| -> StatefulSet {
            serde_json::from_value(json!({
                "metadata": { "generation": generation },
                "status": { "replicas": 1, "observedGeneration": observed, "updateRevision": "b" },
            }))
            .unwrap()
        };
        assert_eq!(outdated(&pod("b", "True"), &set(2, 2)), None);
        assert_eq!(outdated(&pod("b", "False"), &set(2, 2)), None);
        // The set's controller has not seen the change yet.
        assert_eq!(
            outdated(&pod("b", "True"), &set(3, 2)),
            Some(Outdated::Leaving)
        );
        assert_eq!(
            outdated(&pod("a", "True"), &set(2, 2)),
            Some(Outdated::Leaving)
        );
        assert_eq!(
            outdated(&pod("a", "False"), &set(2, 2)),
            Some(Outdated::Stuck)
        );
        assert_eq!(outdated(&pod("a", "True"), &StatefulSet::default()), None);
    }

    #[rstest::rstest]
    #[case("True", "False", true)]
    #[case("True", "True", false)]
    #[case("False", "False", false)]
    fn a_pod_whose_kubelet_is_not_heard_of_is_lost_whatever_its_container_was(
        #[case] containers: &str,
        #[case] ready: &str,
        #[case] lost: bool,
    ) {
        let mut status = container(&json!({ "running": {} }), &json!({}));
        status["containerStatuses"][0]["ready"] = json!(containers == "True");
        status["conditions"] = json!([
            { "type": "ContainersReady", "status": containers },
            { "type": "Ready", "status": ready },
        ]);
        let mut pod = pod(&status);
        for deleted in [false, true] {
            if deleted {
                pod.metadata.deletion_timestamp =
                    serde_json::from_value(json!("2030-01-01T00:00:00Z")).unwrap();
            }
            let State::Failed(reason, message) = state(Some(&pod), &cr()) else {
                assert!(!lost);
                continue;
            };
            assert!(lost && reason == Reason::NodeLost);
            assert_eq!(message, "node node1 does not report any more");
        }
    }

    fn cr() -> PostgresVdb {
        serde_json::from_value(json!({
            "metadata": { "name": "a-vdb", "namespace": "n", "uid": "u" },
            "spec": { "source": { "type": "dct-source", "reference": "h:d" }, "database": {} },
        }))
        .unwrap()
    }

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "uid": "p", "labels": { UID_LABEL: "u" } }, "spec": { "nodeName": "node1", "containers": [] }, "status": status,
        }))
        .unwrap()
    }

    fn container(state: &serde_json::Value, last: &serde_json::Value) -> serde_json::Value {
        let base = json!({ "name": "postgres", "image": "i", "imageID": "", "ready": false, "restartCount": 2, "state": state, "lastState": last });
        json!({ "containerStatuses": [base] })
    }

    #[rstest::rstest]
    #[case(json!({ "reason": "VersionMismatch", "message": "data 16, image 15" }).to_string(), Reason::VersionMismatch, "data 16")]
    #[case("nonsense".to_owned(), Reason::ServerStopped, "exit code 3")]
    fn the_helpers_report_becomes_the_reason(
        #[case] message: String,
        #[case] reason: Reason,
        #[case] says: &str,
    ) {
        let ended = json!({ "terminated": { "exitCode": 3, "message": message } });
        let status = container(
            &json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
            &ended,
        );
        let State::Failed(found, text) = state(Some(&pod(&status)), &cr()) else {
            panic!("not failed")
        };
        assert_eq!(found, reason);
        assert!(text.contains(says), "{text}");
    }

    #[test]
    fn a_pod_on_a_node_is_worth_a_try_before_the_kubelet_says_running() {
        let State::Up(up) = state(Some(&pod(&json!({}))), &cr()) else {
            panic!("not up")
        };
        assert_eq!(up.run(), "p/0");
        assert!(!up.ready);
    }

    #[test]
    fn an_image_that_cannot_be_pulled_and_a_full_node_are_named() {
        let status = container(
            &json!({ "waiting": { "reason": "ErrImageNeverPull", "message": "not present" } }),
            &json!({}),
        );
        assert!(matches!(
            state(Some(&pod(&status)), &cr()),
            State::Failed(Reason::ImageUnavailable, _)
        ));
        let full = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "no room" }] });
        assert!(matches!(
            state(Some(&pod(&full)), &cr()),
            State::Failed(Reason::Unschedulable, _)
        ));
    }
}
