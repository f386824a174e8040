//! Settings, values, and the whole of `vdb install` against stand-ins for kubectl and helm.

use tempfile::TempDir;

use super::*;
use crate::web;

/// Gitea and the embedded engine.
pub(super) const GITEA: &str = include_str!("tests/gitea-engine.yaml");
/// GitHub and Data Control Tower.
const GITHUB: &str = include_str!("tests/github-dct.yaml");
const FILES: [&str; 6] = [
    "forge-token",
    "argocd-token",
    "largedb-password",
    "github-app.pem",
    "dct-key",
    "forge-webhook",
];

/// A folder with every file that the examples name.
pub(super) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    for name in FILES {
        let text = format!("the {name}\n");
        std::fs::write(folder.path().join("secrets").join(name), text).unwrap();
    }
    folder
}

pub(super) fn settings(text: &str) -> (Settings, TempDir) {
    let folder = folder();
    let settings = Settings::parse(text, folder.path(), None);
    (settings.unwrap_or_else(|error| panic!("{error}")), folder)
}

#[test]
fn the_printed_example_is_valid() {
    let (settings, _folder) = settings(settings::EXAMPLE);
    assert_eq!(
        settings.argocd.repo_url,
        "https://git.example.com/acme/databases.git"
    );
    assert_eq!(settings.images.tag, env!("CARGO_PKG_VERSION"));
}

/// A key that only the reader knows could not be found by anybody.
#[test]
fn the_printed_example_names_every_key() {
    let folder = folder();
    let text = "a: 1\nextraSettings: {a: 1}\nforge: {a: 1}\nargocd: {a: 1}\nportal: {a: 1}\nimages: {a: 1}\norders: {a: 1}\nengine: {a: 1, sources: [{a: 1}]}\n";
    let problems = Settings::parse(text, folder.path(), None).unwrap_err().0;
    let hints = problems.iter().filter_map(|p| p.hint.as_deref());
    let known: Vec<&str> = hints
        .filter_map(|hint| hint.strip_prefix("known here: "))
        .flat_map(|list| list.split(", "))
        .collect();
    assert!(known.len() > 30, "{known:?}");
    for key in known {
        assert!(
            settings::EXAMPLE.contains(&format!("{key}:")),
            "the example lacks {key}"
        );
    }
}

#[test]
fn every_problem_is_said_at_once_with_its_place_and_its_remedy() {
    let folder = folder();
    let wrong = GITEA
        .replace("kind: gitea", "kind: gitlab")
        .replace("owner: acme", "ownr: acme")
        .replace("secrets/argocd-token", "secrets/nothing")
        .replace("path: /var/lib/vdb-pool", "path: pool")
        .replace(
            "registry: registry.example.com/platform",
            "registry: 'https://r'",
        );
    let problems = Settings::parse(&wrong, folder.path(), None).unwrap_err().0;
    for pointer in [
        "/forge/kind",
        "/forge/owner",
        "/forge/ownr",
        "/argocd/tokenFile",
        "/engine/path",
        "/images/registry",
    ] {
        let problem = problems.iter().find(|problem| problem.pointer == pointer);
        let problem = problem.unwrap_or_else(|| panic!("{pointer} is not in {problems:?}"));
        assert!(problem.hint.as_ref().is_some_and(|hint| !hint.is_empty()));
    }
}

/// The example with a private authority's certificate for both servers.
fn with_authorities(pem: &str) -> (String, TempDir) {
    let folder = folder();
    std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
    let text = GITEA
        .replace("  owner: acme\n", "  owner: acme\n  caFile: ca.pem\n")
        .replace("argocd:\n", "argocd:\n  caFile: ca.pem\n");
    assert_eq!(text.matches("caFile").count(), 2);
    (text, folder)
}

