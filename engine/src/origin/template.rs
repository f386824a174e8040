//! From a base backup to a template: recovered once, here, so that no copy ever has to; and harmless. A copy of a moment
//! between backups is made in the same way, recovered further.
//!
//! The server runs on a private socket with a configuration of its own outside the data directory; nothing that the
//! source configured is used. It becomes a timeline of its own, so that it cannot be taken for the source.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pgdata::{Control, State, conf, harmless, sql};
use rustix::process::Signal;

use crate::origin::psql::Psql;
use crate::origin::superuser::Superuser;
use crate::origin::{DataPoint, Error, Location, files};
use crate::settings::SourceSettings;
use crate::{process, processes};

/// Replaying what was written during a long backup of a busy source takes its time.
const RECOVERY_DEADLINE: Duration = Duration::from_hours(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const ASK_EVERY: Duration = Duration::from_millis(50);
/// On a full disk a server may be ready and unable to write that down.
const ASK_AT_LATEST: Duration = Duration::from_secs(1);
/// The last checkpoint is done before, so that this takes moments.
const STOP_DEADLINE: Duration = Duration::from_mins(5);

/// Whether it still recovers, and the role that strips secrets: the one initdb made, if it may still log in.
const SUPERUSER: &str = "select pg_is_in_recovery(), \
    (select rolname from pg_roles where rolsuper and rolcanlogin order by oid <> 10, oid limit 1)";
const DATABASES: &str = "select datname, datallowconn from pg_database where datname <> 'template0' and datconnlimit <> -2 order by oid";
/// What was recovered of the source's own log, before this server wrote its own.
const POINT: &str = "select coalesce(to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), ''), \
    coalesce(pg_last_wal_replay_lsn(), pg_current_wal_lsn())";

/// Taken-away secrets stay in the files as dead rows until the catalogs are written anew.
const FORGET_SHARED: [&str; 2] = [
    "vacuum full pg_catalog.pg_authid",
    "vacuum full pg_catalog.pg_subscription",
];
const FORGET_DATABASE: &str = "vacuum full pg_catalog.pg_user_mapping";
/// A new segment first, so that the one with the source's last writes is no longer needed.
const LEAVE: [&str; 2] = ["select pg_switch_wal()", "checkpoint"];

pub(super) struct Programs<'a> {
    pub(super) server_bin: &'a Path,
    pub(super) client_bin: &'a Path,
}

/// How far a backup is recovered.
#[derive(Clone, Copy)]
pub(super) enum Stop<'a> {
    /// As soon as it is whole.
    Consistent,
    /// With the record at this place, from a directory of segments. A place rather than a time: the server refuses a
    /// time that no later commit follows, and the place of the last commit wanted is known.
    At {
        wal: &'a Path,
        /// Of one segment, in bytes.
        size: u64,
        to: Location,
    },
}

pub(super) fn make(
    programs: &Programs<'_>,
    source: &SourceSettings,
    data: &Path,
    scratch: &Path,
    stop: Stop<'_>,
) -> Result<DataPoint, Error> {
    let gone = files("sweep", data, harmless::sweep(data))?;
    tracing::info!(data = %data.display(), ?gone, "swept");
    let control = Control::read(data)?;
    configure(&control, data, scratch, stop)?;
    let mut server = Server::start(programs, data, scratch)?;
    let worked = strip(programs, source, &mut server, data, scratch);
    // Stopped in any case: a server left behind would hold the directory.
    let stopped = server.stop(if worked.is_ok() {
        Signal::INT
    } else {
        Signal::QUIT
    });
    let point = worked?;
    stopped?;
    let gone = files("sweep", data, harmless::sweep(data))?;
    tracing::debug!(?gone, "swept after recovery");
    let control = Control::read(data)?;
    if control.state != State::ShutDown {
        return Err(Error::Unfit(format!(
            "the template was left {}",
            control.state
        )));
    }
    if let Stop::At { to, .. } = stop
        && point
            .location
            .parse::<Location>()
            .is_ok_and(|reached| reached <= to)
    {
        return Err(Error::Unfit(format!(
            "the log was replayed to {} only, not to {to}",
            point.location
        )));
    }
    Ok(point)
}

