//! What the portal is told about the actions on environments that exist.

use environment::capabilities::{Capabilities, DayTwo};
use environment::schema;
use serde_json::{Value, json};

use super::super::{BOOKMARK, EXTEND, LIST, REFRESH, STATUS, UPDATE};
use super::{Action, draft, object, proposal_output, proposing, text};

/// In the order in which the portal shows them.
pub(super) fn all(capabilities: Option<&Capabilities>) -> [Value; 6] {
    [
        update(),
        refresh(capabilities),
        extend(capabilities),
        bookmark(capabilities),
        list(),
        status(),
    ]
}

/// An action that is always refused says so before anybody calls it.
fn described(capabilities: Option<&Capabilities>, what: DayTwo, text: &str) -> String {
    match capabilities.and_then(|can| can.missing(what, "the environment")) {
        None => text.to_owned(),
        Some(problem) => format!("Refused: {problem}."),
    }
}

fn proposed(operation: &str, number: u32) -> Value {
    let id = format!("feat-123.{operation}-0123456789");
    json!({
        "requestId": id, "remoteUrl": format!("https://git.example.com/acme/databases/pulls/{number}"), "pullRequestNumber": number,
        "targetBranchName": format!("vdb/{id}"), "commitHash": "0123…", "entityRef": "resource:default/feat-123", "state": "PROPOSED",
        "statusUrl": format!("https://portal.example.com/api/proxy/vdb/v1/requests/{id}"),
    })
}

fn update() -> Value {
    Action {
        id: UPDATE,
        title: "Update a database",
        description: "Opens the pull request that changes image, CPU, memory or settings of a database and leaves everything else of its values file as it is, exactly once. Merging it restarts the server; the data stays. Needs a signed-in user who is a member of the owning group.".to_owned(),
        read_only: false,
        destructive: false,
        input: proposing(draft(schema::update())),
        output: proposal_output(),
        example: json!({
            "title": "Give a database more memory",
            "input": {"name": "feat-123", "memory": "1Gi", "postgresConfig": [{"name": "work_mem", "value": "64MB"}], "requestId": "${{ context.task.id }}"},
            "output": proposed("update", 8),
        }),
    }
    .into()
}

fn refresh(capabilities: Option<&Capabilities>) -> Value {
    Action {
        id: REFRESH,
        title: "Refresh a database",
        description: described(capabilities, DayTwo::Refresh, "Opens the pull request that replaces all data of a copy by that of the newest snapshot of its source, exactly once. What was written to the copy is lost. Needs a signed-in user who is a member of the owning group."),
        read_only: false,
        destructive: true,
        input: proposing(draft(schema::refresh())),
        output: proposal_output(),
        example: json!({
            "title": "Get fresh data", "input": {"name": "feat-123", "requestId": "${{ context.task.id }}"},
            "output": proposed("refresh", 10),
        }),
    }
    .into()
}

fn extend(capabilities: Option<&Capabilities>) -> Value {
    Action {
        id: EXTEND,
        title: "Extend the life of a database",
        description: described(capabilities, DayTwo::Extend, "Opens the pull request that lets a database expire later: expiresAt, or days to add, exactly once. Needs a signed-in user who is a member of the owning group."),
        read_only: false,
        destructive: false,
        input: proposing(draft(schema::extend())),
        output: proposal_output(),
        example: json!({
            "title": "Two more weeks", "input": {"name": "feat-123", "days": 14, "requestId": "${{ context.task.id }}"},
            "output": proposed("extend", 11),
        }),
    }
    .into()
}

