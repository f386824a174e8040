#!/usr/bin/env bash
# Builds the charts' tools from the module proxy into the cache, each once per pin: Helm 4, beside the stack's own Helm 3, and helm-unittest.
# usage: build.sh [TOOL...]     tools: helm4 unittest       build.sh --path TOOL prints the folder of one
# Apart from stack/build-go.sh, whose text is part of its programs' keys: a change there would build Kubernetes anew.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${VDB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postgres-vdb-platform}
export GOCACHE="$cache/go-build" GOMODCACHE="$cache/go-mod" GOFLAGS="-buildvcs=false -p=${VDB_BUILD_JOBS:-2} -modcacherw" GOTOOLCHAIN=local
export CGO_ENABLED=0

dir() { echo "$cache/go/$1-$(cat "$here/build.sh" "$here/$1"/* | sha256sum | cut -c1-12)"; }

# build TOOL BINARY PACKAGE LDFLAGS
build() {
  local out start=$SECONDS
  out=$(dir "$1")
  [ -x "$out/$2" ] && return 0
  mkdir -p "$out"
  (cd "$here/$1" && nice -n "${VDB_BUILD_NICE:-0}" go build -trimpath -ldflags "-s -w $4" -o "$out/.$2.tmp" "$3")
  mv "$out/.$2.tmp" "$out/$2"
  printf '  built %-26s %4ss\n' "$2" $((SECONDS - start))
}

tool() {
  case $1 in
    helm4) build helm4 helm helm.sh/helm/v4/cmd/helm "-X helm.sh/helm/v4/internal/version.version=v4.3.1" ;;
    unittest) build unittest untt github.com/helm-unittest/helm-unittest/cmd/helm-unittest "" ;;
    *) echo "build.sh: no tool '$1'; known: helm4 unittest" >&2; exit 2 ;;
  esac
}

if [ "${1:-}" = --path ]; then dir "$2"; exit 0; fi
for t in "${@:-helm4 unittest}"; do for n in $t; do tool "$n"; done; done
