//! How fast and how small the engine is, as a program of its own. `make bench` prints it; nothing but errors fails it.
//!
//! `cargo test --config profile.dev.package.vdb-engine.opt-level=3 --package vdb-engine --test speed -- --ignored --nocapture`

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(clippy::print_stdout, reason = "a measurement is there to be read")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dct::types::{Job, JobStatus, Tag, Timeflow, Vdb};
use engine::model::{JobRecord, Kind, Object, Phase};
use engine::store::{Error, Store};
use serde_json::{Value, json};

const KEY: &str = "1.0123456789abcdef";
const VDBS: u64 = 10_000;
const JOBS: u64 = 5_000;
const SEARCHES: usize = 500;

struct Engine {
    process: Child,
    address: SocketAddr,
    ready: Duration,
}

impl Engine {
    fn start(dir: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let at = |name: &str| dir.join(name).display().to_string();
        let settings = format!(
            "listen: {address}\npool: {}\nstorage: copy\nexportPrefix: /exports\napiKeys: [{{name: test, keyFile: {}}}]\n\
             postgresBin: /usr/bin\nclientBin: /usr/bin\n",
            at("pool"),
            at("key")
        );
        std::fs::write(at("key"), KEY).unwrap();
        std::fs::write(at("settings.yaml"), settings).unwrap();
        let begun = Instant::now();
        let process = Command::new(env!("CARGO_BIN_EXE_vdb-engine"))
            .args(["serve", "--config", &at("settings.yaml")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(address).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it does not start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            process,
            address,
            ready: begun.elapsed(),
        }
    }

    /// Time of all threads on a processor so far. It says what a request costs where others keep the machine busy.
    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanoseconds = tasks.flatten().filter_map(|task| {
            // A thread may have ended just now.
            let line = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            line.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection that stays.
struct Caller(BufReader<TcpStream>);

impl Caller {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Self(BufReader::new(stream))
    }

    fn call(&mut self, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
        let request = format!(
            "{method} /dct/v3{path} HTTP/1.1\r\nHost: x\r\nAuthorization: apk {KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).unwrap();
        (status, answer)
    }
}

/// Middle and worst of a hundred.
fn told(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("p50 {:>9.2?}  p99 {:>9.2?}", at(50), at(99))
}

fn object(number: u64, kind: Kind, name: String, doc: Value) -> Object {
    Object {
        number,
        kind,
        id: kind.id(number),
        scope: name.clone(),
        name,
        phase: Phase::Live,
        parent: None,
        doc: doc.into(),
    }
}

/// A pool whose metadata knows many copies. No files: nothing at the start looks at them.
fn fill(pool: &Path) {
    std::fs::create_dir_all(pool).unwrap();
    let store = Store::open(&pool.join("meta.db")).unwrap();
    store
        .change(|draft| {
            for index in 0..VDBS {
                let number = draft.number();
                let flow = Timeflow {
                    id: Kind::Timeflow.id(number),
                    name: Some(format!("initial@{index}")),
                    is_active: Some(true),
                    ..Timeflow::default()
                };
                let flow_id = flow.id.clone();
                draft.put(object(number, Kind::Timeflow, flow_id.clone(), json!(flow)));
                let number = draft.number();
                let vdb = Vdb {
                    id: Kind::Vdb.id(number),
                    name: Some(format!("postgres-vdbs-feat-{index}-vdb-{number:08x}")),
                    database_type: Some("postgres-vsdk".to_owned()),
                    database_version: Some("16.9".to_owned()),
                    status: Some("RUNNING".to_owned()),
                    enabled: Some(true),
                    engine_id: Some("1".to_owned()),
                    engine_name: Some("embedded".to_owned()),
                    group_name: Some("postgres-vdbs".to_owned()),
                    parent_id: Some("1-APPDATA_CONTAINER-1".to_owned()),
                    parent_timeflow_timestamp: Some("2026-11-23T10:00:01.000000Z".to_owned()),
                    current_timeflow_id: Some(flow_id),
                    creation_date: Some("2026-11-23T10:00:01.000000Z".to_owned()),
                    size: Some(1 << 30),
                    is_appdata: Some(true),
                    exported_data_directory: Some(format!("/exports/1-APPDATA_CONTAINER-{number}")),
                    tags: Some(vec![
                        Tag::new("k8s-uid", format!("00000000-0000-4000-8000-{index:012}")),
                        Tag::new("cluster", "11111111-0000-4000-8000-000000000000"),
                    ]),
                    ..Vdb::default()
                };
                let name = vdb.name.clone().unwrap();
                draft.put(object(number, Kind::Vdb, name, json!(vdb)));
            }
            for index in 0..JOBS {
                let number = draft.number();
                let job = Job {
                    id: format!("{index:032x}"),
                    status: JobStatus::Completed,
                    kind: Some("DB_PROVISION".to_owned()),
                    target_id: Some(format!("1-APPDATA_CONTAINER-{index}")),
                    target_name: Some(format!("postgres-vdbs-feat-{index}-vdb")),
                    start_time: Some("2026-11-23T10:00:01.000000Z".to_owned()),
                    update_time: Some("2026-11-23T10:00:02.000000Z".to_owned()),
                    percent_complete: Some(100),
                    ..Job::default()
                };
                draft.job(JobRecord {
                    number,
                    job,
                    intent: None,
                });
            }
            Ok::<(), Error>(())
        })
        .unwrap();
}

#[test]
#[ignore = "a measurement: make bench"]
fn searches_polls_and_memory() {
    let idle = tempfile::tempdir().unwrap();
    let engine = Engine::start(idle.path());
    Caller::new(engine.address).call("GET", "/vdbs", "");
    println!(
        "engine, idle: ready after {:.0?}, {} MiB resident",
        engine.ready,
        engine.resident()
    );
    drop(engine);

    let dir = tempfile::tempdir().unwrap();
    fill(&dir.path().join("pool"));
    let engine = Engine::start(dir.path());
    println!(
        "{VDBS} virtual databases, {JOBS} jobs: ready after {:.0?}, {} MiB resident",
        engine.ready,
        engine.resident()
    );
    measured(&engine, &dir.path().join("pool"));
    searches(&engine);
    polls(&engine);
    println!("after that: {} MiB resident", engine.resident());
}

/// From here on lists and searches show what each copy takes.
fn measured(engine: &Engine, pool: &Path) {
    for index in 0..VDBS {
        let root = pool.join("vdbs").join(Kind::Vdb.id(2 * index + 2));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("data"), format!("{index}")).unwrap();
    }
    let mut caller = Caller::new(engine.address);
    let mut path = "/reporting/vdb-inventory-report?limit=1000".to_owned();
    let mut seen = 0;
    loop {
        let (_, answer) = caller.call("GET", &path, "");
        let page: Value = serde_json::from_slice(&answer).unwrap();
        let rows = page["items"].as_array().unwrap();
        seen += rows
            .iter()
            .filter(|row| row["storage_size"].is_u64())
            .count();
        let Some(next) = page["response_metadata"]["next_cursor"].as_str() else {
            break;
        };
        path = format!("/reporting/vdb-inventory-report?limit=1000&cursor={next}");
    }
    assert_eq!(u64::try_from(seen).unwrap(), VDBS);
}

fn searches(engine: &Engine) {
    let ids: Vec<String> = (0..100).map(|i| format!("'{:032x}'", i * 7)).collect();
    let filters = [
        ("/vdbs/search", "one name", "name EQ 'postgres-vdbs-feat-7777-vdb-00003cc4'".to_owned(), 1),
        ("/vdbs/search", "one id", "id EQ '1-APPDATA_CONTAINER-15556'".to_owned(), 1),
        (
            "/vdbs/search",
            "a tag",
            "tags CONTAINS { key EQ 'k8s-uid' AND value EQ '00000000-0000-4000-8000-000000007777' }".to_owned(),
            1,
        ),
        ("/vdbs/search", "a part of a name", "name CONTAINS 'feat-99'".to_owned(), 100),
        ("/vdbs/search", "a tag of all", "tags CONTAINS { key EQ 'cluster' }".to_owned(), 100),
        ("/vdbs/search", "anywhere", "SEARCH 'FEAT-7777'".to_owned(), 1),
        ("/vdbs/search", "a number anywhere", "SEARCH '7777'".to_owned(), 1),
        ("/vdbs/search", "anywhere, in all of them", "SEARCH 'RUNNING'".to_owned(), 100),
        ("/vdbs/search?sort=-name", "all of them, sorted", "status NE 'x'".to_owned(), 100),
        ("/vdbs/search?sort=-storage_size", "the largest", "storage_size GT 0".to_owned(), 100),
        ("/jobs/search", "a hundred jobs by id", format!("id IN [{}]", ids.join(", ")), 100),
        ("/jobs/search", "jobs of a target", "target_name EQ 'postgres-vdbs-feat-77-vdb'".to_owned(), 1),
    ];
    for (path, what, filter, least) in filters {
        let body = json!({ "filter_expression": filter }).to_string();
        let mut caller = Caller::new(engine.address);
        let (mut times, mut costs) = (Vec::new(), Vec::new());
        for _ in 0..SEARCHES {
            let before = engine.cpu();
            let begun = Instant::now();
            let (status, answer) = caller.call("POST", path, &body);
            times.push(begun.elapsed());
            costs.push(engine.cpu().saturating_sub(before));
            assert_eq!(status, 200, "{what}");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            let found = answer["items"].as_array().unwrap().len();
            assert!(found >= least, "{what}: {found}");
        }
        println!(
            "{:<48} {}   on a processor {}",
            format!("{path} {what}"),
            told(&times),
            told(&costs)
        );
    }
}

/// Every caller has a connection of its own and all ask at once.
fn polls(engine: &Engine) {
    const CALLERS: u64 = 1_000;
    const ROUNDS: usize = 10;
    let address = engine.address;
    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|index| {
            let small = std::thread::Builder::new().stack_size(64 << 10);
            let poll = move || {
                let mut caller = Caller::new(address);
                let path = format!("/jobs/{:032x}", index % JOBS);
                (0..ROUNDS)
                    .map(|_| {
                        let begun = Instant::now();
                        let (status, _) = caller.call("GET", &path, "");
                        assert_eq!(status, 200);
                        begun.elapsed()
                    })
                    .collect::<Vec<Duration>>()
            };
            small.spawn(poll).unwrap()
        })
        .collect();
    let times: Vec<Duration> = callers
        .into_iter()
        .flat_map(|c| c.join().unwrap())
        .collect();
    let count = times.len();
    println!(
        "{CALLERS} callers at once poll jobs: {count} polls in {:.2?}, none refused or failed; {}",
        begun.elapsed(),
        told(&times)
    );
}
