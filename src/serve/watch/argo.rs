//! Argo CD as all waiting orders see it: every Application of the project, from its stream and from lists.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::Instant;

use super::shared::Shared;
use super::{Backoff, Needed, Pace, Topics};
use crate::argocd::{self, Application, ApplicationSet, Event};
use crate::serve::app::ArgoCd;
use crate::serve::readiness::Argo;
use crate::web;

/// The stream gives a sign of life every 15 seconds.
const ALIVE: Duration = Duration::from_secs(40);
/// A list that was asked for before an Application went may still hold it.
const GONE_KEPT: Duration = Duration::from_secs(60);

const FIRST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Trouble {
    message: String,
    hint: String,
}

impl From<argocd::Error> for Trouble {
    fn from(error: argocd::Error) -> Self {
        Self {
            message: web::error_chain(&error),
            hint: error.hint().to_owned(),
        }
    }
}

pub(crate) struct ArgoView {
    pace: Pace,
    argocd: Arc<dyn ArgoCd>,
    topics: Arc<Topics>,
    needed: Needed,
    list: Shared<(), Trouble>,
    doubt: Shared<(), Trouble>,
    set: Shared<Option<ApplicationSet>, Trouble>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    applications: HashMap<String, Arc<Application>>,
    gone: HashMap<String, Instant>,
    alive: Option<Instant>,
}

impl ArgoView {
    pub(super) fn new(pace: Pace, argocd: Arc<dyn ArgoCd>, topics: Arc<Topics>) -> Self {
        Self {
            pace,
            argocd,
            topics,
            needed: Needed::new(pace.linger),
            list: Shared::new(),
            doubt: Shared::new(),
            set: Shared::new(),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What Argo CD says about an Application.
    pub(crate) async fn application(self: &Arc<Self>, name: &str) -> Argo {
        if self.pace.streams && self.needed.touch() {
            tokio::spawn(Arc::clone(self).listen());
        }
        let alive = self.seen().alive.is_some_and(|at| at.elapsed() < ALIVE);
        let oldest = if alive {
            self.pace.beside_stream
        } else {
            self.pace.list
        };
        if let Err(trouble) = self.list.get(oldest, self.read_list()).await {
            return unknown(&trouble);
        }
        let found = self.seen().applications.get(name).cloned();
        match found {
            Some(application) => Argo::Present(application),
            None => self.absent(name).await,
        }
    }

    /// A role without rights sees an empty list. Asked for by name, Argo CD says that it refuses; one question serves all.
    async fn absent(&self, name: &str) -> Argo {
        let ask = async { Ok(self.argocd.application(name).await.map(|_| ())?) };
        match self.doubt.get(self.pace.doubt, ask).await {
            Ok(_) => Argo::Absent,
            Err(trouble) => unknown(&trouble),
        }
    }

    /// What the ApplicationSet says; none where it cannot be read.
    pub(crate) async fn set(&self) -> Option<ApplicationSet> {
        let ask = async { Ok(self.argocd.application_set().await?) };
        let set = self.set.get(self.pace.doubt, ask).await.ok()?;
        Option::clone(&set)
    }

    async fn read_list(&self) -> Result<(), Trouble> {
        let begun = Instant::now();
        let listed = self.argocd.applications().await?;
        let mut changed = Vec::new();
        {
            let mut seen = self.seen();
            seen.gone.retain(|_, at| at.elapsed() < GONE_KEPT);
            let mut old = std::mem::take(&mut seen.applications);
            for application in listed {
                let name = application.metadata.name.clone();
                let known = old.remove(&name);
                // The stream was faster.
                if seen.gone.get(&name).is_some_and(|at| *at >= begun) {
                    continue;
                }
                let application = match known {
                    Some(known) if is_newer(&known, &application) => known,
                    Some(known) if *known == application => known,
                    _ => {
                        changed.push(name.clone());
                        Arc::new(application)
                    }
                };
                seen.applications.insert(name, application);
            }
            changed.extend(old.into_keys());
        }
        for name in changed {
            self.topics.changed(&name);
        }
        Ok(())
    }

    /// Hears the stream while somebody needs it; a stream that breaks is opened again after a pause.
    async fn listen(self: Arc<Self>) {
        let hear = async {
            let mut backoff = Backoff::of(FIRST_PAUSE);
            loop {
                if let Err(error) = self.hear(&mut backoff).await {
                    tracing::debug!(
                        error = web::error_chain(&error),
                        "the stream of Applications broke"
                    );
                }
                self.seen().alive = None;
                tokio::time::sleep(backoff.next()).await;
            }
        };
        tokio::select! {
            () = hear => {}
            () = self.needed.over(|| self.seen().alive = None) => {}
        }
    }

    async fn hear(&self, backoff: &mut Backoff) -> Result<(), argocd::Error> {
        let mut events = self.argocd.stream().await?;
        while let Some(event) = events.next().await {
            let event = event?;
            *backoff = Backoff::of(FIRST_PAUSE);
            let changed = self.seen().take(event);
            if let Some(name) = changed {
                self.topics.changed(&name);
            }
        }
        Ok(())
    }
}

impl Seen {
    /// The name of the Application that has changed.
    fn take(&mut self, event: Event) -> Option<String> {
        self.alive = Some(Instant::now());
        match event {
            Event::Alive => None,
            Event::Gone(name) => {
                self.gone.insert(name.clone(), Instant::now());
                self.applications.remove(&name).map(|_| name)
            }
            Event::Is(application) => {
                let name = application.metadata.name.clone();
                self.gone.remove(&name);
                self.applications
                    .insert(name.clone(), Arc::new(*application));
                Some(name)
            }
        }
    }
}

/// Whether what is known is newer than what a list says. Versions of one object are numbers that grow.
fn is_newer(known: &Application, listed: &Application) -> bool {
    let version = |application: &Application| application.metadata.resource_version.parse::<u64>();
    version(known).is_ok_and(|known| version(listed).is_ok_and(|listed| known > listed))
}

fn unknown(trouble: &Trouble) -> Argo {
    Argo::Unknown {
        message: trouble.message.clone(),
        hint: trouble.hint.clone(),
    }
}
