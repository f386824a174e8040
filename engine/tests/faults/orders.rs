//! Which orders are placed, how they are sent, and what became of them.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use crate::hook::Hook;
use crate::http::{Api, HangUp, text};
use crate::model::{By, Model, Order};

/// Of copies whose server the engine runs.
pub(crate) const LOGIN: (&str, &str) = ("app", "secret");
/// More copies than this would only take time.
const COPIES: usize = 5;

/// One order that may be refused, but not for being unreadable.
pub(crate) fn choose(model: &mut Model, random: &mut StdRng) -> Order {
    let copy = |model: &Model, random: &mut StdRng| {
        let names: Vec<&String> = model.copies.keys().collect();
        names.choose(random).map(|name| (*name).clone())
    };
    let snapshot = |model: &Model, random: &mut StdRng, of: Option<&str>| {
        let all = model.snapshots.iter();
        let fitting: Vec<&String> = all
            .filter(|(_, point)| of.is_none_or(|of| point.dataset == of))
            .map(|(id, _)| id)
            .collect();
        fitting.choose(random).map(|id| (*id).clone())
    };
    let any = snapshot(model, random, None).unwrap_or_default();
    let kind = random.random_range(0..26);
    let by = if random.random_bool(0.5) {
        By::Time
    } else {
        By::Place
    };
    // The first is before the first snapshot.
    let moment = random.random_range(1..model.moments.len().max(2));
    let between = model.logged && moment < model.moments.len();
    let Some(name) = copy(model, random).filter(|_| kind > 3) else {
        if model.copies.len() < COPIES {
            let name = model.word("vdb");
            let served = random.random_bool(0.5);
            if between && random.random_bool(0.6) {
                return Order::ProvisionAt {
                    name,
                    moment,
                    by,
                    served,
                };
            }
            return Order::Provision {
                name,
                snapshot: any,
                served,
            };
        }
        return Order::SourceSnapshot;
    };
    let id = model.copies[&name].id.clone();
    let dsource = model.dsource.clone();
    match kind {
        4 => Order::SourceSnapshot,
        5 | 6 => Order::Delete { name },
        7 => Order::DeleteSnapshot { snapshot: any },
        8 => match model.bookmarks.keys().next().cloned() {
            Some(bookmark) => Order::DeleteBookmark { bookmark },
            None => Order::Snapshot { name },
        },
        9 | 10 => Order::Bookmark {
            name,
            bookmark: model.word("bookmark"),
        },
        11 | 12 => Order::Snapshot { name },
        13 => Order::Undo { name },
        14 | 15 => match snapshot(model, random, Some(&id)) {
            Some(snapshot) => Order::Rollback { name, snapshot },
            None => Order::Snapshot { name },
        },
        16 => Order::Disable { name },
        20 | 21 if model.copies[&name].served => Order::Start { name },
        22 | 23 if model.copies[&name].served => Order::Stop {
            name,
            abort: random.random_bool(0.5),
        },
        17 | 20 => Order::Enable { name },
        21..=25 if between => Order::RefreshAt { name, moment, by },
        _ => {
            let of = random.random_bool(0.7).then_some(dsource.as_str());
            let snapshot = snapshot(model, random, of).unwrap_or(any);
            Order::Refresh { name, snapshot }
        }
    }
}

/// What an order works on; two orders of one batch never share it.
pub(crate) fn subjects(model: &Model, order: &Order) -> Vec<String> {
    let of_snapshot = |snapshot: &String| {
        let dataset = model.snapshots.get(snapshot).map(|s| s.dataset.clone());
        vec![snapshot.clone(), dataset.unwrap_or_default()]
    };
    let of_copy = |name: &String| {
        vec![
            model
                .copies
                .get(name)
                .map(|c| c.id.clone())
                .unwrap_or_default(),
        ]
    };
    match order {
        Order::Provision { name, snapshot, .. } => {
            [vec![name.clone()], of_snapshot(snapshot)].concat()
        }
        Order::ProvisionAt { name, .. } => vec![name.clone(), model.dsource.clone()],
        Order::RefreshAt { name, .. } => [of_copy(name), vec![model.dsource.clone()]].concat(),
        Order::Refresh { name, snapshot } | Order::Rollback { name, snapshot } => {
            [of_copy(name), of_snapshot(snapshot)].concat()
        }
        Order::DeleteSnapshot { snapshot } => of_snapshot(snapshot),
        Order::DeleteBookmark { bookmark } => of_snapshot(&model.bookmarks[bookmark]),
        Order::SourceSnapshot => vec![model.dsource.clone()],
        Order::Undo { name }
        | Order::Enable { name }
        | Order::Disable { name }
        | Order::Start { name }
        | Order::Stop { name, .. }
        | Order::Snapshot { name }
        | Order::Bookmark { name, .. }
        | Order::Delete { name } => of_copy(name),
    }
}

/// An order on its way.
pub(crate) struct Sent {
    pub(crate) order: Order,
    kind: &'static str,
    target: String,
    pub(crate) answer: Option<(u16, Value)>,
    /// Half a request: nobody may carry it out.
    pub(crate) half: bool,
}

impl Sent {
    /// Whether a job is the one of this order.
    pub(crate) fn is(&self, job: &Value) -> bool {
        if self.half {
            return false;
        }
        if let Some((_, answer)) = &self.answer {
            return answer["job"]["id"] == job["id"];
        }
        let named = [text(job, "target_id"), text(job, "target_name")].contains(&self.target);
        text(job, "type") == self.kind && named
    }

