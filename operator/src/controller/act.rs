//! Carries out one step through the ports. What a failure means is decided here, once.

use std::time::Duration;

use environment::status::{Intent, Job};

use super::build::{Frame, Names, config_map, vdb_name};
use super::memory::Prepared;
use super::observe::Observed;
use super::plan::{Outcome, Plan, Proof, Record, Step, Stop, Waiting};
use super::provision::tower_failed;
use super::{Context, cleanup, desired, farewell, hooks, job_log, pod, refresh, remote, sight};
use crate::clock::{between, precise};
use crate::cluster::{self, ErrorKind, Kind, Name, Object};
use crate::crd::Key;
use crate::reason::Reason;
use crate::scram::Password;
use crate::settings::Connect;
use crate::sql::{self, Login, Preparation, Server};
use crate::tower;

/// How long one pass tries to connect before it makes room for others, and how often.
const CONNECT_TRIES: u32 = 15;
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// How often a rebuild of indexes is asked after.
const REINDEX_PAUSE: Duration = Duration::from_secs(2);
/// Longest log of a hook that goes into a condition.
const LOG_TAIL: usize = 1024;
/// After this long what is to be written is decided anew.
const LONGEST_APPLY: Duration = Duration::from_secs(10);
/// Somebody else holds the name or the object for a moment.
const CONFLICT_PAUSE: Duration = Duration::from_secs(1);

type Acted = Result<Outcome, cluster::Error>;

pub async fn act(ctx: &Context, observed: &Observed, frame: &Frame<'_>, step: Step) -> Acted {
    ctx.may_act()?;
    let cr = &observed.cr;
    if !step.is_fenced() && ctx.confirm(cr).await? {
        // The answer may have taken long: what to do is decided anew.
        return Ok(Outcome::Again);
    }
    match step {
        Step::AddFinalizer => {
            ctx.cluster.set_finalizer(cr, true).await?;
            ctx.memory.with(&cr.key(), |m| {
                m.is_new = true;
                m.replaced(cr.metadata.resource_version.as_deref(), observed.now);
            });
            Ok(Outcome::Again)
        }
        Step::RecordIntent { source } => {
            let intent = Intent {
                name: vdb_name(cr),
                at: precise(observed.now),
            };
            Ok(Outcome::Recorded(Record::Intent { intent, source }))
        }
        Step::Provision(request) => Ok(provision(ctx, observed, &request).await),
        Step::Adopt { vdb, job } => Ok(Outcome::Recorded(Record::Vdb { id: vdb, job })),
        Step::Enable { vdb, owner } => Ok(ordered(
            observed,
            ctx.dct.enable(&vdb, owner.as_deref()).await.map(Some),
            "enable",
        )),
        Step::Apply(objects) => apply(ctx, observed, frame, &objects).await,
        Step::ApplyWithAdmin(mut objects) => {
            objects.insert(0, desired::admin_secret(frame, &Password::generate()));
            apply(ctx, observed, frame, &objects).await
        }
        Step::Hook(job) => apply(ctx, observed, frame, &[Object::from(*job)]).await,
        Step::HookFailed { hook, job } => hook_failed(ctx, observed, &hook, &job).await,
        Step::Prepare(order) => prepare(ctx, observed, frame, &order).await,
        Step::PublishSecret(password) => {
            let password = password.unwrap_or_else(Password::generate);
            apply(
                ctx,
                observed,
                frame,
                &[super::build::stamped(super::build::secret::credentials(
                    frame, &password,
                ))],
            )
            .await
        }
        Step::Prove(proof) => prove(ctx, observed, frame, proof).await,
        Step::Delete { name, uid, ending } => {
            cleanup::delete(ctx, observed, &name, &uid, ending).await
        }
        Step::DeleteVdb { id } => Ok(ordered(observed, ctx.dct.delete(&id).await, "delete")),
        Step::DisableVdb { id } => {
            let answer = ctx.dct.disable(&id, frame.host()).await;
            Ok(ordered(observed, answer, "disable"))
        }
        Step::Keep { vdb, name } => Ok(refresh::act::keep(ctx, observed, &vdb, &name).await),
        Step::Tell(of) => {
            farewell::tell(ctx, observed, frame, &of).await;
            Ok(Outcome::Again)
        }
        Step::Exchange(exchange) => Ok(refresh::act::exchange(ctx, observed, &exchange).await),
        Step::Forget { bookmark } => Ok(refresh::act::forget(ctx, observed, &bookmark).await),
        Step::Abandon => cleanup::abandon(ctx, observed, frame).await,
        Step::Release { retained } => cleanup::release(ctx, observed, retained).await,
    }
}

