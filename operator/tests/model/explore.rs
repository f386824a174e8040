//! Every state that can be reached, once; then everything that could go on for ever.
//!
//! "In the end" is judged on the finished graph: a run that never ends stays in one strongly connected component, and it
//! counts if no force is always able to act there without ever doing so. A search that judges single paths as it meets
//! them loses those that end in a cycle or join another path.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::components::components;
use super::state::{Action, Force, Model, State, Unrest, fingerprint};
use super::world::Broken;

/// What is kept of a state.
pub(crate) struct Node {
    from: u32,
    by: Option<Action>,
    pub(crate) edges: Vec<(u32, u8)>,
    /// Forces that can act here.
    forces: u8,
    unrest: Option<Unrest>,
    broken: Option<Broken>,
}

#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) depth: usize,
    pub(crate) took: Duration,
    /// The first state, in the order of their distance, in which a rule is broken.
    pub(crate) broken: BTreeMap<Broken, Vec<String>>,
    pub(crate) unrest: BTreeMap<Unrest, Vec<String>>,
}

/// States that are expanded before what they lead to is entered: so few that what they lead to fits into memory.
const PORTION: usize = 4096;

type Numbers = HashMap<u128, u32>;
/// The state itself only where it is new.
type Successors = Vec<(Action, u128, Option<State>)>;

fn expand(model: &Model, known: &Numbers, frontier: &[(u32, State)]) -> Vec<(u32, Successors)> {
    let of = |(number, state): &(u32, State)| {
        let next = model.next(state).into_iter();
        let next = next.map(|(action, next)| {
            let print = fingerprint(&next);
            let fresh = (!known.contains_key(&print)).then_some(next);
            (action, print, fresh)
        });
        (*number, next.collect())
    };
    frontier.iter().map(of).collect()
}

fn expand_all(model: &Model, known: &Numbers, frontier: &[(u32, State)]) -> Vec<(u32, Successors)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = frontier.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = frontier
            .chunks(share)
            .map(|part| scope.spawn(move || expand(model, known, part)))
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    })
}

fn node(state: &State, from: u32, by: Option<Action>) -> Node {
    Node {
        from,
        by,
        edges: Vec::new(),
        forces: 0,
        unrest: state.unrest(),
        broken: state.world.broken,
    }
}

pub(crate) fn explore(model: &Model, limit: usize) -> Found {
    let began = Instant::now();
    let start = model.start();
    let mut numbers = Numbers::from([(fingerprint(&start), 0u32)]);
    let mut nodes = vec![node(&start, 0, None)];
    let mut frontier = vec![(0, start)];
    let mut found = Found::default();
    while !frontier.is_empty() {
        found.depth += 1;
        let mut next = Vec::new();
        let portions = frontier.chunks(PORTION);
        for portion in portions {
            for (number, successors) in expand_all(model, &numbers, portion) {
                let here = usize::try_from(number).unwrap();
                nodes[here].edges.reserve_exact(successors.len());
                for (action, print, state) in successors {
                    let fresh = u32::try_from(nodes.len()).unwrap();
                    let to = *numbers.entry(print).or_insert(fresh);
                    if let (true, Some(state)) = (to == fresh, state) {
                        nodes.push(node(&state, number, Some(action)));
                        if state.world.broken.is_none() {
                            next.push((fresh, state));
                        }
                    }
                    let bit = action.force().map_or(0, Force::bit);
                    nodes[here].forces |= bit;
                    nodes[here].edges.push((to, bit));
                    found.steps += 1;
                }
            }
        }
        frontier = next;
        // Of a defect that was sown, the first sign is enough.
        if model.defect.is_some() && nodes.iter().any(|node| node.broken.is_some()) {
            break;
        }
        assert!(
            nodes.len() <= limit,
            "more than {limit} states: something grows without end, e.g. {:#?}",
            frontier.last()
        );
    }
    found.states = nodes.len();
    found.took = began.elapsed();
    judge(model, &nodes, &mut found);
    found
}

fn judge(model: &Model, nodes: &[Node], found: &mut Found) {
    let index = |n: u32| usize::try_from(n).unwrap();
    for (number, node) in nodes.iter().enumerate() {
        if let Some(broken) = node.broken {
            found
                .broken
                .entry(broken)
                .or_insert_with(|| path(model, nodes, number));
        }
    }
    let component = components(nodes);
    let mut inside: HashMap<u32, (u8, u8)> = HashMap::new();
    for (number, node) in nodes.iter().enumerate().filter(|(_, n)| n.broken.is_none()) {
        let own = component[number];
        let (able, done) = inside.entry(own).or_insert((u8::MAX, 0));
        *able &= node.forces;
        for (to, bit) in &node.edges {
            if component[index(*to)] == own {
                *done |= bit;
            }
        }
    }
    for (number, node) in nodes.iter().enumerate() {
        let (Some(unrest), None) = (node.unrest, node.broken) else {
            continue;
        };
        let (able, done) = inside[&component[number]];
        let stays = Force::ALL
            .iter()
            .all(|force| able & force.bit() == 0 || done & force.bit() != 0);
        if stays {
            found
                .unrest
                .entry(unrest)
                .or_insert_with(|| path(model, nodes, number));
        }
    }
}

/// How the state came about, for people.
fn path(model: &Model, nodes: &[Node], number: usize) -> Vec<String> {
    let mut actions = Vec::new();
    let mut at = number;
    while let Some(by) = nodes[at].by {
        actions.push(by);
        at = usize::try_from(nodes[at].from).unwrap();
    }
    let mut state = model.start();
    let mut told = Vec::new();
    for action in actions.into_iter().rev() {
        let doing = state.doing();
        state = model.apply(&state, action).0;
        let about = if matches!(action, Action::Go(_)) {
            doing
        } else {
            String::new()
        };
        told.push(format!("{action:?} {about}"));
    }
    let status = state
        .world
        .resource()
        .map(|cr| serde_json::to_string(&cr.status).unwrap());
    told.push(format!("{:?}", state.world));
    told.push(status.unwrap_or_default());
    told
}
