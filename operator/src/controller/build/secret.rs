//! The two Secrets of a database: the platform's own access, and the application's credentials.

use std::collections::BTreeMap;

use environment::redact::escaped;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::{Frame, Names, digest, meta};
use crate::scram::Password;

/// The platform's access. The pod mounts the verifier alone.
pub fn admin(frame: &Frame<'_>, password: &Password) -> Secret {
    let entries = [
        ("username", crate::rules::ADMIN.to_owned()),
        ("password", password.reveal().to_owned()),
        (
            "verifier",
            password.verifier_of(frame.settings.scram_iterations),
        ),
    ];
    Secret {
        metadata: meta(frame.cr, &Names::of(frame).admin(), "database"),
        data: Some(bytes(entries)),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// What an application needs in every form that drivers read, and the keys that existing charts read.
pub fn credentials(frame: &Frame<'_>, password: &Password) -> Secret {
    let spec = &frame.cr.spec;
    let (database, user) = (spec.database.name.as_str(), spec.database.user.as_str());
    let (host, port) = (host(frame), spec.port);
    let secret = password.reveal();
    let uri = format!(
        "postgresql://{}:{}@{host}:{port}/{}",
        escaped(user),
        escaped(secret),
        escaped(database)
    );
    let jdbc = format!("jdbc:postgresql://{host}:{port}/{}", escaped(database));
    let jdbc_uri = format!("{jdbc}?user={}&password={}", escaped(user), escaped(secret));
    let pgpass = format!(
        "{host}:{port}:{database}:{user}:{}\n",
        secret.replace('\\', "\\\\").replace(':', "\\:")
    );
    let entries = [
        ("host", host.clone()),
        ("port", port.to_string()),
        ("dbname", database.to_owned()),
        ("username", user.to_owned()),
        ("password", secret.to_owned()),
        ("uri", uri.clone()),
        ("jdbc-uri", jdbc_uri),
        ("pgpass", pgpass),
        ("sslmode", "disable".to_owned()),
        ("ca.crt", String::new()),
        ("database-name", database.to_owned()),
        ("database-user", user.to_owned()),
        ("database-password", secret.to_owned()),
        ("connection-string", uri),
        ("jdbc-url", jdbc),
    ];
    let metadata = meta(frame.cr, &Names::of(frame).credentials(), "database");
    Secret {
        metadata,
        data: Some(bytes(entries)),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The Service's name in the cluster's DNS.
pub fn host(frame: &Frame<'_>) -> String {
    let key = frame.cr.key();
    format!(
        "{}.{}.svc.{}",
        key.name, key.namespace, frame.settings.cluster_domain
    )
}

/// How people are told where the database is: without the password.
pub fn connection_string(frame: &Frame<'_>) -> String {
    let database = &frame.cr.spec.database;
    format!(
        "postgresql://{}@{}:{}/{}",
        escaped(&database.user),
        host(frame),
        frame.cr.spec.port,
        escaped(&database.name)
    )
}

pub fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get(key)?.0;
    String::from_utf8(bytes.clone())
        .ok()
        .filter(|text| !text.is_empty())
}

/// Changes whenever anything in the Secret does, and tells nothing about it.
pub fn hash(secret: &Secret) -> String {
    let mut all = Vec::new();
    for (key, value) in secret.data.iter().flatten() {
        all.extend_from_slice(key.as_bytes());
        all.push(0);
        all.extend_from_slice(&value.0);
        all.push(0);
    }
    digest(&all)[..16].to_owned()
}

fn bytes<const N: usize>(entries: [(&str, String); N]) -> BTreeMap<String, ByteString> {
    entries
        .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
        .into()
}