fn configure(control: &Control, data: &Path, scratch: &Path, stop: Stop<'_>) -> Result<(), Error> {
    let path = |name: &str| scratch.join(name).to_string_lossy().into_owned();
    let mut text =
        String::from("# Recovers a base backup on a private socket, and nothing else.\n");
    let own = [
        ("data_directory", data.to_string_lossy().into_owned()),
        ("hba_file", path("pg_hba.conf")),
        ("ident_file", path("pg_ident.conf")),
        (
            "unix_socket_directories",
            scratch.to_string_lossy().into_owned(),
        ),
    ];
    let fixed = [
        ("listen_addresses", ""),
        ("port", "5432"),
        ("recovery_target_action", "promote"),
        ("recovery_target_timeline", "current"),
        ("hot_standby", "off"),
        // One that broke down is of no use any more; told to stop while it begins anew, it may stay for ever.
        ("restart_after_crash", "off"),
        ("archive_mode", "off"),
        ("wal_level", "replica"),
        ("shared_preload_libraries", ""),
        ("session_preload_libraries", ""),
        ("local_preload_libraries", ""),
        ("max_logical_replication_workers", "0"),
        ("autovacuum", "off"),
        // The source's WAL goes at the checkpoints instead of lying in every copy.
        ("wal_recycle", "off"),
        ("min_wal_size", "32MB"),
        ("max_wal_size", "1GB"),
        ("huge_pages", "off"),
        ("jit", "off"),
        ("logging_collector", "off"),
        ("log_statement", "none"),
        ("timezone", "UTC"),
        ("ssl", "off"),
    ];
    let limits = control
        .limits
        .settings()
        .map(|(name, value)| (name, value.to_string()));
    let all = own
        .into_iter()
        .chain(fixed.map(|(n, v)| (n, v.to_owned())))
        .chain(target(stop))
        .chain(one_sync(data)?)
        .chain(limits);
    let lines = conf::write(all)
        .ok_or_else(|| Error::Unfit("a path of the pool holds a control character".to_owned()))?;
    text.write_str(&lines).expect("writing to a string");
    // No password: the directory of the socket is closed to everybody else.
    for (name, text) in [
        ("postgresql.conf", text.as_str()),
        ("pg_hba.conf", "local all all trust\n"),
        ("pg_ident.conf", ""),
    ] {
        let path = scratch.join(name);
        files("write", &path, fs::write(&path, text))?;
    }
    let signal = data.join("recovery.signal");
    files("write", &signal, fs::write(&signal, ""))
}

/// Before it recovers, a server syncs every file by itself. All at once takes less where there are many, and the pool is
/// flushed anyway before anybody uses what was recovered. Older servers know no other way.
fn one_sync(data: &Path) -> Result<Option<(&'static str, String)>, Error> {
    let major = pgdata::version::major(data).map_err(|e| Error::Unfit(e.to_string()))?;
    Ok((major >= 14).then(|| ("recovery_init_sync_method", "syncfs".to_owned())))
}

fn target(stop: Stop<'_>) -> Vec<(&'static str, String)> {
    match stop {
        Stop::Consistent => vec![
            // pg_wal holds all that is needed; this only satisfies the server that wants a command.
            ("restore_command", "false".to_owned()),
            ("recovery_target", "immediate".to_owned()),
            ("shared_buffers", "16MB".to_owned()),
        ],
        Stop::At { wal, size, to } => vec![
            ("restore_command", restore(wal, size)),
            ("recovery_target_lsn", to.to_string()),
            ("recovery_target_inclusive", "on".to_owned()),
            ("shared_buffers", "128MB".to_owned()),
        ],
    }
}

/// Copies a segment of the archive, also one that is still being received: its name may change right now, and a server
/// takes no file that is not of the full length yet. Histories of timelines have another name and are not padded.
fn restore(wal: &Path, size: u64) -> String {
    let wal = wal.to_string_lossy();
    let wal = wal.replace('\'', r"'\''").replace('%', "%%");
    format!(
        "case %f in *.*) cp '{wal}/%f' \"%p\" 2>/dev/null; exit;; esac; \
         for f in %f %f.partial %f; do cp '{wal}/'\"$f\" \"%p\" 2>/dev/null && truncate -s {size} \"%p\" && exit 0; done; exit 1"
    )
}

fn strip(
    programs: &Programs<'_>,
    source: &SourceSettings,
    server: &mut Server<'_>,
    data: &Path,
    scratch: &Path,
) -> Result<DataPoint, Error> {
    let (database, admin) = server.wait(source)?;
    if admin.is_empty() {
        let none = "no superuser of the source may log in; one with LOGIN is needed";
        return Err(Error::Unfit(none.to_owned()));
    }
    let as_admin = |database: &str| Psql::socket(programs.client_bin, scratch, &admin, database);
    let psql = as_admin(&database);
    let [passwords, subscriptions] = sql::strip_shared();
    let [roles, own] = FORGET_SHARED;
    let databases = psql.all(&[passwords, subscriptions, roles, own, DATABASES])?;
    for row in databases {
        let [name, open] = <[String; 2]>::try_from(row)
            .map_err(|_| Error::Unfit("the list of databases cannot be read".to_owned()))?;
        let alter = |allowed: bool| {
            format!(
                "alter database {} with allow_connections {allowed}",
                sql::identifier(&name)
            )
        };
        if open != "t" {
            psql.rows(&alter(true))?;
        }
        as_admin(&name).all(&[sql::strip_database(), FORGET_DATABASE])?;
        if open != "t" {
            psql.rows(&alter(false))?;
        }
    }
    let root = data.parent().unwrap_or(data);
    let superuser = Superuser {
        role: admin.clone(),
        database: source.database.clone(),
    };
    superuser.write(root)?;
    let [switch, checkpoint] = LEAVE;
    let point = psql.all(&[POINT, switch, checkpoint])?.into_iter().next();
    let point = point.and_then(|row| <[String; 2]>::try_from(row).ok());
    let [timestamp, location] = point
        .ok_or_else(|| Error::Unfit("the server does not say what it recovered".to_owned()))?;
    Ok(DataPoint {
        timestamp: Some(timestamp).filter(|t| !t.is_empty()),
        location,
    })
}

