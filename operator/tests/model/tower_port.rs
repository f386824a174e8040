//! The tower's side of the ports.

use async_trait::async_trait;
use dct::Class;
use dct::types::{Bookmark, DSource, Job, ProvisionBySnapshot, Snapshot, Source, Vdb};
use environment::spec::Point;
use operator::tower::{Accepted, Dct, Error, Host, Inventory, NewBookmark};

use super::defect::Defect;
use super::run::{Lost, Ports};
use super::tower::{Mark, Operation, SimVdb, shown_job};
use super::world::{Broken, World};

impl Lost for Error {
    fn lost() -> Self {
        answer(Class::Unreachable, false)
    }
}

fn answer(class: Class, conflict: bool) -> Error {
    Error {
        class,
        conflict,
        message: format!("{class:?}"),
    }
}

fn refusal() -> Error {
    answer(Class::Rejected, false)
}

/// What every order has to keep to.
fn check(world: &mut World, operation: Operation) {
    if world.released {
        world.breaks(Broken::WriteAfterRelease);
    }
    let exchanges = !matches!(
        operation,
        Operation::Bookmark | Operation::Provision | Operation::Enable
    );
    if exchanges && world.pod.is_some() {
        world.breaks(Broken::ChangedUnderAServer);
    }
    if operation == Operation::Delete && !world.is_deleting() {
        world.breaks(Broken::LivingDataDeleted);
    }
}

fn start(world: &mut World, operation: Operation) -> Job {
    let recorded = world.recorded().job.map(|job| job.id);
    world.tower.start(operation, recorded.as_deref())
}

/// `None`: there is no such virtual database.
fn order(world: &mut World, operation: Operation) -> Result<Option<Job>, Error> {
    check(world, operation);
    if world.tower.visible().is_none() {
        return Ok(None);
    }
    if world.tower.busy() {
        return Err(answer(Class::Rejected, true));
    }
    match operation {
        Operation::Undo if world.tower.visible().is_none_or(|v| v.previous.is_none()) => {
            return Err(answer(Class::Rejected, true));
        }
        Operation::Rewind if world.tower.mark.is_none() => {
            return Err(answer(Class::NotFound, false));
        }
        _ => {}
    }
    if matches!(
        operation,
        Operation::Disable | Operation::Refresh | Operation::Rewind | Operation::Undo
    ) {
        world.proved = None;
    }
    Ok(Some(start(world, operation)))
}

impl Ports {
    async fn order(&self, operation: Operation) -> Result<Option<Job>, Error> {
        self.effect(format!("{operation:?}"), Some(refusal()), |run| {
            order(&mut run.world, operation)
        })
        .await
    }

    async fn must(&self, operation: Operation) -> Result<Job, Error> {
        self.order(operation)
            .await?
            .ok_or(answer(Class::NotFound, false))
    }
}

fn shown(world: &World) -> Option<Vdb> {
    world
        .tower
        .visible()
        .map(|vdb| vdb.shown(world.tower.offered()))
}

#[async_trait]
impl Dct for Ports {
    async fn inventory(&self) -> Result<Inventory, Error> {
        self.ask(|_| {
            let source = Source {
                id: "s".into(),
                ip_address: Some("10.0.1.54".into()),
                ..Source::default()
            };
            let dsource = DSource {
                id: "d".into(),
                name: Some("largedb".into()),
                source_id: Some("s".into()),
                ..DSource::default()
            };
            Ok(Inventory {
                dsources: vec![dsource],
                sources: vec![source],
                ..Inventory::default()
            })
        })
    }

    async fn provision(&self, _: &ProvisionBySnapshot, _: &Point) -> Result<Accepted, Error> {
        self.effect("Provision".into(), Some(refusal()), |run| {
            let world = &mut run.world;
            check(world, Operation::Provision);
            if world.tower.vdb.is_some() || world.tower.made {
                world.breaks(Broken::SecondVdb);
            } else {
                world.tower.vdb = Some(SimVdb::new());
            }
            let job = start(world, Operation::Provision);
            Ok(Accepted {
                vdb_id: Some("vdb-1".into()),
                job: Some(job),
            })
        })
        .await
    }

    async fn snapshot(&self, _: &str) -> Result<Option<Snapshot>, Error> {
        self.ask(|_| Ok(None))
    }

    async fn bookmark(&self, name: &str) -> Result<Option<Bookmark>, Error> {
        self.ask(|w| Ok(w.tower.mark.map(|mark| mark.shown(name))))
    }

    async fn keep(&self, _: &NewBookmark<'_>) -> Result<Option<Job>, Error> {
        self.effect("Bookmark".into(), Some(refusal()), |run| {
            let world = &mut run.world;
            check(world, Operation::Bookmark);
            if world.tower.busy() || world.tower.mark.is_some() {
                return Err(answer(Class::Rejected, true));
            }
            let data = world.tower.flow().copied().unwrap_or_default();
            world.tower.mark = Some(Mark {
                active: false,
                data,
            });
            Ok(Some(start(world, Operation::Bookmark)))
        })
        .await
    }

    async fn forget(&self, _: &str) -> Result<(), Error> {
        self.effect("Forget".into(), Some(refusal()), |run| {
            run.world.tower.mark = None;
            Ok(())
        })
        .await
    }

    async fn refresh(&self, _: &str, _: &Point) -> Result<Job, Error> {
        self.must(Operation::Refresh).await
    }

    async fn rewind(&self, _: &str, _: &Point) -> Result<Job, Error> {
        self.must(Operation::Rewind).await
    }

    async fn undo_refresh(&self, _: &str) -> Result<Job, Error> {
        self.must(Operation::Undo).await
    }

    async fn vdb(&self, _: &str) -> Result<Option<Vdb>, Error> {
        let gone = self.run().defect == Some(Defect::TakenForGone);
        self.ask(|w| Ok(shown(w).filter(|_| !(gone && w.is_deleting()))))
    }

    async fn vdb_by_name(&self, _: &str) -> Result<Option<Vdb>, Error> {
        let unseen = self.run().defect == Some(Defect::OrderUnseen);
        self.ask(|w| Ok(shown(w).filter(|_| !unseen)))
    }

    async fn job_by_target(&self, _: &str) -> Result<Option<Job>, Error> {
        let unseen = self.run().defect == Some(Defect::OrderUnseen);
        self.ask(|w| {
            let mut jobs = w.tower.jobs.iter().rev().filter(|_| !unseen);
            Ok(jobs
                .find(|j| j.operation != Operation::Bookmark)
                .map(shown_job))
        })
    }

    async fn enable(&self, _: &str, _: Option<&str>) -> Result<Job, Error> {
        self.must(Operation::Enable).await
    }

    async fn disable(&self, _: &str, _: Host) -> Result<Option<Job>, Error> {
        self.order(Operation::Disable).await
    }

    async fn delete(&self, _: &str) -> Result<Option<Job>, Error> {
        self.order(Operation::Delete).await
    }

    /// The end that the poller has heard of.
    async fn jobs(&self, _: &[String]) -> Result<Vec<Job>, Error> {
        Ok(self.run().known.clone())
    }
}
