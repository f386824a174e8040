//! What a Job has printed, without what was secret in its environment: a script may print it.

use std::collections::{BTreeMap, BTreeSet};

use environment::redact::Redactor;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Secret};

use super::Context;
use super::build::{Names, secret};
use crate::cluster::{self, ErrorKind, Kind, Name, Object};
use crate::crd::PostgresVdb;

const PASSWORD: &str = "password";
/// A line of a secret text that is shorter may stand anywhere.
const SHORTEST_LINE: usize = 8;

/// The last lines of the Job's log, or why they are not shown: without its Secrets nobody knows what to hide.
///
/// # Errors
/// The cluster's API does not answer.
pub async fn shown(ctx: &Context, cr: &PostgresVdb, job: &str) -> Result<String, cluster::Error> {
    let namespace = cr.key().namespace;
    let hidden = |what: &str, why: &str| format!("(its log is not shown: {what} {why})");
    let name = Name::new(Kind::Job, &namespace, job);
    let found = match read(ctx, &name).await? {
        Ok(Some(Object::Job(found))) => found,
        Ok(_) => return Ok(hidden(&name.to_string(), "is gone")),
        Err(why) => return Ok(hidden(&name.to_string(), &why)),
    };
    let mut known = Vec::new();
    for (secret, keys) in secrets(ctx, cr, &found) {
        let name = Name::new(Kind::Secret, &namespace, secret);
        match read(ctx, &name).await? {
            Ok(Some(Object::Secret(secret))) => known.extend(values(&secret, &keys)),
            Ok(_) => {}
            Err(why) => return Ok(hidden(&name.to_string(), &why)),
        }
    }
    Ok(match ctx.cluster.job_log(&namespace, job).await {
        Ok(log) => Redactor::new(known).text(&log),
        Err(error) => format!("(its log cannot be read: {})", error.message),
    })
}

/// What a later try would answer in the same way is no error.
async fn read(
    ctx: &Context,
    name: &Name,
) -> Result<Result<Option<Object>, String>, cluster::Error> {
    match ctx.cluster.object(name).await {
        Ok(found) => Ok(Ok(found)),
        Err(error) => match error.kind {
            ErrorKind::Unreachable | ErrorKind::Conflict => Err(error),
            ErrorKind::NotFound => Ok(Ok(None)),
            ErrorKind::Forbidden | ErrorKind::Rejected => Ok(Err(error.message)),
        },
    }
}

/// Keys of a Secret.
#[derive(Debug, PartialEq, Eq)]
enum Keys {
    All,
    Some(BTreeSet<String>),
}

/// The Secrets that the Job's containers see, and the database's own, whose names and hosts are no secret.
fn secrets(ctx: &Context, cr: &PostgresVdb, job: &Job) -> BTreeMap<String, Keys> {
    let mut all = seen_by(job);
    let frame = ctx.frame(cr);
    let names = Names::of(&frame);
    for own in [names.admin().name, names.credentials().name] {
        all.insert(own, Keys::Some([PASSWORD.to_owned()].into()));
    }
    if let Some(ordered) = &cr.spec.database.password_secret_ref {
        let keys = all.entry(ordered.clone());
        if let Keys::Some(keys) = keys.or_insert(Keys::Some(BTreeSet::new())) {
            keys.insert(PASSWORD.to_owned());
        }
    }
    all
}

fn seen_by(job: &Job) -> BTreeMap<String, Keys> {
    let pod = job.spec.as_ref().and_then(|s| s.template.spec.as_ref());
    let containers: Vec<&Container> = pod.iter().flat_map(|pod| &pod.containers).collect();
    let mut all = BTreeMap::new();
    let variables = containers.iter().flat_map(|c| c.env.iter().flatten());
    let keys = variables.filter_map(|v| v.value_from.as_ref()?.secret_key_ref.as_ref());
    for key in keys {
        let keys = all.entry(key.name.clone());
        if let Keys::Some(keys) = keys.or_insert(Keys::Some(BTreeSet::new())) {
            keys.insert(key.key.clone());
        }
    }
    let sources = containers.iter().flat_map(|c| c.env_from.iter().flatten());
    for whole in sources.filter_map(|from| from.secret_ref.as_ref()) {
        all.insert(whole.name.clone(), Keys::All);
    }
    all
}

/// Each value in the forms in which it may be printed. Of a text of several lines the log may hold the last ones alone.
fn values(secret: &Secret, keys: &Keys) -> Vec<String> {
    let data = secret.data.iter().flatten();
    let wanted = data.filter(|(key, _)| match keys {
        Keys::All => true,
        Keys::Some(keys) => keys.contains(*key),
    });
    let texts = wanted.filter_map(|(key, _)| secret::text(secret, key));
    let forms = |text: String| {
        let lines = text.lines().filter(|line| line.len() >= SHORTEST_LINE);
        let mut forms: Vec<String> = lines.map(str::to_owned).collect();
        forms.push(text.replace('\\', "\\\\").replace(':', "\\:"));
        forms.push(text);
        forms
    };
    texts.flat_map(forms).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_secret_of_a_jobs_environment_is_known() {
        let key = |name: &str, key: &str| json!({ "name": "V", "valueFrom": { "secretKeyRef": { "name": name, "key": key } } });
        let container = json!({
            "name": "hook",
            "env": [{ "name": "A", "value": "plain" }, key("one", "k"), key("one", "l"), key("both", "k")],
            "envFrom": [{ "configMapRef": { "name": "map" } }, { "secretRef": { "name": "both" } }],
        });
        let job = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
        let seen = seen_by(&serde_json::from_value(job).unwrap());
        let one = Keys::Some(["k".to_owned(), "l".to_owned()].into());
        let wanted = [("both".to_owned(), Keys::All), ("one".to_owned(), one)];
        assert_eq!(seen, wanted.into());
    }

    #[test]
    fn values_are_known_as_a_pgpass_file_has_them_and_by_their_lines() {
        let data =
            json!({ "pin": "YTpiXGM=", "pem": "LS0tLQphYmNkZWZnaGkKLS0tLQo=", "raw": "/w==" });
        let secret: Secret = serde_json::from_value(json!({ "data": data })).unwrap();
        let all = values(&secret, &Keys::All);
        let pem = "----\nabcdefghi\n----\n";
        assert_eq!(all, ["abcdefghi", pem, pem, r"a\:b\\c", r"a:b\c"]);
        let pin = Keys::Some(["pin".to_owned()].into());
        assert_eq!(values(&secret, &pin), [r"a\:b\\c", r"a:b\c"]);
    }
}
