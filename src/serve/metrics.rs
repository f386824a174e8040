//! Metrics: few, with labels from closed lists only.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ActionLabels {
    action: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DeliveryLabels {
    result: &'static str,
}

pub(crate) struct Metrics {
    registry: Registry,
    actions: Family<ActionLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    notifications: Family<DeliveryLabels, Counter>,
    reviews: Family<DeliveryLabels, Counter>,
    pub(crate) waiters: Gauge,
    pub(crate) leader: Gauge,
    pub(crate) publish_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        // 10 ms to 20 s: what a forge takes for a commit and a pull request.
        let publish_seconds = Histogram::new(exponential_buckets(0.01, 2.0, 12));
        let mut metrics = Self {
            registry: Registry::with_prefix("vdb_sidecar"),
            actions: Family::default(),
            deliveries: Family::default(),
            notifications: Family::default(),
            reviews: Family::default(),
            waiters: Gauge::default(),
            leader: Gauge::default(),
            publish_seconds,
        };
        metrics.registry.register(
            "actions",
            "Calls of actions by HTTP status",
            metrics.actions.clone(),
        );
        metrics.registry.register(
            "webhook_deliveries",
            "Deliveries of the forge by result",
            metrics.deliveries.clone(),
        );
        metrics.registry.register(
            "notifications",
            "Notifications sent by result",
            metrics.notifications.clone(),
        );
        metrics.registry.register(
            "reviews",
            "Checks of pull requests by result; failed ones are tried again",
            metrics.reviews.clone(),
        );
        metrics.registry.register(
            "waiters",
            "Calls that wait for a database now",
            metrics.waiters.clone(),
        );
        metrics.registry.register(
            "leader",
            "1 on the replica that does the background work",
            metrics.leader.clone(),
        );
        metrics.registry.register(
            "publish_seconds",
            "Time from an order to its pull request",
            metrics.publish_seconds.clone(),
        );
        metrics
    }
}

impl Metrics {
    pub(crate) fn action(&self, action: &'static str, code: u16) {
        self.actions
            .get_or_create(&ActionLabels { action, code })
            .inc();
    }

    pub(crate) fn delivery(&self, result: &'static str) {
        self.deliveries
            .get_or_create(&DeliveryLabels { result })
            .inc();
    }

    pub(crate) fn notification(&self, result: &'static str) {
        self.notifications
            .get_or_create(&DeliveryLabels { result })
            .inc();
    }

    pub(crate) fn review(&self, result: &'static str) {
        self.reviews.get_or_create(&DeliveryLabels { result }).inc();
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String succeeds");
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
        metrics.action("vdb:validate", 200);
        metrics.delivery("accepted");
        metrics.notification("sent");
        metrics.review("passed");
        metric_names::hold("vdb_sidecar", &metrics.text());
    }

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::default();
        metrics.action("vdb:validate", 400);
        assert!(
            metrics
                .text()
                .contains(r#"vdb_sidecar_actions_total{action="vdb:validate",code="400"} 1"#),
            "{}",
            metrics.text()
        );
    }
}
