//! The servers of an engine that is told to stop. They are none in truth.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use dct::types::ProvisionBySnapshot;
use engine::engine::Engine;
use engine::model::Kind;
use support::Pool;

fn status(engine: &Engine, vdb: &str) -> String {
    engine.store.read(|state| {
        let vdb = state.get(Kind::Vdb, vdb).unwrap();
        vdb.doc.get("status").unwrap().as_str().unwrap().to_owned()
    })
}

#[test]
fn a_server_that_stops_with_the_engine_has_not_ended_by_itself() {
    let pool = Pool::classic();
    let engine = pool.linked();
    let request = ProvisionBySnapshot {
        name: Some("classic".to_owned()),
        source_data_id: Some("largedb".to_owned()),
        ..Default::default()
    };
    let answer = engine.provision(&request).unwrap();
    let vdb = answer.vdb_id.unwrap();
    engine.execute(&answer.job.unwrap().id);
    assert_eq!(status(&engine, &vdb), "RUNNING");
    let data = engine.vdb_root(&vdb).join("data");
    engine.stop_servers();
    assert!(!data.join("postmaster.pid").exists());
    // As it happens every second until the engine has ended.
    engine.look_at_servers().unwrap();
    assert_eq!(
        status(&engine, &vdb),
        "RUNNING",
        "it starts with the engine"
    );
}
