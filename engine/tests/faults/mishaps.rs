//! What goes wrong while a batch of orders is placed and carried out.

use std::ops::Range;
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

/// How the engine ends, and after what time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Killed(Duration),
    Stopped(Duration),
}

/// Everything of one batch, drawn before it begins.
#[derive(Debug, Default)]
pub(crate) struct Mishaps {
    pub(crate) end: Option<End>,
    /// The disk is full after so long and for so long; at 0, before the orders are placed.
    pub(crate) full: Option<(Duration, Duration)>,
    /// For each order, where its caller hangs up.
    pub(crate) hang_ups: Vec<Option<HangUp>>,
    pub(crate) source: Option<Trouble>,
    /// The copy whose server somebody else ends, and when.
    pub(crate) murdered: Option<(String, Duration)>,
}

impl Mishaps {
    pub(crate) fn draw(
        model: &Model,
        orders: &[Order],
        within: Duration,
        random: &mut StdRng,
    ) -> Self {
        let backup = orders
            .iter()
            .any(|order| matches!(order, Order::SourceSnapshot));
        let after = moment(within, random);
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
                moment(within, random)
            } else {
                Duration::ZERO
            };
            (after, millis(50..600, random))
        });
        let source = trouble(model, backup, within, random);
        let murdered = running.choose(random).filter(|_| random.random_bool(0.15));
        Self {
            end,
            full,
            hang_ups: orders.iter().map(|_| hang_up(random)).collect(),
            source,
            murdered: murdered.map(|name| ((*name).clone(), moment(within, random))),
        }
    }

    pub(crate) fn are_none(&self) -> bool {
        let sound = self.end.is_none() && self.full.is_none() && self.source.is_none();
        sound && self.murdered.is_none() && self.hang_ups.iter().all(Option::is_none)
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

/// As many draws for any time, so that a seed's orders do not depend on how fast it goes.
fn moment(within: Duration, random: &mut StdRng) -> Duration {
    within.mul_f64(random.random())
}

fn millis(range: Range<u64>, random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(range))
}

fn trouble(model: &Model, backup: bool, within: Duration, random: &mut StdRng) -> Option<Trouble> {
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
        Fault::Corrupted => Duration::ZERO,
        _ => moment(within, random),
    };
    let lasts = millis(100..1500, random);
    wanted.then_some(Trouble { what, after, lasts })
}

/// Places the orders while it all goes wrong. Afterwards there is room again and the source is up.
pub(crate) fn place(
    world: &World<'_>,
    model: &Model,
    orders: Vec<Order>,
    mishaps: &Mishaps,
) -> Result<Vec<Sent>, String> {
    let copy: Option<(&Copy, Duration)> = mishaps
        .murdered
        .as_ref()
        .and_then(|(name, after)| Some((model.copies.get(name)?, *after)));
    if mishaps.full.is_some_and(|(after, _)| after.is_zero()) {
        world.fill();
    }
    std::thread::scope(|scope| {
        let end = mishaps.end.map(|end| {
            scope.spawn(move || match end {
                End::Killed(after) => {
                    std::thread::sleep(after);
                    world.kill();
                    Ok(())
                }
                End::Stopped(after) => {
                    std::thread::sleep(after);
                    world.stop()
                }
            })
        });
        let source = mishaps
            .source
            .map(|trouble| scope.spawn(move || trouble.make(&world.ground.source)));
        if let Some((copy, after)) = copy {
            scope.spawn(move || {
                std::thread::sleep(after);
                served::murder(world, copy);
            });
        }
        let orders = orders.into_iter().zip(&mishaps.hang_ups);
        let sent = orders
            .map(|(order, hang_up)| send(&world.api, model, order, *hang_up))
            .collect();
        if let Some((after, lasts)) = mishaps.full {
            if !after.is_zero() {
                std::thread::sleep(after);
                world.fill();
            }
            std::thread::sleep(lasts);
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
