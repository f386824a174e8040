//! Which objects are still to be written: what is wanted, less what stands there already. Pure.

use super::build::secret::{self, admin};
use super::build::{
    APPLIED, Copy, Frame, Names, config_map, endpoint, service, stamped, stateful_set, volume,
};
use super::built::{Inputs, What};
use super::observe::{Observed, is_own};
use super::plan::{Plan, Step};
use crate::cluster::{Kind, Name, Object};
use crate::reason::Reason;
use crate::scram::Password;

/// What does not depend on the copy.
pub fn early(observed: &Observed, frame: &Frame<'_>) -> Vec<Object> {
    let built = &observed.memory.built;
    let own = built.of(What::Early, Inputs::of(frame), || {
        let service = stamped(service::service(frame));
        if frame.is_remote() {
            vec![service]
        } else {
            vec![stamped(config_map::config(frame)), service]
        }
    });
    if frame.is_remote() {
        return own;
    }
    helper(observed, frame).into_iter().chain(own).collect()
}

/// Its name says what is in it.
fn helper(observed: &Observed, frame: &Frame<'_>) -> Option<Object> {
    let there = observed.children.get(&Names::of(frame).helper()).is_some();
    (!there).then(|| stamped(config_map::helper(frame)))
}

/// In the order in which they are needed: configuration, volume before claim, the pod's set last.
pub fn all(observed: &Observed, frame: &Frame<'_>, copy: &Copy) -> Vec<Object> {
    if frame.is_remote() {
        let mut objects = early(observed, frame);
        objects.push(stamped(endpoint::endpoint_slice(frame, copy)));
        return objects;
    }
    let inputs = with_copy(observed, frame, copy);
    let mut later = observed.memory.built.of(What::Later, inputs, || {
        let mut objects = vec![
            stamped(volume::persistent_volume(frame, copy)),
            stamped(volume::persistent_volume_claim(frame)),
        ];
        objects.extend(sets(observed, frame, copy, 1));
        objects
    });
    let sets = later.split_off(BEFORE_THE_SET);
    later.extend(chosen(observed, sets));
    let mut objects = early(observed, frame);
    objects.append(&mut later);
    objects
}

const BEFORE_THE_SET: usize = 2;

/// The set without a pod. A running server keeps the helper that it was started with: a new version of the operator
/// restarts no database.
pub fn stopped(observed: &Observed, frame: &Frame<'_>, copy: &Copy) -> Object {
    let inputs = with_copy(observed, frame, copy);
    let built = &observed.memory.built;
    let sets = built.of(What::Stopped, inputs, || sets(observed, frame, copy, 0));
    chosen(observed, sets).expect("there is one with the present helper")
}

fn with_copy<'a>(observed: &'a Observed, frame: &Frame<'a>, copy: &'a Copy) -> Inputs<'a> {
    Inputs {
        copy: Some(copy),
        helper: earlier_helper(observed, frame),
        ..Inputs::of(frame)
    }
}

/// With the helper of the running server, if there is one, and with the present one.
fn sets(observed: &Observed, frame: &Frame<'_>, copy: &Copy, replicas: i32) -> Vec<Object> {
    let present = Names::of(frame).helper().name;
    let earlier = earlier_helper(observed, frame);
    let helpers = earlier.into_iter().chain([present.as_str()]);
    helpers
        .map(|helper| stamped(stateful_set::stateful_set(frame, copy, replicas, helper)))
        .collect()
}

/// The one that stands already, or else the last.
fn chosen(observed: &Observed, mut sets: Vec<Object>) -> Option<Object> {
    let last = sets.pop();
    let standing = sets.into_iter().find(|set| !differs(observed, set));
    standing.or(last)
}

/// The helper of the running server, if it is not the present one.
fn earlier_helper<'a>(observed: &'a Observed, frame: &Frame<'_>) -> Option<&'a str> {
    let names = Names::of(frame);
    let set = observed.children.stateful_set(&names.stateful_set())?;
    stateful_set::helper_of(set).filter(|helper| *helper != names.helper().name)
}

