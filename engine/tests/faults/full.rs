//! Without room the engine refuses what it cannot write down, and goes on as soon as there is some.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::text;
use crate::model::Model;
use crate::source;
use crate::verify::looked_at;
use crate::world::World;
use crate::{linked, on_small_pools};

const ROUNDS: usize = 40;

#[test]
fn a_full_disk_ends_no_engine() {
    on_small_pools("full::a_full_disk_ends_no_engine", |bin| {
        linked(bin, false, full);
    });
}

#[test]
fn a_replay_without_room_ends() {
    on_small_pools("full::a_replay_without_room_ends", |bin| {
        linked(bin, true, replay);
    });
}

/// Whatever of it finds no room: it ends, and the next with room is whole.
fn replay(world: &World<'_>) {
    let mut model = Model {
        logged: true,
        ..Model::default()
    };
    model.dsource = text(&world.api.list("/dsources").unwrap()[0], "id");
    for _ in 0..3 {
        source::change(&world.ground.source, &mut model, 0).unwrap();
    }
    let path = "/vdbs/provision_by_timestamp";
    let moment = &model.moments[1];
    let body = json!({"name": "moment", "source_data_id": "largedb", "timestamp": moment.time, "container_mode": true});
    let begun = Instant::now();
    let answered = |answer: &serde_json::Value| text(&answer["job"], "id");
    for after in [100, 250, 400, 600, 850, 1200] {
        let mut job = None;
        while job.is_none() {
            assert!(begun.elapsed() < Duration::from_secs(300), "no log");
            let (status, answer) = world.api.call("POST", path, &body).unwrap();
            job = (status == 200).then(|| answered(&answer));
        }
        std::thread::sleep(Duration::from_millis(after));
        world.fill();
        std::thread::sleep(Duration::from_millis(700));
        world.make_room();
        world.settled().unwrap();
        let job = world.api.get(&format!("/jobs/{}", job.unwrap())).unwrap();
        let why = text(&job, "error_details");
        println!("full after {after} ms: {} {why}", job["status"]);
        assert!(job["status"] == "COMPLETED" || !why.is_empty(), "{job}");
        if job["status"] == "COMPLETED" {
            let path = format!("/vdbs/{}/delete", text(&job, "target_id"));
            world.done("POST", &path, &json!({})).unwrap();
        }
    }
    // What cannot fit from the beginning is not begun.
    world.fill();
    let (status, answer) = world.api.call("POST", path, &body).unwrap();
    assert_eq!(status, 507, "{answer}");
    world.make_room();
    looked_at(world, path, &body, "moment", &moment.data).unwrap();
}

fn full(world: &World<'_>) {
    let dsource = text(&world.api.list("/dsources").unwrap()[0], "id");
    let path = format!("/dsources/{dsource}/tags");
    let write = |number: usize| {
        let body = json!({"tags": [{"key": format!("k{number}"), "value": "x".repeat(200)}]});
        let (status, answer) = world.api.call("POST", &path, &body).unwrap();
        assert!([201, 500].contains(&status), "{status} {answer}");
        status
    };
    assert_eq!(write(0), 201);
    world.fill();
    // Again and again at the edge: what was written once has to find room anew, in whatever file it is.
    let (mut written, mut refused) = (0, 0);
    for number in 1..ROUNDS {
        world.make_a_little_room(64 << 10);
        for step in 0..30 {
            match write(number * 100 + step) {
                201 => written += 1,
                _ => refused += 1,
            }
        }
    }
    println!("{written} changes found room, {refused} did not");
    assert!(written > 0 && refused > 0);
    assert!(world.is_alive().unwrap(), "the engine ended");
    world.make_room();
    assert_eq!(write(1), 201);
}
