//! Writes orders and what is rendered of them as JSON, to be held against the portal's own templating:
//! `cargo run -p environment --example orders -- <count> <seed>`.

#[path = "../tests/orders/mod.rs"]
mod orders;

use std::error::Error;
use std::io::Write as _;

use environment::values::Request;
use environment::{Order, render};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments
        .next()
        .ok_or("usage: orders <count> <seed>")?
        .parse()?;
    let seed: u64 = arguments
        .next()
        .ok_or("usage: orders <count> <seed>")?
        .parse()?;
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut rows = Vec::with_capacity(count);
    while rows.len() < count {
        // Half of the orders would be taken; the others the skeletons never see, and render all the same.
        let taken = rows.len() % 2 == 0;
        let input = orders::input(if taken { 10 } else { 5 })
            .new_tree(&mut runner)
            .map_err(|reason| reason.to_string())?
            .current();
        if let Some(row) = row(&input, taken)? {
            rows.push(row);
        }
    }
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, &json!({ "seed": seed, "orders": rows }))?;
    out.flush()?;
    Ok(())
}

/// None for an order that should be taken and is not.
fn row(input: &Value, taken: bool) -> Result<Option<Value>, Box<dyn Error>> {
    let order: Order = match Order::parse(input) {
        Ok(order) => order,
        Err(_) if taken => return Ok(None),
        Err(_) => serde_json::from_value(input.clone())?,
    };
    let request = Request {
        id: Some(format!("{}.create-0123456789", order.name)),
        by: Some("user:default/guest".into()),
    };
    let files =
        render::draft(&order, &request).map_err(|problems| format!("{input}: {problems}"))?;
    Ok(Some(json!({
        "values": render::template_values(&order, &request),
        "taken": taken,
        "files": { "values.yaml": files.values, "catalog-info.yaml": files.catalog_info },
    })))
}