#[test]
fn private_authorities_are_mounted_beside_the_login() {
    let (text, folder) = with_authorities(web::tests::AUTHORITY);
    let settings = Settings::parse(&text, folder.path(), None).unwrap();
    let written = values::of(&settings)["sidecar"]["settings"].take();
    for (section, secret) in [("forge", "vdb-forge"), ("argocd", "vdb-argocd")] {
        assert_eq!(
            written[section]["caFile"],
            format!("/etc/vdb/secrets/{secret}/ca.crt")
        );
        // Whoever looks without knowing values looks for it, too.
        let needed = secrets::needed(&settings);
        let (_, keys) = needed.iter().find(|(name, _)| name == secret).unwrap();
        assert!(keys.contains(&"ca.crt"), "{secret}: {keys:?}");
        let wanted = secrets::wanted(&settings, |_, _| None).unwrap();
        let wanted = wanted.iter().find(|wanted| wanted.name == secret).unwrap();
        assert_eq!(wanted.data["ca.crt"], web::tests::AUTHORITY.trim());
    }
    // Without them nothing is there that would have to be.
    let plain = Settings::parse(GITEA, folder.path(), None).unwrap();
    assert!(!values::of(&plain).to_string().contains("caFile"));
    assert!(
        !secrets::needed(&plain)
            .iter()
            .any(|(_, keys)| keys.contains(&"ca.crt"))
    );
}

#[test]
fn a_file_without_certificates_is_refused_before_anything_is_installed() {
    let (text, folder) = with_authorities("no certificate");
    let problems = Settings::parse(&text, folder.path(), None).unwrap_err().0;
    let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(pointers, ["/forge/caFile", "/argocd/caFile"]);
    assert!(
        problems[0].message.contains("no certificate in PEM"),
        "{}",
        problems[0].message
    );
}

#[test]
fn the_registry_of_the_command_line_wins() {
    let folder = folder();
    let of = |text: &str| Settings::parse(text, folder.path(), Some("r.example/x/"));
    assert_eq!(of(GITEA).unwrap().images.registry, "r.example/x");
    let without = GITEA.replace("  registry: registry.example.com/platform\n", "");
    assert_eq!(of(&without).unwrap().images.registry, "r.example/x");
    assert!(Settings::parse(&without, folder.path(), None).is_err());
}

#[test]
fn who_makes_the_copies_is_named_once() {
    let folder = folder();
    let both = format!(
        "{GITEA}dct: {{url: 'http://x', apiKeyFile: secrets/dct-key, group: g, export: {{server: s, prefix: /p}}}}\n"
    );
    let error = Settings::parse(&both, folder.path(), None).unwrap_err();
    assert!(
        error.to_string().contains("there is an engine, too"),
        "{error}"
    );
    let neither = GITEA.split("engine:").next().unwrap();
    let error = Settings::parse(neither, folder.path(), None).unwrap_err();
    assert_eq!(error.0.len(), 1, "{error}");
}

#[test]
fn no_value_of_a_secret_stands_in_the_charts_values() {
    for text in [GITEA, GITHUB] {
        let (settings, _folder) = settings(text);
        let values = values::of(&settings).to_string();
        for name in FILES {
            assert!(!values.contains(&format!("the {name}")), "{name}: {values}");
        }
    }
}

#[test]
fn the_sidecar_reads_what_is_written_for_it() {
    let (settings, folder) = settings(GITEA);
    let written = environment::yaml::write(&values::of(&settings)["sidecar"]["settings"]).unwrap();
    let file = folder.path().join("settings.yaml");
    std::fs::write(&file, written).unwrap();
    let read = crate::serve::settings::Settings::read(&file).unwrap();
    assert_eq!(read.forge.repository, "databases");
    assert_eq!(read.argocd.webhooks.len(), 2);
    assert_eq!(
        read.dct.url,
        "http://vdb-engine.vdb-system.svc.cluster.local:8080"
    );
}

