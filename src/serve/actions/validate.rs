//! `vdb:validate`: everything that is wrong with an order, at once, before anything is made.

use environment::{Order, Problem, Problems};
use jiff::Timestamp;
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
    let (problems, newest) = match Order::parse(&input) {
        // What the running systems say about wrong fields would only confuse.
        Err(Problems(problems)) => (problems, None),
        Ok(order) => {
            let problems = checks::all(app, &order, caller.user.as_deref()).await?;
            // The age is news, not a condition: without it the order is as right as with it.
            let newest = checks::newest(app, &order).await.unwrap_or_default();
            (problems, newest)
        }
    };
    if !problems.is_empty() && !report_only {
        return Err(Problems(problems).into());
    }
    let report = report(&problems, newest);
    let mut output = json!({"ok": problems.is_empty(), "report": report, "problems": problems});
    if let Some(newest) = newest {
        output["dataAsOf"] = json!(newest.to_string());
    }
    Ok(output)
}

fn report(problems: &[Problem], newest: Option<Timestamp>) -> String {
    let mut lines: Vec<String> = problems.iter().map(|p| format!("* {p}")).collect();
    if problems.is_empty() {
        lines.push("The order is right: the name is free and the source exists.".to_owned());
    }
    if let Some(newest) = newest {
        let age = checks::in_words(Timestamp::now().duration_since(newest));
        lines.push(format!("\nThe newest snapshot of the source is {age} old."));
    }
    lines.join("\n")
}
