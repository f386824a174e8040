//! The query that keeps Ready true, where nothing else is to be done. It reads no more than the resource, the server's pod
//! and the credentials. Whether everything else still stands, a whole pass looks about once an hour, and the first time
//! after a start.

use super::build::Names;
use super::{Context, Requeue, act, desired, plan, pod};
use crate::clock::between;
use crate::cluster::{self, Object};
use crate::crd::{Key, PostgresVdb};
use crate::scram::Password;
use crate::sql::Login;
use crate::watched;

/// Queries of this kind between two whole passes.
pub const BETWEEN: u32 = 5;

/// `None`: a whole pass is due, or what was read is not as it was proved.
pub async fn probe(
    ctx: &Context,
    key: &Key,
    cr: &PostgresVdb,
) -> Result<Option<Requeue>, cluster::Error> {
    let now = ctx.clock.now();
    let due = ctx.memory.with(key, |m| {
        let asks = m.probe_at.is_some_and(|at| at <= now);
        asks && m.last_proof.is_some() && m.probes < BETWEEN
    });
    let frame = ctx.frame(cr);
    if !due || frame.is_remote() {
        return Ok(None);
    }
    let Some(rest) = watched::rest(cr, &ctx.settings.allow, now) else {
        return Ok(None);
    };
    let names = Names::of(&frame);
    let pod = ctx.cluster.object(&names.pod()).await?;
    let Some(Object::Pod(pod)) = pod else {
        return Ok(None);
    };
    let pod::State::Up(up) = pod::state(Some(&pod), cr) else {
        return Ok(None);
    };
    let found = ctx.cluster.object(&names.credentials()).await?;
    let Some(credentials @ Object::Secret(secret)) = &found else {
        return Ok(None);
    };
    let Some((password, secret_hash)) =
        super::build::secret::text(secret, "password").zip(desired::version(credentials))
    else {
        return Ok(None);
    };
    let is = up.verified(secret_hash);
    let proved = cr.status.as_ref().and_then(|s| s.verified.as_ref());
    if !up.ready || proved != Some(&is) {
        return Ok(None);
    }
    let service = names.service();
    let service = ctx.cluster.object(&service);
    let Some(server) = act::address(ctx, &frame, service).await? else {
        return Ok(None);
    };
    let login = Login::of(&cr.spec.database, Password::new(password));
    if ctx.sql.check(&server, &login).await.is_err() {
        return Ok(None);
    }
    let (proved, wait) = (ctx.clock.now(), plan::interval(cr.uid()));
    ctx.memory.with(key, |m| {
        m.last_proof = Some(proved);
        m.probe_at = Some(proved + wait);
        m.probes += 1;
    });
    let left = rest.until.map(|until| between(proved, until));
    Ok(Some(Requeue::After(
        left.map_or(wait, |left| left.min(wait)),
    )))
}
