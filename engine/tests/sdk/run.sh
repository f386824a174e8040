#!/bin/sh
# The vendor's own Python SDK, unmodified, in two releases, against an engine that serves a real PostgreSQL with TLS.
# Each release has an environment of its own in the cache, named by what it is pinned to.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${VDB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postgres-vdb-platform}
pythons=""
for pins in "$here"/requirements-*.txt; do
  home=$cache/sdk-$(sha256sum "$pins" | cut -c1-12)
  if [ ! -e "$home/complete" ]; then
    rm -rf "$home"
    python3 -m venv "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$pins"
    touch "$home/complete"
  fi
  pythons="$pythons:$home/bin/python"
done
VDB_TEST_SDK=${pythons#:} exec cargo test --quiet --package vdb-engine --test sdk -- --nocapture
