//! `vdb:publish`: the order's pull request, made exactly once.

use std::time::Instant;

use environment::Order;
use serde_json::{Value, json};

use crate::forge::UserToken;
use crate::serve::app::App;
use crate::serve::auth::Caller;
use crate::serve::error::ApiError;
use crate::serve::progress;
use crate::serve::proposal::{self, Asker, Proposal};
use crate::serve::{checks, portal};

pub(super) async fn run(
    app: &App,
    input: &Value,
    caller: &Caller,
    token: Option<&UserToken>,
) -> Result<Value, ApiError> {
    let user = caller.user()?;
    // The order, never text: what is checked here is what is written.
    let order = Order::parse(input)?;
    if portal::parts(&order.owner).is_none() {
        return Err(ApiError::input(
            "owner is no entity reference; write group:default/<team>",
        ));
    }
    checks::owner(app, user, &order.owner).await?;
    let since = Instant::now();
    let proposal = proposal::create(app, &order, Asker { by: user, token }).await?;
    app.metrics
        .publish_seconds
        .observe(since.elapsed().as_secs_f64());
    answer(app, &proposal).await
}

/// What every proposing action answers. The pull request is judged like any other, by whoever leads.
pub(super) async fn answer(app: &App, proposal: &Proposal) -> Result<Value, ApiError> {
    app.wake().await;
    let request = &proposal.request;
    let seen = progress::observe(app, request, None).await?;
    let pull = proposal.pull.as_ref();
    let url = pull.map_or_else(
        || app.forge.file_url(&request.environment().values_path()),
        |pull| pull.url.clone(),
    );
    tracing::info!(request = request.as_str(), pull = pull.map(|pull| pull.number), state = ?seen.readiness.state, "proposed");
    let mut output = json!({
        "requestId": request.as_str(),
        "remoteUrl": url,
        "targetBranchName": request.branch(),
        "entityRef": format!("resource:default/{}", request.environment()),
        "state": seen.readiness.state,
        "statusUrl": format!("{}/api/proxy/vdb/v1/requests/{request}", app.settings.portal.people_url()),
    });
    if let Some(pull) = pull {
        output["pullRequestNumber"] = json!(pull.number);
        output["commitHash"] = json!(pull.merge_sha.as_ref().unwrap_or(&pull.head_sha));
    }
    Ok(output)
}
