//! What happens at the source: changes whose moments are remembered, and what goes wrong there.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::model::{Model, Moment};
use crate::postgres::{ADMIN, Asked as _, Server, Stop};
use crate::support::programs::initdb;

const NOW: &str =
    "to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
const PAGE: u64 = 8192;
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The server is stopped as by a power failure and comes back.
    Lost,
    /// All its connections to the engine end.
    Cut,
    /// Somebody drops the slots that keep its log.
    SlotDropped,
    /// A page on its disk is damaged and mended: no base backup may be made of it.
    Corrupted,
}

/// Something went wrong at the source, after so long and for so long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) what: Fault,
    pub(crate) after: Duration,
    pub(crate) lasts: Duration,
}

impl Trouble {
    /// From its beginning to its end.
    pub(crate) fn make(self, source: &Server) -> Result<(), String> {
        std::thread::sleep(self.after);
        match self.what {
            Fault::Lost => {
                source.stop(Stop::Immediate);
                std::thread::sleep(self.lasts);
                source.up()
            }
            Fault::Cut => cut(source),
            Fault::SlotDropped => drop_slots(source),
            Fault::Corrupted => {
                let mended = damage(&source.file_of("cold")?)?;
                std::thread::sleep(self.lasts);
                mended()
            }
        }
    }
}

pub(crate) fn cut(source: &Server) -> Result<(), String> {
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'replicator'";
    source.query("largedb", sql).map(drop)
}

/// A receiver may be quick to take its slot again.
pub(crate) fn drop_slots(source: &Server) -> Result<(), String> {
    let end = "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name like 'vdb_%' and active_pid is not null";
    let drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'vdb_%' and active_pid is null";
    let left = "select count(*) from pg_replication_slots where slot_name like 'vdb_%' and slot_name = any(string_to_array('SLOTS', ','))";
    let slots = "select coalesce(string_agg(slot_name, ','), '') from pg_replication_slots where slot_name like 'vdb_%'";
    let left = left.replace("SLOTS", &source.query("largedb", slots)?);
    let begun = Instant::now();
    loop {
        source.query("largedb", end)?;
        let dropped = source.query("largedb", drop);
        if dropped.is_ok() && source.query("largedb", &left)? == "0" {
            return Ok(());
        }
        if begun.elapsed() > DEADLINE {
            return Err(format!("a slot cannot be dropped: {dropped:?}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Damages the first page of a file that nobody writes to, and returns what mends it.
pub(crate) fn damage(file: &Path) -> Result<impl FnOnce() -> Result<(), String> + use<>, String> {
    let open = || {
        let mut options = std::fs::File::options();
        options.read(true).write(true).open(file)
    };
    let failed = |error: std::io::Error| error.to_string();
    let (mut damaged, mut byte) = (open().map_err(failed)?, [0]);
    let at = SeekFrom::Start(PAGE - 100);
    damaged.seek(at).map_err(failed)?;
    damaged.read_exact(&mut byte).map_err(failed)?;
    damaged.seek(at).map_err(failed)?;
    damaged.write_all(&[!byte[0]]).map_err(failed)?;
    Ok(move || {
        damaged.seek(at).map_err(failed)?;
        damaged.write_all(&byte).map_err(failed)
    })
}

/// A small source with rows, an index, and checksums on its pages.
pub(crate) fn make(bin: &Path, dir: &Path, port: u16) -> Result<Server, String> {
    let data = dir.join("source");
    // A small log has as many segments as a large one of the usual size.
    initdb(bin, &data, &["--data-checksums", "--wal-segsize=1"]);
    let options = [
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "wal_level=replica",
    ];
    let server = Server::start(bin, &data, &dir.join("source-socket"), port, &options)?;
    server.query(
        ADMIN,
        "create role replicator login replication password 'secret'",
    )?;
    server.query(ADMIN, "create database largedb")?;
    // Each database has hundreds of files, which every base backup, copy and measurement goes through.
    server.query(ADMIN, "drop database postgres")?;
    server.query(ADMIN, "alter database template0 is_template false")?;
    server.query(ADMIN, "drop database template0")?;
    server.query("largedb", "create table marks (token text primary key)")?;
    server.query(
        "largedb",
        "create table orders as select n, md5(n::text) from generate_series(1, 5000) n",
    )?;
    server.query("largedb", "create unique index on orders (n)")?;
    server.query("largedb", "create index on orders (md5)")?;
    // Its pages are written once, and only on the disk can they be damaged.
    server.query(
        "largedb",
        "create table cold as select n from generate_series(1, 1000) n",
    )?;
    server.query(ADMIN, "checkpoint")?;
    Ok(server)
}

/// What the source holds now, with the moment.
pub(crate) fn moment(source: &Server, begun: Option<String>) -> Result<Moment, String> {
    // Nothing else happens close to it.
    let sql = format!("select {NOW} || ' ' || pg_current_wal_insert_lsn() || pg_sleep(0.01)");
    let text = source.query("largedb", &sql)?;
    let (time, place) = text.split_once(' ').ok_or("the source tells no moment")?;
    Ok(Moment {
        begun: begun.unwrap_or_else(|| time.to_owned()),
        time: time.to_owned(),
        place: place.to_owned(),
        data: source.holds()?,
    })
}

/// One commit, and the moment after it.
pub(crate) fn change(source: &Server, model: &mut Model, seed: u64) -> Result<(), String> {
    let mark = model.word(&format!("source-{seed}"));
    let number = model.next % 100;
    let sql = format!(
        "select {NOW}; insert into marks values ('{mark}'); update orders set md5 = md5(md5 || '{mark}') where n % 100 = {number}"
    );
    let begun = source.query("largedb", &sql)?;
    let moment = moment(source, Some(begun))?;
    debug_assert!(moment.data.marks.contains(&mark));
    model.moments.push(moment);
    Ok(())
}
