//! From the file's text to `Settings`, section by section.

mod tower;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use environment::{Problem, Problems, yaml};
use serde_json::{Map, Value};

use super::{Argo, Forge, Images, Login, Portal, Settings};
use crate::install::reader::Fields;
use crate::web;

impl Settings {
    /// `registry` is the command line's, which wins over the file's; files are named relative to `folder`.
    pub(in crate::install) fn parse(
        text: &str,
        folder: &Path,
        registry: Option<&str>,
    ) -> Result<Self, Problems> {
        let value: Value = yaml::read(text).map_err(|why| {
            let problem = Problem::at("", format!("the file is no YAML: {why}"));
            problem.hint("`vdb install --example` prints how it looks")
        })?;
        let problems = RefCell::default();
        let root = Fields::root(&value, &problems);
        let images = images(&root, registry);
        let forge = forge(root.need_section("forge", "the Git server"), folder);
        let argocd = root.need_section("argocd", "where Argo CD is");
        let argocd = argo(argocd, folder, &forge);
        let portal = portal(root.need_section("portal", "where Backstage is"));
        let tower = tower::read(&root, folder);
        let (allowed_sources, allowed_images) = orders(root.section("orders"));
        let extra = extra(root.section("extraSettings"));
        root.finish();
        let settings = Self {
            images,
            forge,
            argocd,
            portal,
            tower,
            allowed_sources,
            allowed_images,
            extra,
        };
        let problems = problems.into_inner();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(Problems(problems))
        }
    }
}

fn images(root: &Fields<'_>, registry: Option<&str>) -> Images {
    let section = root.section("images");
    let in_file = section
        .as_ref()
        .and_then(|section| section.text("registry"));
    let registry = registry.map(str::to_owned).or(in_file).unwrap_or_default();
    let good = registry
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b));
    if registry.is_empty() || !good || registry.contains("://") {
        root.wrong(
            "images/registry",
            format!("{registry:?} is no registry"),
            "name where the images were pushed, for example registry.example.com/platform, here or by REGISTRY=",
        );
    }
    let default = Images {
        registry: registry.trim_end_matches('/').to_owned(),
        tag: env!("CARGO_PKG_VERSION").to_owned(),
        pull_policy: "IfNotPresent",
        pull_secrets: Vec::new(),
    };
    let Some(section) = section else {
        return default;
    };
    let policies = ["IfNotPresent", "Always", "Never"];
    let images = Images {
        tag: section.text("tag").unwrap_or(default.tag),
        pull_policy: section.choice("pullPolicy", &policies, Some(default.pull_policy)),
        pull_secrets: section.list("pullSecrets").unwrap_or_default(),
        registry: default.registry,
    };
    section.finish();
    images
}

fn forge(section: Fields<'_>, folder: &Path) -> Forge {
    let kind = section.choice("kind", &["gitea", "github"], None);
    let forge = Forge {
        kind,
        url: section.url("url", "the address that people's browsers use"),
        owner: section.need("owner", "the organisation that owns the repository"),
        repository: section.need("repository", "the environments repository's name"),
        branch: section.text("branch").unwrap_or_else(|| "main".to_owned()),
        login: login(&section, kind, folder),
        api_url: section.text("apiUrl"),
        graphql_url: section.text("graphqlUrl"),
        reviewers: section.list("reviewers").unwrap_or_default(),
        webhook_secret_file: section.file("webhookSecretFile", folder),
        ca_file: authorities(&section, folder),
    };
    for (key, url) in [
        ("apiUrl", &forge.api_url),
        ("graphqlUrl", &forge.graphql_url),
    ] {
        section.is_url(key, url.as_deref().unwrap_or_default());
    }
    for (key, text) in [("owner", &forge.owner), ("repository", &forge.repository)] {
        if text.contains(['/', ' ', '?', '#']) {
            section.wrong(
                key,
                format!("{text:?} is no name"),
                "write owner and repository apart, without '/'",
            );
        }
    }
    section.finish();
    forge
}

/// A file that the programs could not use is told now, not by a program that does not start.
fn authorities(section: &Fields<'_>, folder: &Path) -> Option<PathBuf> {
    let path = section.file("caFile", folder)?;
    if path.is_file()
        && let Err(error) = web::client_with(Some(&path))
    {
        section.wrong(
            "caFile",
            web::error_chain(&error),
            "name a file with certificates in PEM",
        );
    }
    Some(path)
}

fn login(section: &Fields<'_>, kind: &str, folder: &Path) -> Login {
    let token = "tokenFile, a file with the token of the account that opens pull requests";
    let Some(app) = section.section("app") else {
        return Login::Token(section.need_file("tokenFile", folder, token));
    };
    if kind != "github" {
        section.wrong("app", "an App exists on GitHub only", "use tokenFile");
    }
    if section.has("tokenFile") {
        section.wrong("tokenFile", "there is an app, too", "leave one of them out");
    }
    let id = app.number("appId").unwrap_or_default();
    if id == 0 {
        app.wrong(
            "appId",
            "this is no App's number",
            "the App's page shows it",
        );
    }
    let installation = app.number("installationId");
    let key_file = app.need_file("privateKeyFile", folder, "the key that the App's page gave");
    app.finish();
    Login::App {
        id,
        installation,
        key_file,
    }
}

fn argo(section: Fields<'_>, folder: &Path, forge: &Forge) -> Argo {
    let namespace = section.text("namespace").unwrap_or_else(|| "argocd".into());
    let url = section.url("url", "argocd-server's address as pods reach it");
    let webhooks = section.list("webhooks").unwrap_or_else(|| {
        let generator = format!("argocd-applicationset-controller.{namespace}.svc.cluster.local");
        vec![
            format!("{url}/api/webhook"),
            format!("http://{generator}:7000/api/webhook"),
        ]
    });
    for webhook in &webhooks {
        section.is_url("webhooks", webhook);
    }
    let default = format!("{}/{}/{}.git", forge.url, forge.owner, forge.repository);
    let argocd = Argo {
        token_file: section.need_file(
            "tokenFile",
            folder,
            "a file with the project role's token (docs/install.md, step 4)",
        ),
        webhook_secret_file: section.file("webhookSecretFile", folder),
        ca_file: authorities(&section, folder),
        repo_url: section.text("repoUrl").unwrap_or(default),
        namespace,
        url,
        webhooks,
    };
    section.finish();
    argocd
}

fn portal(section: Fields<'_>) -> Portal {
    let portal = Portal {
        url: section.url("url", "the portal's backend as pods reach it"),
        public_url: section.text("publicUrl"),
        register_catalog: section.flag("registerCatalog", true),
    };
    section.is_url(
        "publicUrl",
        portal.public_url.as_deref().unwrap_or_default(),
    );
    section.finish();
    portal
}

fn orders(section: Option<Fields<'_>>) -> (Vec<String>, Vec<String>) {
    let list = |key| section.as_ref().and_then(|section| section.list(key));
    let sources = list("allowedSources").unwrap_or_else(|| vec!["*".to_owned()]);
    let images = list("allowedImages").unwrap_or_else(|| vec!["postgres:*".to_owned()]);
    if let Some(section) = section {
        section.finish();
    }
    (sources, images)
}

/// The programs refuse what they do not know, so these are passed on as they are.
fn extra(section: Option<Fields<'_>>) -> Map<String, Value> {
    let Some(section) = section else {
        return Map::new();
    };
    let programs = ["operator", "sidecar", "engine"];
    let given = programs
        .into_iter()
        .filter_map(|program| Some((program.to_owned(), section.mapping(program)?)));
    let extra = given.collect();
    section.finish();
    extra
}
