//! The model of the API server that the operator's simulation judges mutants of an order by, against a real one: each
//! mutant is sent as a dry run, and both must say the same of it. What is refused is refused by a word about its field,
//! and of what is accepted the operator reads the same from both.

use anyhow::Context as _;
use environment::PostgresVdbSpec;
use environment::names::{GROUP, VERSION};
use futures::{StreamExt as _, stream};
use kube::api::{Api, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, Error};
use serde_json::{Value, json};

use self::draw::Mutant;
use self::random::Random;
use crate::database::AT_ONCE;
use crate::operate::NAMESPACE;
use crate::report::line;

#[expect(
    clippy::unwrap_used,
    reason = "it is a test's: a wrong definition stops"
)]
#[path = "../../../operator/tests/simulation/mutants/accept.rs"]
mod accept;
#[expect(
    clippy::unwrap_used,
    reason = "it is a test's: a wrong definition stops"
)]
#[path = "../../../operator/tests/simulation/mutants/draw.rs"]
mod draw;
#[expect(
    clippy::unwrap_used,
    dead_code,
    reason = "it is a test's, and not all of it is needed"
)]
#[path = "../../../operator/tests/simulation/random.rs"]
mod random;

/// Those of the simulation, unless the same variables say otherwise.
const COUNT: u64 = 300;

fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|t| t.parse().ok()).unwrap_or(otherwise)
}

pub(crate) async fn agree(client: &Client) -> anyhow::Result<()> {
    let (first, count) = (number("SEED", 1), number("MUTANTS", COUNT));
    let kind = GroupVersionKind::gvk(GROUP, VERSION, "PostgresVDB");
    let resource = ApiResource::from_gvk_with_plural(&kind, "postgresvdbs");
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), NAMESPACE, &resource);
    let model = accept::Server::new();
    let base = draw::base();
    let judged = stream::iter(first..first + count).map(|seed| {
        let mutant = draw::mutant(&mut Random::new(seed), model.schema(), &base);
        let expected = model.accepts(&mutant.spec);
        let api = &api;
        async move {
            let answer = send(api, &mutant.spec).await?;
            let accepted = answer.is_ok();
            let wrong = differs(&mutant, expected, answer);
            let wrong = wrong.map(|why| format!("SEED={seed}: {why}; {}", mutant.spec));
            anyhow::Ok((accepted, wrong))
        }
    });
    let judged: Vec<_> = judged.buffered(AT_ONCE).collect().await;
    let judged = judged.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let accepted = judged.iter().filter(|(accepted, _)| *accepted).count();
    let wrong: Vec<String> = judged.into_iter().filter_map(|(_, wrong)| wrong).collect();
    line(&format!(
        "{count} mutants of an order: {accepted} accepted by the API server, {} judged otherwise by the simulation's model",
        wrong.len()
    ));
    for why in &wrong {
        line(&format!("    {why}"));
    }
    anyhow::ensure!(
        wrong.is_empty(),
        "the simulation's model of the API server is wrong"
    );
    Ok(())
}

/// What would be stored, or why nothing would be; an error where there is no verdict.
async fn send(api: &Api<DynamicObject>, spec: &Value) -> anyhow::Result<Result<Value, String>> {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "PostgresVDB",
        "metadata": { "name": "mutant", "namespace": NAMESPACE }, "spec": spec,
    }))?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match api.create(&dry, &object).await {
        Ok(made) => Ok(Ok(made.data["spec"].clone())),
        // 422: the schema or a rule of it; 400: what cannot even be read.
        Err(Error::Api(status)) if matches!(status.code, 400 | 422) => {
            Ok(Err(status.message.clone()))
        }
        Err(error) => Err(error).context("no verdict about a mutant"),
    }
}

fn differs(
    mutant: &Mutant,
    model: Result<Value, String>,
    server: Result<Value, String>,
) -> Option<String> {
    match (model, server) {
        (Ok(_), Err(why)) => Some(format!("the API server alone refuses: {why}")),
        (Err(why), Ok(_)) => Some(format!("the model alone refuses: {why}")),
        (Err(_), Err(why)) => (!names(&why, mutant)).then(|| format!("no field is named: {why}")),
        (Ok(model), Ok(server)) => {
            let read = serde_json::from_value::<PostgresVdbSpec>;
            match (read(model), read(server)) {
                (Ok(model), Ok(server)) if model == server => None,
                (Ok(_), Ok(server)) => Some(format!("the API server stores {}", json!(server))),
                (_, Err(error)) | (Err(error), _) => {
                    Some(format!("the operator cannot read it: {error}"))
                }
            }
        }
    }
}

/// A place that was changed stands in the message: by its path, or, as the rules' own messages have it, by its name.
fn names(message: &str, mutant: &Mutant) -> bool {
    mutant.paths.iter().any(|path| {
        let whole = format!("spec.{}", path.join("."));
        match path.last() {
            Some(name) => message.contains(&whole) || message.contains(name.as_str()),
            None => message.contains("spec"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(path: &[&str]) -> Mutant {
        let path = path.iter().map(|part| (*part).to_owned());
        Mutant {
            spec: json!({}),
            paths: vec![path.collect()],
        }
    }

    #[test]
    fn a_difference_of_any_kind_is_told() {
        let good = draw::base;
        let no = || Err("spec.port: Invalid value".to_owned());
        let differs = |model, server| differs(&mutant(&["port"]), model, server);
        assert_eq!(differs(Ok(good()), Ok(good())), None);
        assert_eq!(differs(no(), no()), None);
        let mut other = good();
        other["port"] = json!(5433);
        for (model, server, says) in [
            (Ok(good()), no(), "API server alone"),
            (no(), Ok(good()), "model alone"),
            (
                no(),
                Err("spec.image: Invalid value".to_owned()),
                "no field",
            ),
            (Ok(good()), Ok(other), "5433"),
            (Ok(good()), Ok(json!({})), "cannot read"),
        ] {
            let why = differs(model, server).unwrap();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_place_is_named_by_its_path_or_its_name() {
        for (message, path, named) in [
            (
                "spec.source.reference: Required value",
                &["source", "reference"][..],
                true,
            ),
            (
                "spec: Invalid value: two hooks have the same name",
                &["hooks"],
                true,
            ),
            (
                "spec.source.reference: Required value",
                &["database", "name"],
                false,
            ),
            ("spec: Required value", &[], true),
        ] {
            assert_eq!(names(message, &mutant(path)), named, "{message}");
        }
    }
}
