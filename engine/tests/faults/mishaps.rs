//! What goes wrong while a batch of orders is placed and carried out.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::http::HangUp;
use crate::model::{Copy, Model, Order};
use crate::orders::{Sent, send};
use crate::served;
use crate::source::{Fault, Trouble};
use crate::world::World;

/// How the engine ends, and after how many milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Killed(u64),
    Stopped(u64),
}

/// Everything of one batch, drawn before it begins.
#[derive(Debug, Default)]
pub(crate) struct Mishaps {
    pub(crate) end: Option<End>,
    /// The disk is full after so many milliseconds and for so many; at 0, before the orders are placed.
    pub(crate) full: Option<(u64, u64)>,
    /// For each order, where its caller hangs up.
    pub(crate) hang_ups: Vec<Option<HangUp>>,
    pub(crate) source: Option<Trouble>,
    /// The copy whose server somebody else ends, and when.
    pub(crate) murdered: Option<(String, u64)>,
}

impl Mishaps {
    pub(crate) fn draw(model: &Model, orders: &[Order], random: &mut StdRng) -> Self {
        let backup = orders
            .iter()
            .any(|order| matches!(order, Order::SourceSnapshot));
        let replay = orders
            .iter()
            .any(|order| matches!(order, Order::ProvisionAt { .. } | Order::RefreshAt { .. }));
        let slow = orders.iter().any(|order| match order {
            Order::Start { .. } | Order::Provision { served: true, .. } => true,
            Order::Refresh { name, .. } | Order::Undo { name } => model.copies[name].running,
            _ => false,
        });
        let within = match (backup, replay, slow) {
            (true, ..) => 3000,
            (_, true, _) => 1200,
            (_, _, true) => 400,
            _ => 120,
        };
        let after = random.random_range(0..within);
        let end = random.random_bool(0.4).then(|| {
            if random.random_bool(0.2) {
                End::Stopped(after)
            } else {
                End::Killed(after)
            }
        });
        let places = [HangUp::InRequest, HangUp::BeforeAnswer, HangUp::InAnswer];
        let hang_up = |random: &mut StdRng| {
            let dropped = random.random_bool(0.2);
            places.choose(random).copied().filter(|_| dropped)
        };
        let running = model.copies.iter().filter(|(_, copy)| copy.running);
        let running: Vec<&String> = running.map(|(name, _)| name).collect();
        let full = random.random_bool(0.2).then(|| {
            let later = random.random_bool(0.7);
            let after = if later {
                random.random_range(0..within)
            } else {
                0
            };
            (after, random.random_range(50..600))
        });
        let source = trouble(model, backup, within, random);
        let murdered = running.choose(random).filter(|_| random.random_bool(0.15));
        Self {
            end,
            full,
            hang_ups: orders.iter().map(|_| hang_up(random)).collect(),
            source,
            murdered: murdered.map(|name| ((*name).clone(), random.random_range(0..within))),
        }
    }

    /// Whether a server may have ended without anybody having ordered it.
    pub(crate) fn unsure(&self, name: &str) -> bool {
        self.full.is_some()
            || self
                .murdered
                .as_ref()
                .is_some_and(|(murdered, _)| murdered == name)
    }
}

fn trouble(model: &Model, backup: bool, within: u64, random: &mut StdRng) -> Option<Trouble> {
    let mut kinds = vec![Fault::Lost, Fault::Cut];
    if backup {
        kinds.push(Fault::Corrupted);
    }
    if model.logged {
        kinds.extend([Fault::SlotDropped, Fault::Cut]);
    }
    let wanted = random.random_bool(if backup || model.logged { 0.25 } else { 0.03 });
    let what = *kinds.choose(random)?;
    // A damage that comes late hits no backup.
    let after = match what {
        Fault::Corrupted => 0,
        _ => random.random_range(0..within),
    };
    let lasts = random.random_range(100..1500);
    wanted.then_some(Trouble { what, after, lasts })
}

/// Places the orders while it all goes wrong. Afterwards there is room again and the source is up.
pub(crate) fn place(
    world: &World<'_>,
    model: &Model,
    orders: Vec<Order>,
    mishaps: &Mishaps,
) -> Result<Vec<Sent>, String> {
    let copy: Option<(&Copy, u64)> = mishaps
        .murdered
        .as_ref()
        .and_then(|(name, after)| Some((model.copies.get(name)?, *after)));
    if let Some((0, _)) = mishaps.full {
        world.fill();
    }
    std::thread::scope(|scope| {
        let end = mishaps.end.map(|end| {
            scope.spawn(move || match end {
                End::Killed(after) => {
                    std::thread::sleep(Duration::from_millis(after));
                    world.kill();
                    Ok(())
                }
                End::Stopped(after) => {
                    std::thread::sleep(Duration::from_millis(after));
                    world.stop()
                }
            })
        });
        let source = mishaps
            .source
            .map(|trouble| scope.spawn(move || trouble.make(&world.ground.source)));
        if let Some((copy, after)) = copy {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(after));
                served::murder(world, copy);
            });
        }
        let orders = orders.into_iter().zip(&mishaps.hang_ups);
        let sent = orders
            .map(|(order, hang_up)| send(&world.api, model, order, *hang_up))
            .collect();
        if let Some((after, lasts)) = mishaps.full {
            if after > 0 {
                std::thread::sleep(Duration::from_millis(after));
                world.fill();
            }
            std::thread::sleep(Duration::from_millis(lasts));
            world.make_room();
        }
        for thread in end.into_iter().chain(source) {
            thread
                .join()
                .map_err(|_| "a thread panicked".to_owned())??;
        }
        Ok(sent)
    })
}