/// The step that writes what is missing; `None` if everything stands.
pub fn step(observed: &Observed, frame: &Frame<'_>, wanted: Vec<Object>) -> Option<Plan> {
    let names = Names::of(frame);
    if let Some(foreign) = wanted.iter().find(|object| is_foreign(observed, object)) {
        return Some(foreign_object(observed, &Name::of(foreign)));
    }
    if observed
        .children
        .get(&names.admin())
        .is_some_and(|found| !is_own(found, &observed.cr))
    {
        return Some(foreign_object(observed, &names.admin()));
    }
    let missing: Vec<_> = wanted
        .into_iter()
        .filter(|object| differs(observed, object))
        .collect();
    if observed.children.get(&names.admin()).is_none() && !frame.has_own_role() {
        return Some(Plan::Act(Step::ApplyWithAdmin(missing)));
    }
    (!missing.is_empty()).then_some(Plan::Act(Step::Apply(missing)))
}

/// An object of the wanted name that somebody else made. That of an earlier resource of this name is on its way out.
fn foreign_object(observed: &Observed, name: &Name) -> Plan {
    let leaving = observed.children.get(name).is_some_and(|o| {
        o.meta().deletion_timestamp.is_some() || o.label(super::build::UID_LABEL).is_some()
    });
    if leaving {
        return Plan::wait(
            Reason::Pending,
            format!("{name} of an earlier resource is being removed"),
            std::time::Duration::from_secs(2),
        );
    }
    Plan::stop(
        Reason::ForeignObject,
        format!("{name} exists and is not this resource's"),
    )
}

fn is_foreign(observed: &Observed, wanted: &Object) -> bool {
    let shared = wanted.label(super::build::UID_LABEL).is_none();
    !shared
        && observed
            .children
            .get(&Name::of(wanted))
            .is_some_and(|found| !is_own(found, &observed.cr))
}

/// Volumes and claims cannot be changed once they exist; everything else carries the hash of what it was made from.
pub fn differs(observed: &Observed, wanted: &Object) -> bool {
    match observed.children.get(&Name::of(wanted)) {
        None => true,
        Some(_)
            if matches!(
                wanted.kind(),
                Kind::PersistentVolume | Kind::PersistentVolumeClaim
            ) =>
        {
            false
        }
        Some(found) => found.annotation(APPLIED) != wanted.annotation(APPLIED),
    }
}

/// The published password and what identifies the Secret's version, if the Secret says what is ordered.
pub fn credentials(
    observed: &Observed,
    frame: &Frame<'_>,
    ordered: Option<&Password>,
) -> Option<(Password, String)> {
    let name = Names::of(frame).credentials();
    let found = observed.children.own(&name, &observed.cr)?;
    let secret = observed.children.secret(&name)?;
    let password = match ordered {
        Some(password) => password.clone(),
        None => Password::new(secret::text(secret, "password")?),
    };
    let inputs = Inputs {
        password: Some(&password),
        ..Inputs::of(frame)
    };
    let wanted = observed.memory.built.of(What::Credentials, inputs, || {
        vec![stamped(secret::credentials(frame, &password))]
    });
    if found.annotation(APPLIED) != wanted.first().and_then(|w| w.annotation(APPLIED))
        || secret::text(secret, "password").as_deref() != Some(password.reveal())
    {
        return None;
    }
    Some((password, version(found)?))
}

/// Says which version of a Secret it is, not its content: a hash of a weak password could be guessed.
pub fn version(secret: &Object) -> Option<String> {
    let meta = secret.meta();
    let version = format!(
        "{}/{}",
        meta.uid.as_deref()?,
        meta.resource_version.as_deref()?
    );
    Some(super::build::digest(version.as_bytes())[..16].to_owned())
}

/// The platform's password, as the Secret holds it.
pub fn admin_password(observed: &Observed, frame: &Frame<'_>) -> Option<Password> {
    let secret = observed.children.secret(&Names::of(frame).admin())?;
    secret::text(secret, "password").map(Password::new)
}

/// What the Secret of the order says.
pub fn ordered_password(observed: &Observed, frame: &Frame<'_>) -> Option<Password> {
    let name = frame.cr.spec.database.password_secret_ref.as_ref()?;
    let name = Name::new(Kind::Secret, &frame.cr.key().namespace, name);
    let text = secret::text(observed.children.secret(&name)?, "password")?;
    Some(Password::new(text.trim_end_matches('\n'))).filter(|p| !p.reveal().is_empty())
}

/// What lets the platform in without saying its password.
pub fn admin_verifier(observed: &Observed, frame: &Frame<'_>) -> Option<String> {
    let secret = observed.children.secret(&Names::of(frame).admin())?;
    secret::text(secret, "verifier")
}

pub fn admin_secret(frame: &Frame<'_>, password: &Password) -> Object {
    stamped(admin(frame, password))
}
