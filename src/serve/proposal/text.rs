//! The words of a pull request: what a reviewer sees.

use environment::change::Change;
use environment::edit::Edit;
use environment::order::Order;
use serde_json::Value;

use super::outlook::Outlook;
use crate::serve::request::RequestId;
use crate::web::one_line;

/// Bytes of one block. GitHub takes 65,536 characters for a body; what is escaped grows up to eight times at worst.
const LONGEST_BLOCK: usize = 20_000;

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

/// What the pull request of an order says.
pub(super) struct Creation<'a> {
    pub(super) order: &'a Order,
    pub(super) request: &'a RequestId,
    pub(super) by: &'a str,
    pub(super) values: &'a str,
    /// Difference of the resources in the cluster.
    pub(super) resources: &'a str,
    pub(super) outlook: &'a Outlook,
}

pub(super) fn creation(told: &Creation<'_>) -> Words {
    let order = told.order;
    Words {
        title: format!("Create environment {} from {}", order.name, order.source),
        body: format!(
            "A thin copy of `{}` for {}. Merging creates it; deleting the directory or retiring it in the portal removes it with all its data.\n\n\
             | | |\n|---|---|\n{}\n\n{}\n\n{}",
            cell(&order.source),
            cell(&order.owner),
            table(told),
            details("What changes in the cluster", "diff", told.resources),
            details("values.yaml", "yaml", told.values),
        ),
        reason: order.description.as_deref().map(|text| one_line(text, 300)),
    }
}

fn table(told: &Creation<'_>) -> String {
    let order = told.order;
    let optional =
        |value: &Option<String>, default: &str| cell(value.as_deref().unwrap_or(default));
    let rows = [
        ("Environment", cell(&order.name)),
        ("Owner", cell(&order.owner)),
        ("Source", cell(&order.source)),
        ("Snapshot", optional(&order.snapshot_id, "latest")),
        ("Data of", told.outlook.data.clone()),
        ("Expected time", told.outlook.time.clone()),
        ("Reserves", told.outlook.quota.clone()),
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
        ("Requested by", cell(told.by)),
        ("Request", cell(told.request.as_str())),
    ];
    rows.iter()
        .map(|(name, value)| format!("| {name} | {value} |"))
        .collect::<Vec<_>>()
        .join("\n")
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

/// A long text that can be opened. Whatever it holds, it stays inside, and it is cut where the forges' limit would be near.
fn details(title: &str, language: &str, text: &str) -> String {
    let text = visible(&bounded(text.trim_end(), LONGEST_BLOCK));
    let fence = fence(&text);
    format!("<details><summary>{title}</summary>\n\n{fence}{language}\n{text}\n{fence}\n</details>")
}

/// The beginning of a text, and how much is missing.
fn bounded(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let cut = text.floor_char_boundary(longest);
    format!(
        "{}\n… {} more bytes: see the files of this pull request",
        &text[..cut],
        text.len() - cut
    )
}

/// Characters that turn the direction of a line or have no width would show a reviewer something else than what runs.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
            || (c.is_control() && !matches!(c, '\n' | '\t'));
        if hidden {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Longer than any fence inside the text.
fn fence(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    fence
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(change: &serde_json::Value, resources: &str) -> String {
        let mut input = json!({
            "name": "feat-1", "owner": "group:default/a", "source": "h:d", "database": "a", "user": "b",
        });
        for (key, value) in change.as_object().unwrap() {
            input[key] = value.clone();
        }
        let order = Order::parse(&input).unwrap();
        let request = RequestId::parse("feat-1.create-0123456789").unwrap();
        let values = environment::render::files(&order, &environment::values::Request::default());
        let outlook = Outlook {
            data: "yesterday".into(),
            time: "soon".into(),
            quota: "1 of 20 pods".into(),
        };
        creation(&Creation {
            order: &order,
            request: &request,
            by: "user:default/guest",
            values: &values.map_or_else(|_| String::new(), |files| files.values),
            resources,
            outlook: &outlook,
        })
        .body
    }

    #[test]
    fn a_reviewer_sees_data_time_quota_and_difference() {
        let body = body(&json!({}), "@@ -0,0 +1 @@\n+kind: PostgresVDB\n");
        for part in [
            "| Data of | yesterday |",
            "| Expected time | soon |",
            "| Reserves | 1 of 20 pods |",
            "```diff\n@@ -0,0 +1 @@\n+kind: PostgresVDB\n```\n</details>",
        ] {
            assert!(body.contains(part), "{part} in\n{body}");
        }
    }

    #[test]
    fn no_text_of_the_order_gets_out_of_its_block() {
        let hostile = "+a\n````\n</details>\n# Approved\n`````x\n+\u{202e}drop";
        let body = body(
            &json!({"description": "| a | <b> ```\n# x", "initSql": "select 1; --\n```\n</details>"}),
            hostile,
        );
        let mut open: Option<&str> = None;
        for line in body.lines() {
            let ticks = line.len() - line.trim_start_matches('`').len();
            match open {
                None if ticks >= 3 => open = Some(&line[..ticks]),
                Some(fence) if line == fence => open = None,
                None => assert!(!line.starts_with('#') && !line.contains("<b>"), "{line}"),
                Some(_) => {}
            }
        }
        assert!(open.is_none(), "{body}");
        assert!(body.contains("\\u{202e}drop"), "{body}");
        assert_eq!(body.matches("\n``````\n</details>").count(), 1, "{body}");
    }

    #[test]
    fn the_largest_order_fits_into_the_forges_limit() {
        let sql = "ü'\"\n".repeat(12_000);
        let body = body(&json!({"initSql": sql}), &"+ü`\n".repeat(40_000));
        assert!(body.len() < 65_536, "{}", body.len());
        assert!(body.contains("more bytes"));
    }
}
