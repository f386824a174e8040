//! The leader lease. What is written down is fenced by the precondition on every status write. Orders to the engine
//! know no precondition: a process whose lease may have passed to another sends none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, PostParams};

pub const NAME: &str = "vdb-operator";
/// Long enough for a slow API server, short enough that a killed leader is not missed for long.
const DURATION: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(3);

/// Until when nobody else can have taken the lease.
#[derive(Default)]
pub struct Tenure(Mutex<Option<Instant>>);

impl Tenure {
    fn renewed(&self, asked: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked + DURATION);
    }

    pub fn lasts(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

pub struct Leadership {
    api: Api<Lease>,
    identity: String,
    tenure: Arc<Tenure>,
}

/// Who held the lease when it was last seen to change. Expiry is judged by this clock alone: clocks differ.
struct Seen {
    renewed: Option<MicroTime>,
    at: Instant,
}

impl Leadership {
    pub fn new(api: Api<Lease>, identity: String, tenure: Arc<Tenure>) -> Self {
        Self {
            api,
            identity,
            tenure,
        }
    }

    /// Returns when this process leads.
    pub async fn acquire(&self) {
        let mut seen = Seen {
            renewed: None,
            at: Instant::now(),
        };
        let mut told = false;
        loop {
            match self.try_take(&mut seen).await {
                Ok(true) => return,
                Ok(false) if !told => {
                    tracing::info!("another replica leads; waiting");
                    told = true;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    error = crate::error_chain(&error),
                    "the lease cannot be read"
                ),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Returns when the leadership is lost.
    pub async fn keep(&self) {
        let mut renewed = Instant::now();
        let mut seen = Seen {
            renewed: None,
            at: Instant::now(),
        };
        loop {
            tokio::time::sleep(RENEW).await;
            match self.try_take(&mut seen).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                Err(error) => tracing::warn!(
                    error = crate::error_chain(&error),
                    "the lease was not renewed"
                ),
            }
            if renewed.elapsed() >= DURATION {
                return;
            }
        }
    }

    /// Lets the next replica begin at once.
    pub async fn release(&self) {
        let Ok(Some(mut lease)) = self.api.get_opt(NAME).await else {
            return;
        };
        if lease
            .spec
            .as_ref()
            .and_then(|s| s.holder_identity.as_deref())
            != Some(&self.identity)
        {
            return;
        }
        lease.spec.get_or_insert_default().holder_identity = None;
        if let Err(error) = self.api.replace(NAME, &PostParams::default(), &lease).await {
            tracing::debug!(%error, "the lease was not released");
        }
    }

    async fn try_take(&self, seen: &mut Seen) -> Result<bool, kube::Error> {
        // Others count from the moment at which they see the renewal, which is later.
        let asked = Instant::now();
        let taken = self.take(seen).await?;
        if taken {
            self.tenure.renewed(asked);
        }
        Ok(taken)
    }

    async fn take(&self, seen: &mut Seen) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(NAME).await? else {
            let mut lease = Lease {
                spec: Some(self.spec(0)),
                ..Lease::default()
            };
            lease.metadata.name = Some(NAME.to_owned());
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        if seen.renewed != spec.renew_time {
            *seen = Seen {
                renewed: spec.renew_time.clone(),
                at: Instant::now(),
            };
        }
        let holder = spec.holder_identity.unwrap_or_default();
        let free = holder.is_empty() || holder == self.identity || seen.at.elapsed() >= DURATION;
        if !free {
            return Ok(false);
        }
        let changes =
            spec.lease_transitions.unwrap_or_default() + i32::from(holder != self.identity);
        let acquired = spec.acquire_time.filter(|_| holder == self.identity);
        let mine = self.spec(changes);
        lease.spec = Some(LeaseSpec {
            acquire_time: acquired.or(mine.acquire_time.clone()),
            ..mine
        });
        won(self.api.replace(NAME, &PostParams::default(), &lease).await)
    }

    fn spec(&self, changes: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(changes),
            ..LeaseSpec::default()
        }
    }
}

/// A conflict means that somebody else was faster.
fn won(answer: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
