//! The only file that names `rusqlite`: metadata as rows of JSON documents, in WAL mode, synced at every commit.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{Error, State, Write};
use crate::model::{JobRecord, Kind, Object, Phase};

const SCHEMA: i64 = 1;

const TABLES: &str = "
create table meta (key text primary key, value text not null) strict;
create table object (
    number integer primary key, kind text not null, id text not null unique, name text not null, scope text not null,
    live integer not null, parent text, doc text not null
) strict;
create unique index object_name on object (kind, scope, name);
create table job (number integer primary key, id text not null unique, intent text, doc text not null) strict;
";

pub(super) struct Database(Connection);

impl Database {
    pub(super) fn open(file: &Path) -> Result<(Self, State), Error> {
        let mut db = Connection::open(file)?;
        // The engine is alone with it, so its index of the log needs no file that others share. Written to through a
        // mapping, that file would end the engine (SIGBUS) where a full disk has no room for a page of it.
        db.pragma_update(None, "locking_mode", "exclusive")?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "full")?;
        // A few hundred kilobytes are enough for small rows; memory holds everything anyway.
        db.pragma_update(None, "cache_size", -512)?;
        let fresh = prepare(&mut db)?;
        let state = load(&db, fresh)?;
        Ok((Self(db), state))
    }

    pub(super) fn write(&mut self, writes: &[Write], next: u64) -> Result<(), Error> {
        let tx = self.0.transaction()?;
        for write in writes {
            one(&tx, write)?;
        }
        tx.prepare_cached("insert or replace into meta values ('next', ?1)")?
            .execute([next.to_string()])?;
        Ok(tx.commit()?)
    }
}

/// Whether somebody else holds the file.
pub(super) fn is_locked(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// Whether the tables had to be made.
fn prepare(db: &mut Connection) -> Result<bool, Error> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        SCHEMA => Ok(false),
        0 => {
            let tx = db.transaction()?;
            tx.execute_batch(TABLES)?;
            tx.execute(
                "insert into meta values ('system_uuid', ?1), ('next', '0')",
                [uuid()],
            )?;
            tx.pragma_update(None, "user_version", SCHEMA)?;
            tx.commit()?;
            Ok(true)
        }
        newer => Err(Error::Newer(newer)),
    }
}

fn one(tx: &Transaction<'_>, write: &Write) -> Result<(), Error> {
    match write {
        Write::Put(object) => {
            let live = object.phase == Phase::Live;
            let row = params![
                object.number,
                object.kind.key(),
                object.id,
                object.name,
                object.scope,
                live,
                object.parent,
                object.doc.to_string()
            ];
            // Not "or replace": that would delete another object of the same name.
            let sql = "insert into object values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) on conflict (number) do update set
                       name = excluded.name, scope = excluded.scope, live = excluded.live, parent = excluded.parent, doc = excluded.doc";
            tx.prepare_cached(sql)?.execute(row)?;
        }
        Write::Remove(number) => {
            tx.prepare_cached("delete from object where number = ?1")?
                .execute([number])?;
        }
        Write::Job(record) => {
            let intent = record.intent.as_ref().map(json).transpose()?;
            let row = params![record.number, record.job.id, intent, json(&record.job)?];
            tx.prepare_cached("insert or replace into job values (?1, ?2, ?3, ?4)")?
                .execute(row)?;
        }
        Write::ForgetJob(number) => {
            tx.prepare_cached("delete from job where number = ?1")?
                .execute([number])?;
        }
    }
    Ok(())
}

fn load(db: &Connection, fresh: bool) -> Result<State, Error> {
    let mut state = State {
        fresh,
        ..State::default()
    };
    let meta = |key: &str| {
        db.query_row("select value from meta where key = ?1", [key], |row| {
            row.get::<_, String>(0)
        })
        .optional()
    };
    state.system_uuid = meta("system_uuid")?.unwrap_or_default();
    let next = meta("next")?
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| Error::Damaged("no counter".to_owned()))?;
    let mut rows = db.prepare(
        "select number, kind, id, name, scope, live, parent, doc from object order by number",
    )?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, id, doc): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(7)?);
        state.apply_one(Write::Put(Object {
            number: row.get(0)?,
            kind: Kind::parse(&kind)
                .ok_or_else(|| Error::Damaged(format!("unknown kind {kind:?}")))?,
            doc: serde_json::from_str::<serde_json::Value>(&doc)
                .map_err(|_| Error::Damaged(format!("document of {id}")))?
                .into(),
            id,
            name: row.get(3)?,
            scope: row.get(4)?,
            phase: if row.get(5)? {
                Phase::Live
            } else {
                Phase::Creating
            },
            parent: row.get(6)?,
        }));
    }
    let mut rows = db.prepare("select number, id, intent, doc from job order by number")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, intent, doc): (String, Option<String>, String) =
            (row.get(1)?, row.get(2)?, row.get(3)?);
        let damaged = |_| Error::Damaged(format!("job {id}"));
        let intent = intent
            .map(|i| serde_json::from_str(&i))
            .transpose()
            .map_err(damaged)?;
        state.apply_one(Write::Job(Box::new(JobRecord {
            number: row.get(0)?,
            intent,
            job: serde_json::from_str(&doc).map_err(damaged)?,
        })));
    }
    state.next = next;
    Ok(state)
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| Error::Damaged(e.to_string()))
}

/// Version 4.
fn uuid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
