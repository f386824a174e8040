//! What one replica does alone, under a lease: notifications, the ends of lives, the catalog, and looking at the forge where it cannot call us.

pub(crate) mod catalog;
pub(crate) mod expiry;
pub(crate) mod notify;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::push_event::PushEvent;
use crate::serve::app::App;
use crate::serve::review;
use crate::serve::webhook::tell_argo_cd;
use crate::web;

/// A third of the time after which the lease is lost.
const LEASE_INTERVAL: Duration = Duration::from_secs(10);
/// How soon a merge is noticed where the forge's webhook does not reach us.
const HEAD_INTERVAL: Duration = Duration::from_secs(5);
/// An Argo CD that is down is not asked every few seconds.
const TELL_AGAIN: Duration = Duration::from_secs(30);
const CATALOG_INTERVAL: Duration = Duration::from_hours(1);
/// Lives end by the hour; one list of all databases each time.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(5);

/// Runs until the program ends, then lets another replica take over at once.
pub(crate) async fn run(app: Arc<App>, end: impl Future<Output = ()> + Send) {
    let identity = identity();
    let (leads, leading) = watch::channel(false);
    tokio::select! {
        () = work(&app, &identity, &leads) => {}
        () = review::run(&app, leading) => {}
        () = end => {}
    }
    if let Err(error) = app.cluster.resign(&identity).await {
        tracing::warn!(
            error = web::error_chain(&error),
            "cannot give the lease back; another replica takes over in 30 seconds"
        );
    }
}

async fn work(app: &App, identity: &str, leads: &watch::Sender<bool>) {
    let mut lease = interval(LEASE_INTERVAL);
    let mut head = interval(HEAD_INTERVAL);
    head.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leader = false;
    let mut watched = Watched::default();
    let mut teller = notify::Teller::default();
    let mut lives = expiry::Expiry::default();
    let mut life = interval(EXPIRY_INTERVAL);
    life.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_catalog = Instant::now();
    loop {
        tokio::select! {
            _ = lease.tick() => {
                leader = lead(app, identity).await;
                leads.send_if_modified(|known| std::mem::replace(known, leader) != leader);
            }
            _ = head.tick(), if leader => {
                watched.look(app).await;
                teller.sweep(app).await;
            }
            _ = life.tick(), if leader => lives.sweep(app).await,
            // Each replica does this at its start, whoever leads: it is one call where nothing changed.
            () = tokio::time::sleep_until(next_catalog), if leader => {
                let done = catalog::reconcile(app).await;
                next_catalog = Instant::now() + if done { CATALOG_INTERVAL } else { LEASE_INTERVAL };
            }
        }
    }
}

/// A name for this run of the program.
fn identity() -> String {
    format!("vdb-sidecar-{:016x}", rand::rng().random::<u64>())
}

/// Without an answer nobody leads: two leaders would tell everybody everything twice.
async fn lead(app: &App, identity: &str) -> bool {
    let leads = match app.cluster.lead(identity).await {
        Ok(leads) => leads,
        Err(error) => {
            tracing::warn!(error = web::error_chain(&error), "cannot take the lease");
            false
        }
    };
    app.metrics.leader.set(i64::from(leads));
    leads
}

/// The base branch, as it was seen last.
#[derive(Default)]
pub(crate) struct Watched {
    head: Option<String>,
    /// Argo CD did not take the last event: not before this time again.
    quiet_until: Option<Instant>,
}

impl Watched {
    /// A head that no webhook spoke of is told to Argo CD, also what moved while no sidecar ran. Saying it twice does no harm.
    pub(crate) async fn look(&mut self, app: &App) {
        let head = match app.forge.base().await {
            Ok(head) => head,
            Err(error) => {
                return tracing::debug!(
                    error = web::error_chain(&error),
                    "cannot read the base branch"
                );
            }
        };
        let moved = self.head.as_ref().is_some_and(|known| *known != head);
        self.head = Some(head.clone());
        let quiet = self.quiet_until.is_some_and(|until| Instant::now() < until);
        if app.told_head.lock().await.as_ref() == Some(&head) || (quiet && !moved) {
            return;
        }
        if moved {
            app.wake().await;
            catalog::reconcile(app).await;
        }
        // Which files changed is not known: naming the directory of all makes Argo CD look at each Application.
        let event = PushEvent {
            repo_url: app.settings.argocd.repo_url.clone(),
            branch: app.settings.forge.branch.clone(),
            modified: vec!["environments".into(), "charts/postgres-vdb".into()],
            ..PushEvent::default()
        };
        if tell_argo_cd(app, &event).await {
            *app.told_head.lock().await = Some(head);
        } else {
            self.quiet_until = Some(Instant::now() + TELL_AGAIN);
        }
    }
}
