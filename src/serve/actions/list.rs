//! What the portal is told about the actions: schemas (draft-07), attributes, examples.

use environment::schema;
use serde_json::{Value, json};

use super::{PUBLISH, RENDER, RETIRE, VALIDATE, WAIT};
use crate::serve::auth::PLUGIN_ID;
use environment::capabilities::Capabilities;

mod day_two;

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// The answer to `GET /.backstage/actions/v1/actions`.
pub(crate) fn list(capabilities: &Capabilities) -> Value {
    of(Some(capabilities))
}

/// Without capabilities: what the actions are for, whatever the operator of the day can do.
fn of(capabilities: Option<&Capabilities>) -> Value {
    let mut actions = vec![validate(), render(), publish(), wait(), retire()];
    actions.extend(day_two::all(capabilities));
    json!({"actions": actions})
}

struct Action {
    id: &'static str,
    title: &'static str,
    description: String,
    read_only: bool,
    destructive: bool,
    input: Value,
    output: Value,
    example: Value,
}

impl From<Action> for Value {
    fn from(action: Action) -> Self {
        let name = action.id.strip_prefix("vdb:").unwrap_or(action.id);
        json!({
            "id": action.id,
            "name": name,
            "title": action.title,
            "description": action.description,
            "pluginId": PLUGIN_ID,
            // Every action may be repeated: a repetition finds what is there.
            "attributes": {"readOnly": action.read_only, "destructive": action.destructive, "idempotent": true},
            "schema": {"input": action.input, "output": action.output},
            "examples": [action.example],
        })
    }
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({"$schema": DRAFT, "type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// The order's schema for a template, in which optional fields that a form left empty arrive as null or empty text.
fn order() -> Value {
    draft(schema::order())
}

/// The input of an action that opens a pull request: with the token of the user who asks.
fn proposing(mut input: Value) -> Value {
    input["properties"]["userToken"] = json!({
        "type": ["string", "null"], "format": "password",
        "description": "The user's own token for the forge, ${{ secrets.USER_OAUTH_TOKEN }}: commit and pull request are made as that user. Used once, kept nowhere. Where absent the platform's account makes them",
    });
    input
}

fn draft(mut schema: Value) -> Value {
    schema["$schema"] = json!(DRAFT);
    schema
}

fn example_order() -> Value {
    json!({
        "name": "feat-123", "owner": "group:default/team-orders", "source": "10.0.1.54:largedb", "database": "largedb", "user": "app",
        "memory": "512Mi", "requestId": "${{ context.task.id }}",
    })
}

fn validate() -> Value {
    let mut input = order();
    input["properties"]["reportOnly"] = json!({"type": "boolean", "description": "Answer with the problems instead of failing the step"});
    Action {
        id: VALIDATE,
        title: "Validate the order of a database",
        description: "Checks an order for a PostgreSQL copy and reports every problem at once: fields, name free, source exists, image and source allowed, data not too old, owner is a group of the caller. Changes nothing.".to_owned(),
        read_only: true,
        destructive: false,
        input,
        output: object(
            &json!({
                "ok": {"type": "boolean"},
                "problems": {"type": "array", "items": {"type": "object", "additionalProperties": true}},
                "report": text("All problems as a list in Markdown, and the age of the data"),
                "dataAsOf": text("The time of the newest snapshot, where the order names none"),
            }),
            &["ok", "problems", "report"],
        ),
        example: json!({"title": "Check an order", "input": example_order(), "output": {"ok": true, "problems": [], "report": "The order is right: the name is free and the source exists."}}),
    }
    .into()
}

fn render() -> Value {
    Action {
        id: RENDER,
        title: "Render the files of an order",
        description: "Shows the values file and the catalog file that the pull request of an order would add. Changes nothing.".to_owned(),
        read_only: true,
        destructive: false,
        input: order(),
        output: object(&json!({"values": text("environments/<name>/values.yaml"), "catalogInfo": text("environments/<name>/catalog-info.yaml")}), &["values", "catalogInfo"]),
        example: json!({"title": "Show what would be written", "input": example_order(), "output": {"values": "owner: …", "catalogInfo": "kind: Resource …"}}),
    }
    .into()
}

fn proposal_output() -> Value {
    object(
        &json!({
            "requestId": text("Names the request in vdb:wait"),
            "remoteUrl": text("The pull request"),
            "pullRequestNumber": {"type": "integer"},
            "targetBranchName": text("The branch of the request"),
            "commitHash": text("The commit of the request"),
            "entityRef": text("The catalog entity of the environment"),
            "state": text("PROPOSED, or what it has become since"),
            "statusUrl": text("Where the state is read as JSON"),
        }),
        &[
            "requestId",
            "remoteUrl",
            "targetBranchName",
            "entityRef",
            "state",
            "statusUrl",
        ],
    )
}

fn publish() -> Value {
    Action {
        id: PUBLISH,
        title: "Order a database",
        description: "Opens the pull request that creates an environment with a PostgreSQL copy, exactly once. Needs a signed-in user who is a member of the owning group. Nothing runs before the pull request is merged.".to_owned(),
        read_only: false,
        destructive: false,
        input: proposing(order()),
        output: proposal_output(),
        example: json!({
            "title": "Order a copy of largedb", "input": example_order(),
            "output": {
                "requestId": "feat-123.create-0123456789", "remoteUrl": "https://git.example.com/acme/databases/pulls/7", "pullRequestNumber": 7,
                "targetBranchName": "vdb/feat-123.create-0123456789", "commitHash": "0123…", "entityRef": "resource:default/feat-123", "state": "PROPOSED",
                "statusUrl": "https://portal.example.com/api/proxy/vdb/v1/requests/feat-123.create-0123456789",
            },
        }),
    }
    .into()
}

fn wait() -> Value {
    Action {
        id: WAIT,
        title: "Wait for a request",
        description: "Answers with the state that a request has reached when the time is over or nothing more can happen: REQUESTED, PROPOSED, MERGED, SYNCING, PROVISIONING, READY, BLOCKED, SUPERSEDED or RETIRED. A failed or rejected request fails the step. Call it again to wait longer. Changes nothing.".to_owned(),
        read_only: true,
        destructive: false,
        input: object(
            &json!({
                "requestId": text("Output requestId of vdb:publish, vdb:update, vdb:refresh, vdb:extend, vdb:bookmark or vdb:retire"),
                "timeoutSeconds": {"type": "integer", "minimum": 0, "maximum": 3600, "description": "How long to wait at most; 40 where absent. Without the platform's module, an answer comes after 40 at the latest"},
            }),
            &["requestId"],
        ),
        output: object(
            &json!({
                "state": text("How far the request has come"),
                "ready": {"type": "boolean"},
                "reason": text("Why, in one word of a closed list (docs/operations.md)"),
                "message": text("What is going on"),
                "hint": text("What to do, where there is something to do"),
                "remoteUrl": text("The pull request"),
                "endpoint": {"type": "object", "description": "Where the database answers, once it is ready", "additionalProperties": true},
            }),
            &["state", "ready", "message", "hint", "remoteUrl"],
        ),
        example: json!({
            "title": "Wait for an order", "input": {"requestId": "${{ steps.publish.output.requestId }}"},
            "output": {"state": "READY", "ready": true, "reason": "Verified", "message": "a query through the Service was answered", "hint": "", "remoteUrl": "https://git.example.com/acme/databases/pulls/7"},
        }),
    }
    .into()
}

fn retire() -> Value {
    Action {
        id: RETIRE,
        title: "Retire an environment",
        description: "Opens the pull request that removes an environment. Merging it deletes its databases and all data in them for good. Needs a signed-in user who is a member of the owning group.".to_owned(),
        read_only: false,
        destructive: true,
        input: proposing(object(
            &json!({
                "name": text("Name of the environment"),
                "reason": {"type": "string", "maxLength": 300, "description": "Shown in the pull request"},
                "requestId": {"type": "string", "maxLength": 200, "description": "Idempotency key: the same key never leads to a second pull request"},
            }),
            &["name"],
        )),
        output: proposal_output(),
        example: json!({
            "title": "Retire an environment", "input": {"name": "feat-123", "reason": "merged", "requestId": "${{ context.task.id }}"},
            "output": {
                "requestId": "feat-123.retire-0123456789", "remoteUrl": "https://git.example.com/acme/databases/pulls/9", "pullRequestNumber": 9,
                "targetBranchName": "vdb/feat-123.retire-0123456789", "commitHash": "0123…", "entityRef": "resource:default/feat-123", "state": "PROPOSED",
                "statusUrl": "https://portal.example.com/api/proxy/vdb/v1/requests/feat-123.retire-0123456789",
            },
        }),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scaffolder's module is built from this file. Run with `UPDATE=1` to write it anew.
    #[test]
    fn the_committed_list_of_actions_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/serve/actions.json");
        let fresh = format!("{}\n", serde_json::to_string_pretty(&of(None)).unwrap());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &fresh).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == fresh,
            "src/serve/actions.json is stale: run make generate"
        );
    }

    #[test]
    fn what_can_be_done_changes_the_words_alone() {
        use environment::capabilities::{OPERATOR, ORDERS_ALONE};
        let without_words = |list: Value| -> Vec<Value> {
            let Value::Array(mut actions) = list["actions"].clone() else {
                panic!("no list")
            };
            for action in &mut actions {
                action["description"] = Value::Null;
            }
            actions
        };
        for capabilities in [OPERATOR, ORDERS_ALONE] {
            assert_eq!(without_words(list(&capabilities)), without_words(of(None)));
        }
        let ids: Vec<Value> = without_words(of(None))
            .iter()
            .map(|action| action["id"].clone())
            .collect();
        let mut known = super::super::ALL.map(Value::from).to_vec();
        known.sort_by_key(|id| ids.iter().position(|listed| listed == id));
        assert_eq!(ids, known);
    }
}
