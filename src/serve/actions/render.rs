//! `vdb:render`: the files that the pull request of an order would add.

use environment::Order;
use serde_json::{Value, json};

use crate::serve::auth::Caller;
use crate::serve::error::ApiError;
use crate::serve::proposal;

pub(super) fn run(input: &Value, caller: &Caller) -> Result<Value, ApiError> {
    let order = Order::parse(input)?;
    let files = proposal::preview(&order, caller.user.as_deref())?;
    Ok(json!({"values": files.values, "catalogInfo": files.catalog_info}))
}
