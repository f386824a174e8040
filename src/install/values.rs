//! The values of charts/postgres-vdb-platform that the settings mean. No secret stands in them: Secrets go by name.

use serde_json::{Map, Value, json};

use super::secrets::{ARGOCD, AUTHORITIES, DCT, FORGE, source_secret};
use super::settings::{Forge, Login, Settings, Source, Tower};

/// The programs' images have these paths (Containerfile).
const SERVER_PROGRAMS: &str = "/usr/lib/postgresql/16/bin";
const CLIENT_PROGRAMS: &str = "/usr/lib/postgresql/17/bin";
const ENGINE_URL: &str = "http://vdb-engine.vdb-system.svc.cluster.local:8080";
/// Names of virtual databases are unique in it.
const GROUP: &str = "postgres-vdb-platform";

pub(super) fn of(settings: &Settings) -> Value {
    let images = &settings.images;
    let image = |name: &str| json!(format!("{}/{name}:{}", images.registry, images.tag));
    let mut values = json!({
        "imagePullPolicy": images.pull_policy,
        "operator": {"image": image("operator"), "secrets": [DCT], "settings": operator(settings)},
        "sidecar": {"image": image("sidecar"), "secrets": [FORGE, ARGOCD, DCT], "settings": sidecar(settings)},
    });
    if !images.pull_secrets.is_empty() {
        values["imagePullSecrets"] = json!(images.pull_secrets);
    }
    if let Tower::Engine { .. } = &settings.tower {
        values["engine"] = engine(&settings.tower);
        values["engine"]["image"] = image("engine");
    }
    for (program, extra) in &settings.extra {
        lay_over(&mut values[program.as_str()]["settings"], extra);
    }
    values
}

/// Mappings are merged, everything else is replaced.
fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

fn mounted(secret: &str, key: &str) -> String {
    format!("/etc/vdb/secrets/{secret}/{key}")
}

fn dct_url(settings: &Settings) -> &str {
    match &settings.tower {
        Tower::Dct { url, .. } => url,
        Tower::Engine { .. } => ENGINE_URL,
    }
}

fn operator(settings: &Settings) -> Value {
    let mut dct = json!({
        "url": dct_url(settings),
        "apiKeyFile": mounted(DCT, "api-key"),
        "clientName": "postgres-vdb-platform",
    });
    let export = match &settings.tower {
        Tower::Dct {
            group,
            server,
            prefix,
            ..
        } => {
            dct["group"] = json!(group);
            json!({"kind": "nfs", "server": server, "prefix": prefix})
        }
        Tower::Engine { node, path, .. } => {
            dct["group"] = json!(GROUP);
            // The embedded engine shows a virtual database as soon as its job exists.
            dct["visibilityGrace"] = json!("5s");
            json!({"kind": "local", "prefix": format!("{}/vdbs", pool(path)), "node": node})
        }
    };
    json!({
        "dct": dct,
        "export": export,
        "allow": {"sources": settings.allowed_sources, "images": settings.allowed_images},
        // The pods of databases take their image as the platform's own pods do.
        "imagePullPolicy": settings.images.pull_policy,
    })
}

fn sidecar(settings: &Settings) -> Value {
    let (forge, argocd, portal) = (&settings.forge, &settings.argocd, &settings.portal);
    let mut written = json!({
        "portal": {"url": portal.url, "registerCatalog": portal.register_catalog},
        "forge": {
            "kind": forge.kind,
            "url": forge.url,
            "owner": forge.owner,
            "repository": forge.repository,
            "branch": forge.branch,
            "webhookSecretFile": mounted(FORGE, "webhook-secret"),
        },
        "argocd": {
            "url": argocd.url,
            "tokenFile": mounted(ARGOCD, "token"),
            "project": "postgres-vdb-platform",
            "namespace": argocd.namespace,
            "webhooks": argocd.webhooks,
            "webhookSecretFile": mounted(ARGOCD, "webhook-secret"),
            "repoUrl": argocd.repo_url,
        },
        "dct": {"url": dct_url(settings), "apiKeyFile": mounted(DCT, "api-key")},
        "orders": {"allowedSources": settings.allowed_sources, "allowedImages": settings.allowed_images},
    });
    for (section, secret, file) in [
        ("forge", FORGE, &forge.ca_file),
        ("argocd", ARGOCD, &argocd.ca_file),
    ] {
        if file.is_some() {
            written[section]["caFile"] = json!(mounted(secret, AUTHORITIES));
        }
    }
    if let Some(url) = &portal.public_url {
        written["portal"]["publicUrl"] = json!(url);
    }
    let section = written["forge"].as_object_mut().into_iter();
    section.for_each(|section| section.extend(login(forge)));
    written
}

/// As whom the sidecar comes, and what only some forges need.
fn login(forge: &Forge) -> Map<String, Value> {
    let mut keys = Map::new();
    match &forge.login {
        Login::Token(_) => {
            keys.insert("tokenFile".into(), json!(mounted(FORGE, "token")));
        }
        Login::App {
            id, installation, ..
        } => {
            let mut app = json!({"appId": id, "privateKeyFile": mounted(FORGE, "private-key")});
            if let Some(installation) = installation {
                app["installationId"] = json!(installation);
            }
            keys.insert("app".into(), app);
        }
    }
    for (key, url) in [
        ("apiUrl", &forge.api_url),
        ("graphqlUrl", &forge.graphql_url),
    ] {
        keys.extend(url.as_ref().map(|url| (key.to_owned(), json!(url))));
    }
    if !forge.reviewers.is_empty() {
        keys.insert("reviewers".into(), json!(forge.reviewers));
    }
    keys
}

fn engine(tower: &Tower) -> Value {
    let Tower::Engine {
        storage,
        node,
        path,
        size,
        sources,
        ..
    } = tower
    else {
        return json!({});
    };
    let mut secrets = vec![DCT.to_owned()];
    secrets.extend(sources.iter().map(|source| source_secret(&source.name)));
    json!({
        "enabled": true,
        "secrets": secrets,
        "settings": {
            "listen": "0.0.0.0:8080",
            "pool": "/pool",
            "storage": storage,
            "exportPrefix": format!("{}/vdbs", pool(path)),
            "apiKeys": [{"name": "platform", "keyFile": mounted(DCT, "api-key")}],
            "postgresBin": SERVER_PROGRAMS,
            "clientBin": CLIENT_PROGRAMS,
            "sources": sources.iter().map(linked).collect::<Vec<_>>(),
        },
        "pool": {"hostPath": pool(path), "node": node, "size": size},
    })
}

fn linked(source: &Source) -> Value {
    let mut linked = json!({
        "name": source.name,
        "host": source.host,
        "port": source.port,
        "database": source.database,
        "user": source.user,
        "passwordFile": mounted(&source_secret(&source.name), "password"),
    });
    if let Some(rate) = &source.max_rate {
        linked["maxRate"] = json!(rate);
    }
    linked
}

fn pool(path: &str) -> &str {
    path.trim_end_matches('/')
}
