//! Programs that stand in for PostgreSQL where a test is about the engine alone: a server that says that it is ready,
//! stops when told, and ends with its data. Beside its configuration, `rules` are those that it goes by. A test that has
//! a peer for it has it wait for that one's socket.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// As initdb of 16 has left it.
const CONTROL: &[u8] = include_bytes!("../../../crates/pgdata/tests/fixtures/pg_control-16");

const SERVER: &str = r#"#!/usr/bin/env -S --default-signal=HUP,INT,QUIT /bin/sh
case "$*" in
  *--version*) echo 'postgres (PostgreSQL) 16.9'; exit ;;
  *--single*) cat >"$4/login"; exit ;;
esac
[ "$1" = -D ] || exit 2
data=$2 home=$(dirname "${4#config_file=}") peer=
[ ! -e "$(dirname "$0")/peer" ] || peer=yes
rules() { cp "$home/pg_hba.conf" "$home/rules.new"; mv "$home/rules.new" "$home/rules"; }
rules
trap rules HUP
trap 'rm -f "$data/postmaster.pid"; exit' INT QUIT TERM
if [ -n "$peer" ]; then
  : >"$home/wanted"
  until ls "$home"/.s.PGSQL.* >/dev/null 2>&1; do sleep 0.02; done
fi
printf '%s\n\n\n\n\n\n\nready\n' $$ >"$data/postmaster.pid"
while [ -e "$data/postmaster.pid" ]; do sleep 0.02; done
"#;

const INITDB: &str = r#"#!/bin/sh
for data; do :; done
mkdir -p "$data/global"
echo 16 >"$data/PG_VERSION"
cp "$(dirname "$0")/pg_control" "$data/global/pg_control"
: >"$data/postgresql.conf"
: >"$data/postgresql.auto.conf"
"#;

/// A folder of programs.
pub(crate) fn programs(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("pg_control"), CONTROL).unwrap();
    for (name, text) in [("postgres", SERVER), ("initdb", INITDB)] {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// What a server looks for in its data.
pub(crate) fn cluster(data: &Path) {
    std::fs::create_dir_all(data.join("global")).unwrap();
    std::fs::write(data.join("global/pg_control"), CONTROL).unwrap();
    for name in ["postgresql.conf", "postgresql.auto.conf"] {
        std::fs::write(data.join(name), "").unwrap();
    }
}