/// After a record has reached the status: what the process may rely on from now on.
pub fn remember(ctx: &Context, key: &Key, outcome: &Outcome) {
    match outcome {
        // Without a source, an earlier try may have left something: then it is looked for.
        Outcome::Recorded(Record::Intent { intent, source }) if !source.is_empty() => {
            let fresh = (intent.clone(), source.clone());
            ctx.memory.with(key, |m| m.fresh_intent = Some(fresh));
        }
        Outcome::Recorded(Record::Refresh(_) | Record::Job(_)) => {
            ctx.memory.with(key, |m| m.unsure_since = None);
        }
        Outcome::Ready(_) => ctx.poller.forget(key),
        _ => {}
    }
}

fn stopped(reason: Reason, message: impl Into<String>) -> Outcome {
    Outcome::Stopped(Stop {
        reason,
        message: message.into(),
    })
}

pub(super) fn failed(error: &tower::Error) -> Outcome {
    match tower_failed(error) {
        Plan::Done(outcome) => outcome,
        Plan::Act(_) => Outcome::Again,
    }
}

async fn provision(
    ctx: &Context,
    observed: &Observed,
    request: &dct::types::ProvisionBySnapshot,
) -> Outcome {
    // Whatever the answer is: from here on an order may exist.
    ctx.memory.with(&observed.cr.key(), |m| {
        m.fresh_intent = None;
        m.is_new = false;
    });
    match ctx
        .dct
        .provision(request, &observed.cr.spec.source.point())
        .await
    {
        Ok(accepted) => {
            let job = accepted.job.map(|job| Job {
                id: job.id,
                operation: "provision".to_owned(),
            });
            Outcome::Recorded(Record::Vdb {
                id: accepted.vdb_id,
                job,
            })
        }
        Err(error) if error.conflict => {
            let message = format!(
                "an order of this name may be under way already; looking for it ({})",
                error.message
            );
            Outcome::Waiting(Waiting {
                reason: Reason::Provisioning,
                message,
                after: CONFLICT_PAUSE,
            })
        }
        Err(error) => failed(&error),
    }
}

/// The answer to an order about an existing virtual database.
fn ordered(
    observed: &Observed,
    answer: Result<Option<dct::types::Job>, tower::Error>,
    operation: &str,
) -> Outcome {
    match answer {
        Ok(Some(job)) => Outcome::Recorded(Record::Job(Job {
            id: job.id,
            operation: operation.to_owned(),
        })),
        Ok(None) => Outcome::Again,
        Err(error) if error.conflict => {
            let message = format!("tried again by itself, because {}", error.message);
            let reason = match operation {
                _ if observed.cr.is_deleting() => Reason::Deleting,
                _ if refresh::under_way(&observed.cr).is_some() => Reason::Refreshing,
                _ => Reason::Enabling,
            };
            Outcome::Waiting(Waiting {
                reason,
                message,
                after: CONFLICT_PAUSE,
            })
        }
        Err(error) => failed(&error),
    }
}

