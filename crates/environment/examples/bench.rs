//! Measures checking and rendering, and writes the orders so that the portal's own templating can be measured on the
//! same: `cargo run --release -p environment --example bench -- <orders> <seed>`.

#[path = "../tests/orders/mod.rs"]
mod orders;

use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use environment::values::Request;
use environment::{Order, render};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// Calls of each order. Each is measured for itself: the mean of many would count what the machine did in between.
const ROUNDS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let (Some(count), Some(seed)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench <orders> <seed>".into());
    };
    let inputs = inputs(usize::try_from(count?)?, seed?)?;
    // The first one compiles the schema and the skeletons.
    measure(&inputs[0])?;
    let mut times = Vec::with_capacity(inputs.len() * ROUNDS);
    let mut values = Vec::with_capacity(inputs.len());
    for input in &inputs {
        for _ in 0..ROUNDS {
            times.push(measure(input)?);
        }
        values.push(render::template_values(&Order::parse(input)?, &request()));
    }
    times.sort();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let p50 = micros(times[times.len() / 2]);
    let p99 = micros(times[times.len() * 99 / 100]);
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(
        &mut out,
        &json!({ "p50": p50, "p99": p99, "values": values }),
    )?;
    out.flush()?;
    Ok(())
}

fn request() -> Request {
    Request {
        id: Some("feat-1.create-0123456789".into()),
        by: Some("user:default/guest".into()),
    }
}

fn measure(input: &Value) -> Result<Duration, Box<dyn Error>> {
    let since = Instant::now();
    std::hint::black_box(render::files(&Order::parse(input)?, &request())?);
    Ok(since.elapsed())
}

/// Orders that are taken.
fn inputs(count: usize, seed: u64) -> Result<Vec<Value>, Box<dyn Error>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut inputs = Vec::with_capacity(count);
    while inputs.len() < count {
        let input = orders::input(10)
            .new_tree(&mut runner)
            .map_err(|reason| reason.to_string())?
            .current();
        if Order::parse(&input).is_ok() {
            inputs.push(input);
        }
    }
    Ok(inputs)
}