fn bookmark(capabilities: Option<&Capabilities>) -> Value {
    Action {
        id: BOOKMARK,
        title: "Bookmark the data of a database",
        description: described(capabilities, DayTwo::Bookmark, "Keeps the present data of a copy, exactly once, without a pull request: a PostgresRewind or an order goes back to it. Answers with the state reached within half a minute; call it again, or vdb:wait, to wait longer. Needs a signed-in user who is a member of the owning group."),
        read_only: false,
        destructive: false,
        input: object(
            &json!({
                "name": text("Name of the environment"),
                "bookmark": {"type": ["string", "null"], "maxLength": 128, "description": "Name of the bookmark, of which there is one in Data Control Tower; made up where absent"},
                "database": {"type": ["string", "null"], "maxLength": 40, "description": "Which database, where the environment has several: the name of its PostgresVDB"},
                "retentionDays": {"type": ["integer", "null"], "minimum": 1, "maximum": 3650, "description": "Days until it goes by itself; 30 where absent"},
                "requestId": {"type": ["string", "null"], "maxLength": 200, "description": "The same for every repetition of one call; ${{ context.task.id }}. Where absent, the bookmark's name is"},
            }),
            &["name"],
        ),
        output: object(
            &json!({
                "requestId": text("Names the bookmark in vdb:wait"),
                "entityRef": text("The catalog entity of the environment"),
                "database": text("The name of its PostgresVDB"),
                "bookmark": text("The bookmark's name, once it is made"),
                "dataAsOf": text("The point in time whose data it holds"),
                "state": text("REQUESTED, PROVISIONING or READY"),
                "ready": {"type": "boolean"},
                "reason": text("Why it waits"),
                "message": text("What is going on"),
                "hint": text("What to do, where there is something to do"),
                "remoteUrl": text("Empty: there is no pull request"),
            }),
            &["requestId", "entityRef", "database", "state", "ready", "reason", "message", "hint"],
        ),
        example: json!({
            "title": "Keep the data before a migration",
            "input": {"name": "feat-123", "bookmark": "feat-123 before the migration", "requestId": "${{ context.task.id }}"},
            "output": {
                "requestId": "feat-123.bookmark-0123456789", "entityRef": "resource:default/feat-123", "database": "feat-123-vdb", "bookmark": "feat-123 before the migration",
                "dataAsOf": "2026-11-25T10:00:00Z", "state": "READY", "ready": true, "reason": "", "message": "bookmark feat-123 before the migration", "hint": "", "remoteUrl": "",
            },
        }),
    }
    .into()
}

fn list() -> Value {
    let item = json!({
        "name": text("Name of the environment"),
        "state": text("PROPOSED, MERGED, PROVISIONING, READY, BLOCKED, SUPERSEDED or FAILED"),
        "ready": {"type": "boolean"},
        "message": text("What is going on"),
        "hint": text("What to do, where there is something to do"),
        "owner": text("Who owns it"),
        "dataAsOf": text("The point in time whose data the copy holds"),
    });
    Action {
        id: LIST,
        title: "List databases",
        description: "The PostgreSQL copies of the caller's groups, or all of them, with their states. Changes nothing.".to_owned(),
        read_only: true,
        destructive: false,
        input: object(
            &json!({
                "all": {"type": "boolean", "description": "Those of other groups, too"},
                "owner": text("Those of one owner alone, for example group:default/team-orders"),
            }),
            &[],
        ),
        output: object(
            &json!({
                "environments": {"type": "array", "items": object(&item, &["name", "state", "ready", "message", "hint"])},
                "count": {"type": "integer"},
            }),
            &["environments", "count"],
        ),
        example: json!({
            "title": "My databases", "input": {},
            "output": {"environments": [{"name": "feat-123", "state": "READY", "ready": true, "message": "a query through the Service was answered", "hint": "", "owner": "group:default/team-orders", "dataAsOf": "2026-11-23T10:00:00Z"}], "count": 1},
        }),
    }
    .into()
}

fn status() -> Value {
    let open = |description: &str| json!({"type": "object", "description": description, "additionalProperties": true});
    Action {
        id: STATUS,
        title: "Show one database",
        description: "State of one PostgreSQL copy, with the reason and what to do, how to connect, how old its data is, and how long each stage took. No password is shown. Changes nothing.".to_owned(),
        read_only: true,
        destructive: false,
        input: object(&json!({"name": text("Name of the environment")}), &["name"]),
        output: object(
            &json!({
                "name": text("Name of the environment"),
                "state": text("PROPOSED, MERGED, PROVISIONING, READY, BLOCKED, SUPERSEDED or FAILED"),
                "ready": {"type": "boolean"},
                "reason": text("One word of a closed list"),
                "message": text("What is going on"),
                "hint": text("What to do, where there is something to do"),
                "owner": text("Who owns it"),
                "source": text("What it is a copy of"),
                "dataAsOf": text("The point in time whose data the copy holds"),
                "dataAge": text("How old that is"),
                "endpoint": open("Host, port, database, user, and the Secret that holds the password"),
                "request": open("The request that it carries out or that is under way, with its pull request"),
                "timeline": {"type": "array", "description": "The stages with their times", "items": {"type": "object", "additionalProperties": true}},
            }),
            &["name", "state", "ready", "reason", "message", "hint", "timeline"],
        ),
        example: json!({
            "title": "How is feat-123?", "input": {"name": "feat-123"},
            "output": {"name": "feat-123", "state": "READY", "ready": true, "reason": "Answered", "message": "a query through the Service was answered", "hint": "", "owner": "group:default/team-orders", "source": "10.0.1.54:largedb", "dataAsOf": "2026-11-23T10:00:00Z", "dataAge": "2 d 1 h", "timeline": [{"name": "Provision", "startedAt": "2026-11-25T10:00:00Z", "finishedAt": "2026-11-25T10:00:02Z", "seconds": 2.0}]},
        }),
    }
    .into()
}