async fn apply(ctx: &Context, observed: &Observed, frame: &Frame<'_>, objects: &[Object]) -> Acted {
    let key = observed.cr.key();
    let sight = &ctx.memory.sight;
    let names = Names::of(frame);
    let comes = sight::comes(&observed.cr, observed.now);
    for (place, object) in objects.iter().enumerate() {
        ctx.may_act()?;
        // Somebody may have deleted the resource meanwhile, and a volume that is made after that belongs to nobody.
        if place > 0 && between(observed.now, ctx.clock.now()) > LONGEST_APPLY {
            return Ok(Outcome::Again);
        }
        let name = Name::of(object);
        sight.doubt(&key, &name);
        if comes && name == names.helper() && !sight.claims(&name, observed.now) {
            // The proof looks through the server that this starts, so a write that fails does not go unnoticed.
            sight.note(&key, name, Some(object.clone()), observed.now);
            continue;
        }
        match write(ctx, name == names.helper(), object).await {
            Ok(written) => {
                if name.kind == Kind::StatefulSet {
                    let pod = names.pod();
                    sight.doubt(&key, &pod);
                    if comes && observed.children.get(&name).is_none() {
                        // The watch tells of a new set's pod.
                        sight.note(&key, pod, None, observed.now);
                    }
                }
                if written.is_some() && comes {
                    sight.note(&key, name, written, observed.now);
                }
            }
            Err(error) if matches!(error.kind, ErrorKind::Rejected | ErrorKind::Forbidden) => {
                return Ok(stopped(
                    Reason::ApplyRefused,
                    format!("{}: {}", error.call, error.message),
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Again)
}

async fn write(
    ctx: &Context,
    helper: bool,
    object: &Object,
) -> Result<Option<Object>, cluster::Error> {
    match object {
        Object::ConfigMap(map) if helper => {
            let _turn = ctx.memory.helpers.turn().await;
            ctx.may_act()?;
            let whole = config_map::filled(map, &ctx.helper);
            ctx.cluster.applied(&whole.into()).await
        }
        _ => ctx.cluster.applied(object).await,
    }
}

async fn hook_failed(ctx: &Context, observed: &Observed, hook: &str, job: &str) -> Acted {
    let log = job_log::shown(ctx, &observed.cr, job).await?;
    let tail = crate::one_line(&log);
    let from = tail
        .char_indices()
        .rev()
        .take(LOG_TAIL)
        .last()
        .map_or(0, |(at, _)| at);
    let runs = &observed.children.hook_runs;
    let ended = runs.iter().find(|run| run.job == job);
    let ended = ended.and_then(|run| run.ended.clone()).unwrap_or_default();
    let said: Vec<&str> = [ended.as_str(), &tail[from..]]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    let said = match said.join(": ") {
        said if said.is_empty() => "it left no log".to_owned(),
        said => said,
    };
    let message = format!("hook {hook:?} failed {}: {said}", hooks::named(job));
    Ok(if observed.cr.is_deleting() {
        Outcome::Recorded(Record::HookFailed(message))
    } else {
        stopped(Reason::HookFailed, message)
    })
}

/// The server behind the Service, as it is reached from here.
pub(super) async fn server(
    ctx: &Context,
    observed: &Observed,
    frame: &Frame<'_>,
) -> Result<Server, cluster::Error> {
    let name = Names::of(frame).service();
    let service = async {
        match observed.children.get(&name) {
            Some(found) => Ok(Some(found.clone())),
            None => ctx.cluster.object(&name).await,
        }
    };
    let found = address(ctx, frame, service).await?;
    found.ok_or_else(|| absent(&name))
}

/// The same; `None`: the Service is not there. It is only read where its name is not enough.
pub(super) async fn address(
    ctx: &Context,
    frame: &Frame<'_>,
    service: impl Future<Output = Result<Option<Object>, cluster::Error>>,
) -> Result<Option<Server>, cluster::Error> {
    let host = match ctx.settings.connect {
        Connect::Dns => Some(super::build::secret::host(frame)),
        Connect::ClusterIp => match service.await? {
            Some(Object::Service(service)) => {
                service.spec.as_ref().and_then(|s| s.cluster_ip.clone())
            }
            _ => None,
        },
    };
    let port = frame.cr.spec.port;
    Ok(host.map(|host| Server { host, port }))
}

fn absent(name: &Name) -> cluster::Error {
    cluster::Error {
        kind: ErrorKind::NotFound,
        call: format!("read {name}"),
        message: "it does not exist".to_owned(),
    }
}

async fn prepare(
    ctx: &Context,
    observed: &Observed,
    frame: &Frame<'_>,
    order: &Preparation,
) -> Acted {
    let server = server(ctx, observed, frame).await?;
    let Some(admin) = desired::admin_password(observed, frame) else {
        return Err(absent(&Names::of(frame).admin()));
    };
    let mut last = String::new();
    for _ in 0..CONNECT_TRIES {
        match ctx.sql.prepare(&server, &admin, order).await {
            Ok(sql::Prepared::Done(collations)) => {
                if let pod::State::Up(up) = remote::server(observed, frame) {
                    let done = Prepared {
                        run: up.run(),
                        order: order.clone(),
                        collations,
                    };
                    ctx.memory
                        .with(&observed.cr.key(), |m| m.prepared = Some(done));
                }
                return Ok(Outcome::Again);
            }
            Ok(sql::Prepared::Reindexing(differ)) => {
                let message = format!(
                    "indexes are rebuilt, for at most {:?} (reindexDeadline): {}",
                    order.reindex_deadline,
                    differ.text()
                );
                return Ok(Outcome::Waiting(Waiting {
                    reason: Reason::Reindexing,
                    message,
                    after: REINDEX_PAUSE,
                }));
            }
            Err(sql::Error::NotYet(why)) => last = why,
            Err(sql::Error::DatabaseNotFound { wanted, existing }) => {
                let error = sql::Error::DatabaseNotFound { wanted, existing };
                return Ok(stopped(Reason::DatabaseNotFound, error.to_string()));
            }
            Err(error @ sql::Error::CollationsDiffer(_)) => {
                return Ok(stopped(Reason::CollationMismatch, error.to_string()));
            }
            Err(error @ sql::Error::ReindexFailed(_)) => {
                return Ok(stopped(Reason::ReindexFailed, error.to_string()));
            }
            Err(error) => return Ok(stopped(Reason::PreparationFailed, error.to_string())),
        }
        ctx.clock.sleep(CONNECT_PAUSE).await;
    }
    ctx.memory.sight.forget(&observed.cr.key());
    Ok(Outcome::Waiting(Waiting {
        reason: Reason::Starting,
        message: format!("the server does not answer yet: {last}"),
        after: CONNECT_PAUSE,
    }))
}

/// One query through the Service, as the application. The password is set only if it is not known to be the server's.
async fn prove(ctx: &Context, observed: &Observed, frame: &Frame<'_>, proof: Box<Proof>) -> Acted {
    let server = server(ctx, observed, frame).await?;
    let login = Login::of(&frame.cr.spec.database, proof.password.clone());
    let admin = desired::admin_password(observed, frame);
    if admin.is_none() && !frame.has_own_role() {
        return Err(absent(&Names::of(frame).admin()));
    }
    // A role of the source keeps the password that it has.
    let admin = admin.filter(|_| !frame.has_own_role());
    let mut known = proof.known || admin.is_none();
    let mut last = sql::Error::NotYet(String::new());
    for _ in 0..CONNECT_TRIES {
        if let (Some(admin), false) = (&admin, known) {
            match ctx
                .sql
                .set_password(&server, admin, &login.user, &proof.password)
                .await
            {
                Ok(()) => known = true,
                Err(error) => last = error,
            }
        }
        if known {
            match ctx.sql.check(&server, &login).await {
                Ok(()) => {
                    ctx.memory
                        .with(&observed.cr.key(), |m| m.last_proof = Some(ctx.clock.now()));
                    return Ok(Outcome::Ready(proof));
                }
                Err(error) => {
                    known = admin.is_none() || !matches!(error, sql::Error::Refused(_));
                    last = error;
                }
            }
        }
        ctx.clock.sleep(CONNECT_PAUSE).await;
    }
    ctx.memory.sight.forget(&observed.cr.key());
    Ok(match last {
        sql::Error::NotYet(why) => Outcome::Waiting(Waiting {
            reason: Reason::Starting,
            message: format!("the server does not answer through the Service: {why}"),
            after: Duration::from_secs(1),
        }),
        error => stopped(Reason::QueryFailed, error.to_string()),
    })
}
