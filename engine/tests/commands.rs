//! The command line as scripts use it: one document on standard output, an exit code, and an error that names the fix.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use support::app::App;
use tokio::net::TcpSocket;

/// A settings file for an engine at an address of its own.
struct Place {
    app: App,
    address: SocketAddr,
    /// Bound until the engine listens on it: bound anew, it may still be in the hands of a program that starts just now.
    socket: Cell<Option<TcpSocket>>,
}

impl Place {
    fn new() -> Self {
        // A loopback address of its own: nobody else takes the port.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let (process, own) = (std::process::id() % 250, NEXT.fetch_add(1, Relaxed));
        let socket = TcpSocket::new_v4().unwrap();
        let address = format!("127.1.{process}.{own}:0").parse().unwrap();
        socket.bind(address).unwrap();
        let place = Self {
            app: App::new(),
            address: socket.local_addr().unwrap(),
            socket: Cell::new(Some(socket)),
        };
        place.write("");
        place
    }

    fn write(&self, more: &str) {
        let at = |name: &str| self.app.pool.path(name).display().to_string();
        let text = format!(
            "listen: {}\npool: {}\nstorage: copy\nexportPrefix: /exports\napiKeys: [{{name: test, keyFile: {}}}]\n\
             postgresBin: /nowhere\nclientBin: /nowhere\n{more}",
            self.address,
            at("elsewhere"),
            at("key")
        );
        std::fs::write(self.settings(), text).unwrap();
    }

    fn settings(&self) -> PathBuf {
        self.app.pool.path("settings.yaml")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_vdb-engine"))
            .args(arguments)
            .arg("--config")
            .arg(self.settings())
            .output()
            .unwrap()
    }

    /// Exit code, standard output, standard error.
    fn told(&self, arguments: &[&str]) -> (i32, String, String) {
        // The engine of the test answers on another thread.
        let output = tokio::task::block_in_place(|| self.run(arguments));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (code, text(output.stdout), text(output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let all = [arguments, &["--output", "json"][..]].concat();
        let (code, out, err) = self.told(&all);
        let told = if out.is_empty() { err } else { out };
        (
            code,
            serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}")),
        )
    }

    fn serve(&self) {
        self.serve_as(self.app.router());
    }

    fn serve_as(&self, router: axum::Router) {
        let listener = self.socket.take().unwrap().listen(64).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_one_document_and_snapshot_names_what_it_made() {
    let place = Place::new();
    place.serve();
    place.app.provisioned("dev").await;
    let (code, list) = place.json(&["list"]);
    assert_eq!((code, &list["vdbs"][0]["name"]), (0, &Value::from("dev")));
    assert_eq!(list["more"]["vdbs"], 0);
    let (code, text, _) = place.told(&["list"]);
    assert!(
        code == 0 && text.starts_with("KIND ") && text.contains(" dev "),
        "{text}"
    );

    let (code, taken) = place.json(&["snapshot", "largedb"]);
    assert_eq!(code, 0, "{taken}");
    let newest = place
        .app
        .get("/snapshots?sort=-creation_time&limit=1")
        .await;
    assert_eq!(taken["snapshot"], newest["items"][0]["id"]);
    let (code, text, _) = place.told(&["snapshot", "largedb"]);
    assert!(
        code == 0 && text.trim().starts_with("1-APPDATA_SNAPSHOT-"),
        "{text}"
    );

    for (arguments, part) in [
        (["link", "largedb"], "linked already"),
        (["link", "nowhere"], "declared in the engine's settings"),
        (["link", "down"], "the source is down"),
        (["snapshot", "nowhere"], "there is no dSource"),
    ] {
        let (code, told) = place.json(&arguments);
        assert_eq!(code, 1, "{told}");
        assert!(told["error"].as_str().unwrap().contains(part), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn link_names_the_dsource_and_tells_people_how_far_it_is() {
    let place = Place::new();
    place.serve();
    let unlink = json!({"dsource_id": "largedb"});
    for form in ["json", "text"] {
        place.app.done("/dsources/delete", unlink.clone()).await;
        let (code, out, err) = place.told(&["link", "largedb", "--output", form]);
        assert_eq!(code, 0, "{err}");
        let id = place.app.get("/dsources").await["items"][0]["id"].clone();
        if form == "json" {
            let told: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(told, json!({ "dSource": id }));
            assert_eq!(err, "", "programs get one document, and nothing besides");
        } else {
            assert_eq!(out.trim_end(), id.as_str().unwrap());
            assert!(err.starts_with("1 of 4 MiB, "), "{err}");
            assert!(err.contains(" MiB/s, time left: "), "{err}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_known_says_whose_it_should_be() {
    let place = Place::new();
    place.serve();
    std::fs::write(place.app.pool.path("key-2"), "unknown").unwrap();
    let text = std::fs::read_to_string(place.settings()).unwrap();
    std::fs::write(place.settings(), text.replace("/key}", "/key-2}")).unwrap();
    let (code, told) = place.json(&["list"]);
    assert_eq!(code, 1, "{told}");
    assert!(
        told["fix"].as_str().unwrap().contains("first of apiKeys"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_an_end_is_waited_for_until_the_deadline() {
    let place = Place::new();
    let job = json!({"id": "0123", "status": "STARTED"});
    let begun = json!({ "job": job });
    let router = axum::Router::new()
        .route(
            "/dct/v3/dsources/{id}/snapshots",
            axum::routing::post(async move || axum::Json(begun)),
        )
        .route(
            "/dct/v3/jobs/{id}",
            axum::routing::get(async move || axum::Json(job)),
        );
    place.serve_as(router);
    let arguments = ["snapshot", "largedb", "--deadline", "1s"];
    let (code, told) = place.json(&arguments);
    assert_eq!(code, 3, "{told}");
    assert!(told["error"].as_str().unwrap().contains("0123"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_by_the_exit_code_and_in_words() {
    let place = Place::new();
    let (code, told) = place.json(&["list"]);
    assert_eq!(code, 3, "{told}");
    assert!(
        told["fix"].as_str().unwrap().contains("vdb-engine serve"),
        "{told}"
    );
    let (code, _, said) = place.told(&["list"]);
    assert!(code == 3 && said.contains("start it by"), "{said}");

    place.write("rateLimit: {perSecond: 0, burst: 1}\n");
    let (code, told) = place.json(&["doctor"]);
    assert_eq!(code, 2, "{told}");
    assert!(
        told["error"].as_str().unwrap().contains("rateLimit"),
        "{told}"
    );
    place.write("");
    let (code, told) = place.json(&["doctor"]);
    assert_eq!((code, &told["ok"]), (1, &Value::Bool(false)), "{told}");
    assert!(told["findings"].as_array().unwrap().len() > 3);
    assert!(told.to_string().contains("hooks are kept"), "{told}");
    place.write("servers: {listen: 127.0.0.1, ports: 15432-15439}\n");
    let (_, told) = place.json(&["doctor"]);
    assert!(told.to_string().contains("serve --run-hooks"), "{told}");
    let (code, _, said) = place.told(&["serve", "--hook-deadline", "1h"]);
    assert!(code == 2 && said.contains("--run-hooks"), "{said}");

    std::fs::remove_file(place.settings()).unwrap();
    let (code, told) = place.json(&["list"]);
    assert_eq!(code, 2, "{told}");
    assert!(told["fix"].as_str().unwrap().contains("--config"), "{told}");
    let (code, ..) = place.told(&["no-such-command"]);
    assert_eq!(code, 2);
    let (code, help, _) = place.told(&["--help"]);
    assert!(code == 0 && help.contains("Exit codes:"), "{help}");
}