/// `vdb install` with the stand-ins, in a folder with every file.
fn arguments(folder: &TempDir, yes: bool) -> Args {
    let file = folder.path().join("install.yaml");
    std::fs::write(&file, GITEA).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Args {
        place: Place {
            settings: file,
            kube_context: Some("prod-eu".into()),
            kubeconfig: Some(folder.path().join("kubeconfig")),
            registry: None,
            checkout: here.to_owned(),
            helm: here.join("src/install/tests/helm"),
            kubectl: here.join("src/install/tests/kubectl"),
        },
        example: false,
        dry_run: !yes,
        yes,
        output: Format::Text,
    }
}

fn said(folder: &TempDir, file: &str) -> String {
    std::fs::read_to_string(folder.path().join(file)).unwrap_or_default()
}

#[tokio::test]
async fn every_call_names_the_context_and_no_argument_holds_a_secret() {
    let folder = folder();
    run(arguments(&folder, true)).await.unwrap();
    let called = said(&folder, "called");
    for call in called.lines() {
        assert!(
            call.contains("--context prod-eu ") || call.contains("--kube-context prod-eu "),
            "{call}"
        );
    }
    let encoded = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let given = said(&folder, "given");
    for name in ["forge-token", "argocd-token", "largedb-password"] {
        let secret = format!("the {name}");
        assert!(given.contains(&encoded(&secret)), "{name} did not arrive");
        for text in [&called, &said(&folder, "values")] {
            assert!(!text.contains(&secret) && !text.contains(&encoded(&secret)));
        }
    }
}

#[tokio::test]
async fn environments_are_made_only_when_the_programs_run() {
    let folder = folder();
    run(arguments(&folder, true)).await.unwrap();
    let called = said(&folder, "called");
    let last = |what: &str| {
        called
            .rfind(what)
            .unwrap_or_else(|| panic!("{what}: {called}"))
    };
    assert!(last("upgrade --install vdb") < last("rollout status deployment/vdb-engine"));
    assert!(last("rollout status deployment/vdb-sidecar") < last(" apply "));
    let given = said(&folder, "given");
    let kinds: Vec<String> = given
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].to_string())
        .collect();
    assert_eq!(kinds[0], "\"Namespace\"");
    assert_eq!(kinds[kinds.len() - 1], "\"ApplicationSet\"");
}

#[tokio::test]
async fn what_somebody_has_deleted_is_sent_again() {
    let folder = folder();
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    write("sent", "kind: CustomResourceDefinition");
    run(arguments(&folder, true)).await.unwrap();
    assert_eq!(said(&folder, "asked"), "kind: CustomResourceDefinition");
    assert_eq!(said(&folder, "values"), "", "nothing has changed");
    write("missing", "Error from server (NotFound): not found");
    run(arguments(&folder, true)).await.unwrap();
    assert_ne!(said(&folder, "values"), "");
    write("missing", "Unable to connect to the server");
    let error = run(arguments(&folder, true)).await.unwrap_err();
    assert!(format!("{error:#}").contains("Unable"), "{error:#}");
}

#[tokio::test]
async fn a_dry_run_and_a_refusal_change_nothing() {
    let folder = folder();
    run(arguments(&folder, false)).await.unwrap();
    std::fs::write(folder.path().join("foreign"), "").unwrap();
    let error = run(arguments(&folder, true)).await.unwrap_err().to_string();
    assert!(error.contains("another operator's"), "{error}");
    assert_eq!(said(&folder, "given"), "");
    for call in said(&folder, "called").lines() {
        let changes = [" apply ", " delete ", " patch "];
        assert!(!changes.iter().any(|verb| call.contains(verb)), "{call}");
        assert!(
            !call.contains(" upgrade ") || call.contains("--dry-run=server"),
            "{call}"
        );
    }
}

#[tokio::test]
async fn without_a_context_not_even_the_plan_is_made() {
    let folder = folder();
    let mut args = arguments(&folder, true);
    args.place.kube_context = None;
    let error = run(args).await.unwrap_err().to_string();
    assert!(error.contains("name the cluster"), "{error}");
    assert_eq!(said(&folder, "called"), "");
}
