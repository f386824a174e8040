//! What operators of the operator watch. No label holds a name that users choose: the number of series stays bounded.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::reason::Reason;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

pub struct Metrics {
    registry: Registry,
    failures: Family<ReasonLabel, Counter>,
    orphans: Counter,
    left: Family<KindLabel, Gauge>,
    swept: Family<KindLabel, Counter>,
    sweep_errors: Counter,
    reconciles: Counter,
    progress_writes: Counter,
    endless: Counter,
    errors: Counter,
    duration: Histogram,
    leader: Gauge<i64, std::sync::atomic::AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("vdb_operator");
        let failures = Family::<ReasonLabel, Counter>::default();
        // There from the start: what fails once a day would otherwise never be seen to rise.
        for reason in [Reason::RefreshFailed, Reason::RefreshUndoFailed].map(|r| r.to_string()) {
            drop(failures.get_or_create(&ReasonLabel { reason }));
        }
        let (orphans, reconciles, errors, leader) = (
            Counter::default(),
            Counter::default(),
            Counter::default(),
            Gauge::default(),
        );
        // A pass without waiting takes milliseconds, one that connects up to a few seconds.
        let duration = Histogram::new([0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0]);
        registry.register(
            "stops",
            "Passes that ended with a reason that is no progress",
            failures.clone(),
        );
        registry.register(
            "orphans",
            "Virtual databases that outlived their resource",
            orphans.clone(),
        );
        let (left, swept, sweep_errors) = (
            Family::<KindLabel, Gauge>::default(),
            Family::<KindLabel, Counter>::default(),
            Counter::default(),
        );
        // There from the start: an alert on what is not exported never fires.
        for kind in crate::sweep::Kind::ALL.map(crate::sweep::Kind::as_str) {
            drop(left.get_or_create(&KindLabel { kind }));
            drop(swept.get_or_create(&KindLabel { kind }));
        }
        registry.register(
            "left_behind",
            "What the last sweep found without its counterpart",
            left.clone(),
        );
        registry.register("swept", "What the sweep has deleted", swept.clone());
        registry.register(
            "sweep_errors",
            "Sweeps that could not look at everything",
            sweep_errors.clone(),
        );
        registry.register("reconciles", "Passes over a resource", reconciles.clone());
        let progress_writes = Counter::default();
        registry.register(
            "progress_writes",
            "Writes of a status that only told how far an order is",
            progress_writes.clone(),
        );
        let endless = Counter::default();
        registry.register(
            "endless_visits",
            "Visits to a resource that were broken off because their steps led nowhere",
            endless.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Passes that the cluster's API ended",
            errors.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "Time of a pass",
            duration.clone(),
        );
        registry.register("leader", "1 while this replica works", leader.clone());
        Self {
            registry,
            failures,
            orphans,
            left,
            swept,
            sweep_errors,
            reconciles,
            progress_writes,
            endless,
            errors,
            duration,
            leader,
        }
    }
}

impl Metrics {
    pub fn failed(&self, reason: Reason) {
        self.failures
            .get_or_create(&ReasonLabel {
                reason: reason.to_string(),
            })
            .inc();
    }

    pub fn orphaned(&self) {
        self.orphans.inc();
    }

    pub fn left_behind(&self, kind: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.left.get_or_create(&KindLabel { kind }).set(count);
    }

    pub fn swept(&self, kind: &'static str) {
        self.swept.get_or_create(&KindLabel { kind }).inc();
    }

    pub fn sweep_failed(&self) {
        self.sweep_errors.inc();
    }

    pub fn passed(&self, took: std::time::Duration, ok: bool) {
        self.reconciles.inc();
        self.duration.observe(took.as_secs_f64());
        if !ok {
            self.errors.inc();
        }
    }

    pub fn told_progress(&self) {
        self.progress_writes.inc();
    }

    pub fn found_no_end(&self) {
        self.endless.inc();
    }

    pub fn endless_visits(&self) -> u64 {
        self.endless.get()
    }

    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
#[path = "../../charts/tests/metric_names.rs"]
mod metric_names;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashboard_rules_and_page_name_what_is_exported() {
        let metrics = Metrics::default();
        // What was never counted is not written.
        metrics.failed(Reason::EmptyVolume);
        metric_names::hold("vdb_operator", &metrics.text());
    }
}
