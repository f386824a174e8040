//! What an order may use of what it asks for, by the operator's settings: commits can be made by hand, past every form.
//! Pure; every breach is named at once.

use std::time::Duration;

use environment::PostgresVdbSpec;
use environment::quantity::Quantity;
use environment::spec::HookType;
use jiff::Timestamp;

use crate::clock::{between, parse};
use crate::rules::matches;
use crate::settings::{Allow, Rule};

/// One sentence for each breach: the field, its value, and what may stand there.
pub fn breaches(
    spec: &PostgresVdbSpec,
    namespace: &str,
    allow: &Allow,
    now: Timestamp,
) -> Vec<String> {
    let everywhere = |key: &str| format!("allow.{key} of the operator's settings");
    let mut found = Vec::new();
    found.extend(source(spec, &allow.sources, &everywhere("sources")));
    found.extend(image(spec, &allow.images, &everywhere("images")));
    if let Some(longest) = allow.max_life {
        found.extend(life(spec, longest, now, &everywhere("maxLife")));
    }
    if let Some((number, rule)) = first(&allow.rules, namespace) {
        let patterns = rule.namespaces.join(", ");
        let place = |key: &str| {
            format!("allow.rules[{number}].{key} of the operator's settings, for {patterns}")
        };
        found.extend(ruled(spec, rule, now, place));
    }
    found
}

/// Of the rules the first one that speaks of the namespace holds, so their order decides.
fn first<'a>(rules: &'a [Rule], namespace: &str) -> Option<(usize, &'a Rule)> {
    let speaks = |rule: &Rule| rule.namespaces.iter().any(|p| matches(p, namespace));
    rules.iter().enumerate().find(|(_, rule)| speaks(rule))
}

fn ruled(
    spec: &PostgresVdbSpec,
    rule: &Rule,
    now: Timestamp,
    place: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(sources) = &rule.sources {
        found.extend(source(spec, sources, &place("sources")));
    }
    if let Some(images) = &rule.images {
        found.extend(image(spec, images, &place("images")));
    }
    if let Some(types) = &rule.hooks {
        found.extend(hooks(spec, types, &place("hooks")));
    }
    let (requests, limits) = (&spec.resources.requests, &spec.resources.limits);
    for (resource, key, most, requested, limited) in [
        ("cpu", "maxCpu", &rule.max_cpu, &requests.cpu, &limits.cpu),
        (
            "memory",
            "maxMemory",
            &rule.max_memory,
            &requests.memory,
            &limits.memory,
        ),
    ] {
        let Some(most) = most else { continue };
        let (of, at) = (
            |kind: &str| format!("resources.{kind}.{resource}"),
            place(key),
        );
        found.extend(amount(&of("requests"), requested.as_ref(), most, &at));
        found.extend(limit(&of("limits"), limited.as_ref(), most, &at));
    }
    if let Some(most) = &rule.max_storage {
        let at = place("maxStorage");
        found.extend(amount("storageSize", spec.storage_size.as_ref(), most, &at));
    }
    if let Some(longest) = rule.max_life {
        found.extend(life(spec, longest, now, &place("maxLife")));
    }
    found
}

fn source(spec: &PostgresVdbSpec, patterns: &[String], place: &str) -> Option<String> {
    listed("source.reference", &spec.source.reference, patterns, place)
}

fn image(spec: &PostgresVdbSpec, patterns: &[String], place: &str) -> Option<String> {
    listed("image", &spec.image, patterns, place)
}

fn listed(field: &str, value: &str, patterns: &[String], place: &str) -> Option<String> {
    if patterns.iter().any(|pattern| matches(pattern, value)) {
        return None;
    }
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    Some(unlisted(field, value, &patterns, place))
}

fn unlisted(field: &str, value: &str, allowed: &[&str], place: &str) -> String {
    let allowed = if allowed.is_empty() {
        "nothing is allowed".to_owned()
    } else {
        format!("allowed are {}", allowed.join(", "))
    };
    format!("{field} {value:?} is not allowed: {allowed} ({place})")
}

fn hooks(spec: &PostgresVdbSpec, types: &[HookType], place: &str) -> Vec<String> {
    let word = |kind: HookType| match kind {
        HookType::Sql => "sql",
        HookType::Command => "command",
    };
    let allowed: Vec<&str> = types.iter().copied().map(word).collect();
    let others = spec.hooks.iter().filter(|hook| !types.contains(&hook.kind));
    others
        .map(|hook| {
            let field = format!("type of hook {:?}:", hook.name);
            unlisted(&field, word(hook.kind), &allowed, place)
        })
        .collect()
}

/// Where a most is set, a limit is needed: without one a server takes what its node has.
fn limit(field: &str, found: Option<&Quantity>, most: &Quantity, place: &str) -> Option<String> {
    match found {
        None => Some(format!(
            "{field} is missing: write one of at most {most} ({place})"
        )),
        Some(_) => amount(field, found, most, place),
    }
}

fn amount(field: &str, found: Option<&Quantity>, most: &Quantity, place: &str) -> Option<String> {
    let found = found?;
    // What is no quantity is not within anything.
    let within = found.milli().zip(most.milli()).is_some_and(|(f, m)| f <= m);
    (!within).then(|| {
        format!(
            "{field} {:?} is not allowed: at most {most} is ({place})",
            found.as_str()
        )
    })
}

/// How long it may live from now on. What was allowed once stays so: time only comes nearer to its end.
fn life(spec: &PostgresVdbSpec, longest: Duration, now: Timestamp, place: &str) -> Option<String> {
    let expires_at = spec.expires_at.as_deref();
    let end = expires_at.and_then(parse);
    if end.is_some_and(|end| between(now, end) <= longest) {
        return None;
    }
    let found = match expires_at {
        Some(at) => format!("expiresAt {at:?} is too far away"),
        None => "expiresAt is missing".to_owned(),
    };
    let hours = longest.as_secs() / 3600;
    Some(format!(
        "{found}: a database may live at most {hours} hours from now on ({place})"
    ))
}

#[cfg(test)]
mod tests;
