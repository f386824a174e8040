//! What commands print: a table for people, or one JSON document.

use dct::types::Page;
use engine::doctor::Finding;
use engine::recovery::{Missing, Plan, Program, Unfinished};
use serde_json::{Value, json};

use super::Output;
use super::ask::Everything;
use crate::output;

pub(super) fn id(form: Output, what: &str, id: &str) {
    match form {
        Output::Text => output::line(id),
        Output::Json => output::line(&json!({ what: id }).to_string()),
    }
}

pub(super) fn findings(form: Output, findings: &[Finding]) -> anyhow::Result<()> {
    match form {
        Output::Text => {
            for finding in findings {
                let mark = if finding.ok { "ok " } else { "BAD" };
                output::line(&format!("{mark} {}", finding.what));
            }
        }
        Output::Json => {
            let list = findings
                .iter()
                .map(|f| json!({ "ok": f.ok, "what": f.what }));
            pretty(&json!({
                "ok": findings.iter().all(|f| f.ok),
                "findings": list.collect::<Vec<Value>>(),
            }))?;
        }
    }
    Ok(())
}

/// What a start would do, a line each.
pub(super) fn plan(form: Output, plan: &Plan) -> anyhow::Result<()> {
    if form == Output::Json {
        return pretty(&serde_json::to_value(plan)?);
    }
    let job = |what: &str, unfinished: &Unfinished| {
        let intent = serde_json::to_string(&unfinished.intent)?;
        anyhow::Ok(format!("{what:<9} job {} {intent}", unfinished.job))
    };
    let mut lines = Vec::new();
    for Program { pid, program } in &plan.end {
        lines.push(format!("end       {program} ({pid})"));
    }
    for unfinished in &plan.give_up {
        lines.push(job("give up", unfinished)?);
    }
    for path in &plan.sweep {
        lines.push(format!("sweep     {}", path.display()));
    }
    for Missing { id, path } in &plan.missing {
        let path = path.display();
        lines.push(format!("missing   {path} of {id}: it can only be deleted"));
    }
    for unfinished in &plan.complete {
        lines.push(job("complete", unfinished)?);
    }
    for vdb in &plan.start {
        lines.push(format!("start     the server of {vdb}"));
    }
    if lines.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    output::line(&lines.join("\n"));
    Ok(())
}

pub(super) fn list(form: Output, all: &Everything) -> anyhow::Result<()> {
    let Everything {
        vdbs,
        dsources,
        snapshots,
    } = all;
    if form == Output::Json {
        return pretty(&json!({
            "vdbs": vdbs.items, "dSources": dsources.items, "snapshots": snapshots.items,
            "more": { "vdbs": more(vdbs), "dSources": more(dsources), "snapshots": more(snapshots) },
        }));
    }
    row(["KIND", "ID", "NAME", "STATUS", "DATA OF"]);
    for d in &dsources.items {
        row([
            "dsource",
            &d.id,
            text(d.name.as_ref()),
            text(d.status.as_ref()),
            "-",
        ]);
    }
    for s in &snapshots.items {
        row([
            "snapshot",
            &s.id,
            text(s.dataset_name.as_ref()),
            "-",
            text(s.timestamp.as_ref()),
        ]);
    }
    for v in &vdbs.items {
        let of = text(v.parent_timeflow_timestamp.as_ref());
        row([
            "vdb",
            &v.id,
            text(v.name.as_ref()),
            text(v.status.as_ref()),
            of,
        ]);
    }
    for (what, more) in [
        ("dSources", more(dsources)),
        ("snapshots", more(snapshots)),
        ("virtual databases", more(vdbs)),
    ] {
        if more > 0 {
            output::line(&format!("and {more} more {what}"));
        }
    }
    Ok(())
}

fn pretty(value: &Value) -> anyhow::Result<()> {
    output::line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// What did not fit on the page.
fn more<T>(page: &Page<T>) -> i64 {
    let total = page.response_metadata.as_ref().and_then(|m| m.total);
    let shown = i64::try_from(page.items.len()).unwrap_or(i64::MAX);
    total.map_or(0, |total| total.saturating_sub(shown))
}

fn text(field: Option<&String>) -> &str {
    field.map_or("-", String::as_str)
}

fn row(cells: [&str; 5]) {
    output::line(&format!(
        "{:<9} {:<26} {:<44} {:<10} {}",
        cells[0], cells[1], cells[2], cells[3], cells[4]
    ));
}
