#!/bin/sh
# Makes the source's data directory once: generate.sh ROOT DATA FOLDER
# ROOT is the PostgreSQL root folder, DATA the empty data directory, FOLDER holds the SQL files.
# Run in a mount namespace of its own: what it mounts ends with it.
set -eu
root=$1 data=$2 folder=$3
chown 999:999 "$data"
chmod 700 "$data"
mount --bind "$root" "$root"
mount --bind "$data" "$root/var/lib/postgresql/data"
mount --bind "$folder" "$root/mnt"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
as() { chroot --userspec=999:999 "$root" env -i LANG=C.UTF-8 PGHOST=/tmp PGUSER=postgres PATH=/usr/lib/postgresql/16/bin:/usr/lib/postgresql/17/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data "$@"; }
sql() { as psql -q -X -v ON_ERROR_STOP=1 "$@"; }

as initdb --username=postgres --encoding=UTF8 --locale=en_US.UTF-8 --auth-local=trust --auth-host=scram-sha-256
# Nothing is lost when a generation breaks: the folder is thrown away.
as pg_ctl -w -s -o "-k /tmp -c listen_addresses='' -c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c shared_buffers=512MB -c max_wal_size=8GB -c wal_recycle=off -c maintenance_work_mem=256MB -c autovacuum=off" start
stop() { as pg_ctl -w -s -m fast stop; }
trap 'stop || true' EXIT
sql -d postgres -f /mnt/schema.sql
sql -d largedb -f /mnt/items.sql & items=$!
sql -d largedb -f /mnt/orders.sql
wait "$items"
sql -d largedb -f /mnt/items-indexes.sql & items=$!
sql -d largedb -f /mnt/orders-indexes.sql
wait "$items"
sql -d largedb -f /mnt/finish.sql
sql -d largedb -Atc "select 'largedb: ' || pg_size_pretty(pg_database_size('largedb'))"
stop
trap - EXIT