struct Server<'a> {
    programs: &'a Programs<'a>,
    scratch: &'a Path,
    data: &'a Path,
    child: Child,
}

impl<'a> Server<'a> {
    fn start(programs: &'a Programs<'a>, data: &'a Path, scratch: &'a Path) -> Result<Self, Error> {
        let log = scratch.join("server.log");
        let log = files("write", &log, fs::File::create(&log))?;
        let again = files("write", scratch, log.try_clone())?;
        let program = programs.server_bin.join("postgres");
        let mut command = process::command(&program);
        command.arg("-D").arg(data).arg("-c").arg(format!(
            "config_file={}",
            scratch.join("postgresql.conf").display()
        ));
        command.stdout(Stdio::from(again)).stderr(Stdio::from(log));
        let child = command
            .spawn()
            .map_err(|source| process::Error::Start { program, source })?;
        Ok(Self {
            programs,
            scratch,
            data,
            child,
        })
    }

    /// Until it is no longer in recovery. Returns a database that can be connected to, and who may do everything there.
    fn wait(&mut self, source: &SourceSettings) -> Result<(String, String), Error> {
        let begun = Instant::now();
        let mut asked = None;
        loop {
            let ready = processes::is_ready(self.data, self.child.id());
            let pause = if ready { ASK_EVERY } else { ASK_AT_LATEST };
            let asks = ready && asked.is_none() || asked.unwrap_or(begun).elapsed() > pause;
            let databases = [source.database.as_str(), "postgres", "template1"];
            for database in databases.into_iter().filter(|_| asks) {
                asked = Some(Instant::now());
                let (client, user) = (self.programs.client_bin, &source.user);
                let psql = Psql::socket(client, self.scratch, user, database).plain();
                let row = psql.rows(SUPERUSER).unwrap_or_default().into_iter().next();
                let row = row.and_then(|row| <[String; 2]>::try_from(row).ok());
                if let Some([recovers, admin]) = row
                    && recovers == "f"
                {
                    return Ok((database.to_owned(), admin));
                }
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::Server(format!("{status}: {}", self.log())));
            }
            if begun.elapsed() > RECOVERY_DEADLINE {
                return Err(Error::Server(format!(
                    "recovery was not over after an hour: {}",
                    self.log()
                )));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Its process is asked, not its files: on a full disk these may stay after its end.
    fn stop(mut self, how: Signal) -> Result<(), Error> {
        match process::end(&mut self.child, how, STOP_DEADLINE) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Error::Server(format!("{status}: {}", self.log()))),
            None => Err(Error::Server(format!("it does not stop: {}", self.log()))),
        }
    }

    fn log(&self) -> String {
        process::tail(&fs::read_to_string(self.scratch.join("server.log")).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_has_ended_is_not_waited_for_whatever_files_it_leaves() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("postgres");
        let script = "#!/usr/bin/env -S --default-signal=INT /bin/sh\ntrap 'exit '$(cat \"$2/status\") INT\necho $$ > \"$2/postmaster.pid\"\nwhile :; do sleep 0.01; done\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let programs = Programs {
            server_bin: dir.path(),
            client_bin: dir.path(),
        };
        for (status, stops) in [("0", true), ("1", false)] {
            fs::write(dir.path().join("status"), status).unwrap();
            let server = Server::start(&programs, dir.path(), dir.path()).unwrap();
            let file = dir.path().join("postmaster.pid");
            let own = format!("{}\n", server.child.id());
            let begun = Instant::now();
            while fs::read_to_string(&file).unwrap_or_default() != own {
                assert!(begun.elapsed() < Duration::from_secs(30), "it never runs");
            }
            assert_eq!(server.stop(Signal::INT).is_ok(), stops);
            assert!(file.exists());
        }
    }

    #[test]
    fn an_archive_with_an_odd_path_is_restored_from() {
        let dir = tempfile::tempdir().unwrap();
        let wal = dir.path().join("it's 100% odd");
        fs::create_dir(&wal).unwrap();
        fs::write(wal.join("A.partial"), "received so far").unwrap();
        let into = dir.path().join("into");
        let run = |file: &str| {
            let line = restore(&wal, 20)
                .replace("%%", "\u{1}")
                .replace("%f", file)
                .replace("%p", &into.to_string_lossy())
                .replace('\u{1}', "%");
            let mut command = std::process::Command::new("sh");
            command.arg("-c").arg(line).status().unwrap().success()
        };
        assert!(run("A"));
        let restored = fs::read_to_string(&into).unwrap();
        assert_eq!(restored, "received so far\0\0\0\0\0");
        assert!(!run("B") && !run("00000002.history"));
        fs::write(wal.join("00000002.history"), "short").unwrap();
        assert!(run("00000002.history"));
        assert_eq!(fs::read_to_string(&into).unwrap(), "short");
    }
}
