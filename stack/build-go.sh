#!/usr/bin/env bash
# Builds the stack's Go programs from the module proxy into the cache, each once per pin.
# usage: build-go.sh [MODULE...]     modules: kube coredns argocd gitea helm pause
# A module's key hashes its pins and this script, so a changed pin builds anew and an old build stays usable.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${VDB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postgres-vdb-platform}
# Build caches of their own: they are deleted after the build, and the user's own stay untouched.
export GOCACHE="$cache/go-build" GOMODCACHE="$cache/go-mod" GOFLAGS="-buildvcs=false -p=${VDB_BUILD_JOBS:-2} -modcacherw" GOTOOLCHAIN=local
export CGO_ENABLED=0

key() { cat "$here/build-go.sh" "$here/go/$1"/* | sha256sum | cut -c1-12; }
dir() { echo "$cache/go/$1-$(key "$1")"; }

# build MODULE BINARY PACKAGE LDFLAGS [go build flags...]
build() {
  local module=$1 binary=$2 package=$3 ldflags=$4 out start; shift 4
  out=$(dir "$module")
  [ -x "$out/$binary" ] && return 0
  mkdir -p "$out"
  start=$SECONDS
  (cd "$here/go/$module" && nice -n "${VDB_BUILD_NICE:-0}" go build -trimpath "$@" -ldflags "-s -w $ldflags" -o "$out/.$binary.tmp" "$package")
  mv "$out/.$binary.tmp" "$out/$binary"
  printf '  built %-26s %4ss\n' "$binary" $((SECONDS - start))
}

module() {
  case $1 in
    kube)
      local version=v1.34.4 ld="" package
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        ld="$ld -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=34 -X $package.gitTreeState=clean -X $package.gitCommit=$version -X $package.buildDate=1970-01-01T00:00:00Z"
      done
      build kube etcd go.etcd.io/etcd/server/v3 ""
      for package in kubectl kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
        build kube $package k8s.io/kubernetes/cmd/$package "$ld"
      done ;;
    coredns) build coredns coredns github.com/coredns/coredns "" ;;
    argocd)
      local p=github.com/argoproj/argo-cd/v3/common
      GODEBUG="tarinsecurepath=0,zipinsecurepath=0" build argocd argocd github.com/argoproj/argo-cd/v3/cmd \
        "-X $p.version=3.2.11 -X $p.gitTag=v3.2.11 -X $p.gitTreeState=clean -X $p.buildDate=1970-01-01T00:00:00Z" ;;
    gitea) CGO_ENABLED=1 build gitea gitea code.gitea.io/gitea "-X main.Version=1.26.0" -tags "sqlite sqlite_unlock_notify" ;;
    helm) build helm helm helm.sh/helm/v3/cmd/helm "-X helm.sh/helm/v3/internal/version.version=v3.22.0" ;;
    pause) build pause pause . "" ;;
    *) echo "build-go.sh: no module '$1'; known: kube coredns argocd gitea helm pause" >&2; exit 2 ;;
  esac
}

if [ "${1:-}" = --path ]; then dir "$2"; exit 0; fi
for m in "${@:-kube coredns argocd gitea helm pause}"; do for n in $m; do module "$n"; done; done
