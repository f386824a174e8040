//! `vdb:validate`: everything that is wrong with an order, at once, before anything is made.

use environment::{Order, Problem, Problems};
use serde_json::{Value, json};

use crate::serve::app::App;
use crate::serve::auth::Caller;
use crate::serve::checks;
use crate::serve::error::ApiError;

pub(super) async fn run(app: &App, input: &Value, caller: &Caller) -> Result<Value, ApiError> {
    let mut input = input.clone();
    let report_only = input
        .as_object_mut()
        .and_then(|fields| fields.shift_remove("reportOnly"))
        == Some(Value::Bool(true));
    let problems = match Order::parse(&input) {
        // What the running systems say about wrong fields would only confuse.
        Err(Problems(problems)) => problems,
        Ok(order) => checks::all(app, &order, caller.user.as_deref()).await?,
    };
    if !problems.is_empty() && !report_only {
        return Err(Problems(problems).into());
    }
    Ok(json!({"ok": problems.is_empty(), "report": report(&problems), "problems": problems}))
}

fn report(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "The order is right: the name is free and the source exists.".to_owned();
    }
    problems
        .iter()
        .map(|problem| format!("* {problem}"))
        .collect::<Vec<_>>()
        .join("\n")
}
