//! The words of a pull request: what a reviewer sees.

use environment::change::Change;
use environment::edit::Edit;
use environment::order::Order;
use serde_json::Value;

use crate::serve::request::RequestId;
use crate::web::one_line;

pub(super) struct Words {
    pub(super) title: String,
    pub(super) body: String,
    /// Goes into the commit message too.
    pub(super) reason: Option<String>,
}

/// Text inside a table cell or a line: no markup of the person who ordered becomes ours.
fn cell(text: &str) -> String {
    one_line(text, 200).replace(['|', '`', '<', '>', '*', '['], "_")
}

pub(super) fn creation(order: &Order, request: &RequestId, by: &str, values: &str) -> Words {
    let optional =
        |value: &Option<String>, default: &str| cell(value.as_deref().unwrap_or(default));
    let rows = [
        ("Environment", cell(&order.name)),
        ("Owner", cell(&order.owner)),
        ("Source", cell(&order.source)),
        ("Snapshot", optional(&order.snapshot_id, "latest")),
        (
            "Database and user",
            format!("{}, {}", cell(&order.database), cell(&order.user)),
        ),
        (
            "Image",
            optional(&order.image, environment::render::DEFAULT_IMAGE),
        ),
        (
            "CPU and memory",
            format!(
                "{}, {}",
                optional(&order.cpu, environment::render::DEFAULT_CPU),
                optional(&order.memory, environment::render::DEFAULT_MEMORY)
            ),
        ),
        (
            "SQL to run once",
            if order.init_sql.is_some() {
                "yes, see the values"
            } else {
                "none"
            }
            .to_owned(),
        ),
        ("Purpose", optional(&order.description, "not said")),
        ("Requested by", cell(by)),
        ("Request", cell(request.as_str())),
    ];
    let table = rows
        .iter()
        .map(|(name, value)| format!("| {name} | {value} |"))
        .collect::<Vec<_>>()
        .join("\n");
    let fence = fence(values);
    Words {
        title: format!("Create environment {} from {}", order.name, order.source),
        body: format!(
            "A thin copy of `{}` for {}. Merging creates it; deleting the directory or retiring it in the portal removes it with all its data.\n\n\
             | | |\n|---|---|\n{table}\n\n<details><summary>values.yaml</summary>\n\n{fence}yaml\n{}\n{fence}\n</details>",
            cell(&order.source),
            cell(&order.owner),
            values.trim_end()
        ),
        reason: order.description.as_deref().map(|text| one_line(text, 300)),
    }
}

pub(super) fn retirement(
    environment: &str,
    request: &RequestId,
    by: &str,
    reason: Option<&str>,
    files: &[String],
) -> Words {
    let list = files
        .iter()
        .map(|file| format!("* `{}`", cell(file)))
        .collect::<Vec<_>>()
        .join("\n");
    Words {
        title: format!("Retire environment {environment}"),
        body: format!(
            "**Merging this deletes environment `{environment}` with its databases and all data in them, for good.**\n\n\
             | | |\n|---|---|\n| Reason | {} |\n| Requested by | {} |\n| Request | {} |\n\nFiles that are removed:\n\n{list}",
            cell(reason.unwrap_or("not said")),
            cell(by),
            cell(request.as_str())
        ),
        reason: reason.map(|text| one_line(text, 300)),
    }
}

/// One row for each edit, as the file says it before and after.
pub(super) fn change(
    change: &Change,
    request: &RequestId,
    by: &str,
    edits: &[Edit],
    values: &Value,
) -> Words {
    let (verb, effect) = match change {
        Change::Update(_) => (
            "Update",
            "Merging restarts its server: open connections end, the data stays.",
        ),
        Change::Refresh(_) => (
            "Refresh",
            "**Merging replaces all data of the copy by that of the newest snapshot; what was written to it is lost.**",
        ),
        Change::Extend(_) => ("Extend", "Merging changes nothing but its last day."),
    };
    let environment = request.environment();
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => cell(text),
        Some(other) => cell(&other.to_string()),
    };
    let rows = edits.iter().map(|edit| {
        let pointer = edit.pointer();
        let after = match edit {
            Edit::Set { value, .. } => Some(value),
            Edit::Remove { .. } => None,
        };
        let field = pointer.trim_start_matches("/vdb/").replace('/', ".");
        format!(
            "| {} | {} | {} |",
            cell(&field),
            shown(values.pointer(pointer)),
            shown(after)
        )
    });
    let rows = rows.collect::<Vec<_>>().join("\n");
    let body = format!(
        "Changes environment `{environment}`. {effect}\n\n| field | before | after |\n|---|---|---|\n{rows}\n\n\
         | | |\n|---|---|\n| Reason | {} |\n| Requested by | {} |\n| Request | {} |",
        cell(change.reason().unwrap_or("not said")),
        cell(by),
        cell(request.as_str())
    );
    Words {
        title: format!("{verb} environment {environment}"),
        body,
        reason: change.reason().map(|text| one_line(text, 300)),
    }
}

/// Longer than any fence inside the text.
fn fence(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    fence
}