    /// For the schedule.
    pub(crate) fn told(&self) -> String {
        let answer = match &self.answer {
            None if self.half => "half a request".to_owned(),
            None => "no answer".to_owned(),
            Some((status, body)) => {
                let why = text(body, "error_description");
                format!("{status} {why}")
            }
        };
        format!("{:?}: {answer}", self.order)
    }

    pub(crate) fn refused(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|(status, _)| *status >= 300)
    }
}

pub(crate) fn send(api: &Api, model: &Model, order: Order, dropped: Option<HangUp>) -> Sent {
    let (kind, method, path, body, target) = request(model, &order);
    let answer = match dropped {
        None => api.call(method, &path, &body),
        Some(dropped) => {
            api.hang_up(method, &path, &body, dropped);
            None
        }
    };
    Sent {
        order,
        kind,
        target,
        answer,
        half: dropped == Some(HangUp::InRequest),
    }
}

#[expect(clippy::too_many_lines, reason = "one line for each order")]
fn request(model: &Model, order: &Order) -> (&'static str, &'static str, String, Value, String) {
    let on = |name: &str, action: &str| {
        let id = model.copies[name].id.clone();
        (format!("/vdbs/{id}/{action}"), id)
    };
    let mode = |name: &str| {
        if model.copies[name].served {
            json!({})
        } else {
            json!({"container_mode": true})
        }
    };
    let provision = |action: &str, name: &String, served: bool, from: Value| {
        let mut body = if served {
            json!({"db_username": LOGIN.0, "db_password": LOGIN.1})
        } else {
            json!({"container_mode": true})
        };
        body["name"] = json!(name);
        let hooks = Hook::of(name).ordered(name).filter(|_| served);
        let others = [from, hooks.unwrap_or_default()];
        for (field, value) in others.iter().filter_map(Value::as_object).flatten() {
            body[field] = value.clone();
        }
        let path = format!("/vdbs/provision_{action}");
        ("DB_PROVISION", "POST", path, body, name.clone())
    };
    let at = |moment: usize, by: By| {
        let moment = &model.moments[moment];
        match by {
            By::Time => ("by_timestamp", "timestamp", moment.time.clone()),
            By::Place => ("by_location", "location", moment.place.clone()),
        }
    };
    match order {
        Order::Provision {
            name,
            snapshot,
            served,
        } => provision(
            "by_snapshot",
            name,
            *served,
            json!({"snapshot_id": snapshot}),
        ),
        Order::ProvisionAt {
            name,
            moment,
            by,
            served,
        } => {
            let (action, field, value) = at(*moment, *by);
            let from = json!({"source_data_id": model.dsource, field: value});
            provision(action, name, *served, from)
        }
        Order::RefreshAt { name, moment, by } => {
            let (action, field, value) = at(*moment, *by);
            let (path, id) = on(name, &format!("refresh_{action}"));
            let body = json!({"dataset_id": model.dsource, field: value});
            ("DB_REFRESH", "POST", path, body, id)
        }
        Order::Start { name } => {
            let (path, id) = on(name, "start");
            ("DB_START", "POST", path, Value::Null, id)
        }
        Order::Stop { name, abort } => {
            let (path, id) = on(name, "stop");
            ("DB_STOP", "POST", path, json!({"abort": abort}), id)
        }
        Order::Refresh { name, snapshot } => {
            let (path, id) = on(name, "refresh_by_snapshot");
            (
                "DB_REFRESH",
                "POST",
                path,
                json!({"snapshot_id": snapshot}),
                id,
            )
        }
        Order::Rollback { name, snapshot } => {
            let (path, id) = on(name, "rollback_by_snapshot");
            (
                "DB_ROLLBACK",
                "POST",
                path,
                json!({"snapshot_id": snapshot}),
                id,
            )
        }
        Order::Undo { name } => {
            let (path, id) = on(name, "undo_refresh");
            ("DB_UNDO_REFRESH", "POST", path, Value::Null, id)
        }
        Order::Enable { name } => {
            let (path, id) = on(name, "enable");
            ("DB_ENABLE", "POST", path, mode(name), id)
        }
        Order::Disable { name } => {
            let (path, id) = on(name, "disable");
            ("DB_DISABLE", "POST", path, mode(name), id)
        }
        Order::Snapshot { name } => {
            let (path, id) = on(name, "snapshots");
            ("DB_SNAPSHOT", "POST", path, Value::Null, id)
        }
        Order::Bookmark { name, bookmark } => {
            let body = json!({"name": bookmark, "vdb_ids": [model.copies[name].id], "retain_forever": true});
            (
                "BOOKMARK_CREATE",
                "POST",
                "/bookmarks".to_owned(),
                body,
                bookmark.clone(),
            )
        }
        Order::Delete { name } => {
            let (path, id) = on(name, "delete");
            ("DB_DELETE", "POST", path, json!({"force": false}), id)
        }
        Order::DeleteSnapshot { snapshot } => (
            "SNAPSHOT_DELETE",
            "DELETE",
            format!("/snapshots/{snapshot}"),
            Value::Null,
            snapshot.clone(),
        ),
        Order::DeleteBookmark { bookmark } => (
            "BOOKMARK_DELETE",
            "DELETE",
            format!("/bookmarks/{bookmark}"),
            Value::Null,
            bookmark.clone(),
        ),
        Order::SourceSnapshot => {
            let id = model.dsource.clone();
            (
                "DB_SYNC",
                "POST",
                format!("/dsources/{id}/snapshots"),
                Value::Null,
                id,
            )
        }
    }
}
