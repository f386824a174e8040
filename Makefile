# Commands of the platform. Each variable reaches the shell as environment, never as text: what it holds is never run.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help check test demo down bench soak fuzz generate images install doctor-install create-env update-env refresh-env extend-env bookmark-env delete-env list-envs status validate template-env connect doctor vdb

# The running stack that the environments' commands work on. For `install` and `doctor-install`, which work on a cluster that is
# there already, CONTEXT names a context of the kubeconfig and has no default.
STATE := $(or $(VDB_STATE),/var/lib/postgres-vdb-platform)
ifeq ($(origin CONTEXT),undefined)
CONTEXT := $(STATE)/demo/context.env
CLUSTER = echo "name the cluster: make $@ CONTEXT=<a context of the kubeconfig>" >&2; exit 2
else
CLUSTER = :
endif
ifeq ($(origin VDB),undefined)
VDB := target/debug/vdb
endif

# `value` takes a variable as it was typed, without expanding what looks like a reference in it.
VARIABLES := ENV OWNER SOURCE SNAPSHOT DATABASE ROLE IMAGE CPU MEMORY INIT_SQL DESCRIPTION SET UNTIL FOR BOOKMARK DAYS YES PUSH FORCE WAIT DEADLINE KEY SQL PORT FILES CONTEXT VDB REGISTRY TAG BUILDER SETTINGS DRY_RUN SCHEDULES SEED SCALE IDLE
$(foreach variable,$(VARIABLES),$(if $(filter-out undefined,$(origin $(variable))),\
	$(eval override $(variable) := $$(value $(variable)))$(eval export $(variable))))
# Programs called from here see no definition of this command line.
MAKEOVERRIDES :=

# Loads the stack's settings, unless an installation of one's own is already in the environment, and becomes `vdb`.
RUN = if [ -z "$$VDB_REPO" ]; then \
	if [ -r "$$CONTEXT" ]; then set -a; . "$$CONTEXT"; set +a; \
	else echo "no stack is running ($$CONTEXT is missing): start one by 'make demo', or name another context.env by CONTEXT=" >&2; exit 1; fi; fi; \
	exec "$$VDB"
NAMED = if [ -z "$$ENV" ]; then echo "name the environment: make $@ ENV=feat-1" >&2; exit 2; fi
# What all changes of an environment take.
CHANGED = [ -z "$$DEADLINE" ] || set -- "$$@" "--deadline=$$DEADLINE"; \
	[ "$$PUSH" != 0 ] || set -- "$$@" --no-push; \
	[ "$$WAIT" != 0 ] || set -- "$$@" --no-wait; \
	set -- "$$@" -- "$$ENV"

# The operator's long checks: with an optimized operator, and an allocator that keeps what it gets back for the next object.
OPTIMIZED = GLIBC_TUNABLES=glibc.malloc.tcache_count=2000 cargo test --quiet --package operator --config profile.dev.package.operator.opt-level=3

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

## The platform

check: ## Format, lints, types, unit tests, charts; needs no stack
	@.ci/parts check

test: ## Everything: check, the portal's tests, all scenarios on a stack of its own
	@.ci/parts test

demo: ## Start the local platform, place one order, print addresses and logins
	@cargo build --quiet --package vdb-stack --package e2e --package vdb
	@target/debug/vdb-stack up --instance demo --portal --pages
	@target/debug/e2e --context "$$CONTEXT" demo

down: ## Stop the local platform
	@cargo run --quiet --package vdb-stack -- down --instance demo

bench: ## Measure rendering, lists, the operator with many databases (SCALE=1000), and on the running demo orders, clones and memory
	@.ci/parts bench
	@[ -r "$$CONTEXT" ] || { echo "SKIPPED the measurements on a stack: none is running (make demo)"; exit 0; }; \
	cargo run --quiet --package e2e -- --context "$$CONTEXT" bench

soak: ## A thousand seeds of orders with faults to the engine (SEEDS=), twenty with kills, a node that is lost, a target host and a hundred orders on the demo, the operator's model with two faults, a hundred thousand random schedules and ten thousand wrong orders (SCHEDULES=, MUTANTS=, SEED=)
	@SEEDS="$${SEEDS:-1000}" .ci/real-engine faults
	@if [ -r "$$CONTEXT" ]; then cargo run --quiet --package e2e -- --context "$$CONTEXT" kills --orders 20 --seed "$${SEED:-1}" && \
	cargo run --quiet --package e2e -- --context "$$CONTEXT" run long_ && \
	cargo run --quiet --package e2e -- --context "$$CONTEXT" bench --orders 100; \
	else echo "SKIPPED the measurement on a stack: none is running (make demo)"; fi
	@MODEL_FAULTS=2 $(OPTIMIZED) --test model -- case_2_creation_and_deletion case_3_refresh --nocapture 2>&1 | awk 'match($$0, /[a-z ]+, [0-9]+ faults: .*/) { print substr($$0, RSTART); n++ } /panicked|^ *[A-Z][A-Za-z]+:$$/ { print; bad = 1 } END { exit bad || n != 2 }'
	@SCHEDULES="$${SCHEDULES:-100000}" MUTANTS="$${MUTANTS:-10000}" $(OPTIMIZED) --test simulation -- random_schedules mutants --nocapture 2>&1 | awk '/^(seed |SEED=)/ { print; bad = 1 } /a second and core|^[0-9]+ mutants/ { print } /^[0-9]+ schedules, / { last = $$0 } END { print last; exit bad || last !~ /, 0 duplicates, 0 leaks$$/ }'

fuzz: ## Search for inputs that break something (fuzz/README.md): FUZZ_SECONDS=60 for each target
	@.ci/fuzz

generate: ## Write the generated files: CRD, JSON Schemas, OpenAPI, actions and their TypeScript, tables of docs/operations.md
	@UPDATE=1 cargo test --quiet --package operator --lib crd
	@UPDATE=1 cargo test --quiet --package vdb --test gitops generated
	@UPDATE=1 cargo test --quiet --package vdb --lib openapi
	@UPDATE=1 cargo test --quiet --package vdb --lib the_committed_list_of_actions
	@UPDATE=1 cargo test --quiet --package vdb --lib the_page_for_people
	@UPDATE=1 cargo test --quiet --package operator --lib the_page_for_people
	@if [ -d backstage/node_modules ]; then cd backstage && npm run --silent generate; \
	else echo "the portal's packages are missing, so schema.ts and listed.ts below backstage/plugins stay as they are" >&2; fi

## An installation

images: ## Build operator, sidecar and engine with Podman or Docker and push them: REGISTRY=, and TAG= BUILDER= PUSH=0
	@if [ -z "$$REGISTRY" ]; then echo "name the registry: make images REGISTRY=registry.example.com/platform" >&2; exit 2; fi; \
	builder=$${BUILDER:-$$(command -v podman || command -v docker || true)}; \
	if [ -z "$$builder" ]; then echo "there is neither podman nor docker; without them: vdb-stack images --to FOLDER (docs/install.md)" >&2; exit 2; fi; \
	version=$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1); \
	for name in operator sidecar engine; do \
		image="$${REGISTRY%/}/$$name:$${TAG:-$$version}"; \
		"$$builder" build --file Containerfile --target "$$name" --build-arg "VERSION=$${TAG:-$$version}" --tag "$$image" . || exit 1; \
		[ "$$PUSH" = 0 ] || "$$builder" push "$$image" || exit 1; \
	done

install: vdb ## Install into an existing cluster: CONTEXT=a context of the kubeconfig, REGISTRY=, and SETTINGS=install.yaml YES=1 DRY_RUN=1
	@$(CLUSTER); set -- install "--kube-context=$$CONTEXT"; \
	[ -z "$$REGISTRY" ] || set -- "$$@" "--registry=$$REGISTRY"; \
	[ -z "$$SETTINGS" ] || set -- "$$@" "--settings=$$SETTINGS"; \
	[ "$$YES" != 1 ] || set -- "$$@" --yes; \
	[ "$$DRY_RUN" != 1 ] || set -- "$$@" --dry-run; \
	exec "$$VDB" "$$@"

doctor-install: vdb ## Say what an installation lacks: CONTEXT=a context of the kubeconfig, REGISTRY=, and SETTINGS=install.yaml
	@$(CLUSTER); set -- doctor --install "--kube-context=$$CONTEXT"; \
	[ -z "$$REGISTRY" ] || set -- "$$@" "--registry=$$REGISTRY"; \
	[ -z "$$SETTINGS" ] || set -- "$$@" "--settings=$$SETTINGS"; \
	exec "$$VDB" "$$@"

## Environments

create-env: vdb ## Order an environment: ENV=, and OWNER= SOURCE= SNAPSHOT= DATABASE= ROLE= IMAGE= CPU= MEMORY= INIT_SQL=file WAIT=0 PUSH=0
	@$(NAMED); set -- env create; \
	[ -z "$$OWNER" ] || set -- "$$@" "--owner=$$OWNER"; \
	[ -z "$$SOURCE" ] || set -- "$$@" "--source=$$SOURCE"; \
	[ -z "$$SNAPSHOT" ] || set -- "$$@" "--snapshot-id=$$SNAPSHOT"; \
	[ -z "$$DATABASE" ] || set -- "$$@" "--database=$$DATABASE"; \
	[ -z "$$ROLE" ] || set -- "$$@" "--user=$$ROLE"; \
	[ -z "$$IMAGE" ] || set -- "$$@" "--image=$$IMAGE"; \
	[ -z "$$CPU" ] || set -- "$$@" "--cpu=$$CPU"; \
	[ -z "$$MEMORY" ] || set -- "$$@" "--memory=$$MEMORY"; \
	[ -z "$$INIT_SQL" ] || set -- "$$@" "--init-sql=$$INIT_SQL"; \
	[ -z "$$DESCRIPTION" ] || set -- "$$@" "--description=$$DESCRIPTION"; \
	[ -z "$$DEADLINE" ] || set -- "$$@" "--deadline=$$DEADLINE"; \
	[ "$$PUSH" != 0 ] || set -- "$$@" --no-push; \
	[ "$$WAIT" != 0 ] || set -- "$$@" --no-wait; \
	set -- "$$@" -- "$$ENV"; $(RUN) "$$@"

update-env: vdb ## Change an environment: ENV=, and IMAGE= CPU= MEMORY= SET="name=value name=value" WAIT=0 PUSH=0
	@$(NAMED); set -- env update; \
	[ -z "$$IMAGE" ] || set -- "$$@" "--image=$$IMAGE"; \
	[ -z "$$CPU" ] || set -- "$$@" "--cpu=$$CPU"; \
	[ -z "$$MEMORY" ] || set -- "$$@" "--memory=$$MEMORY"; \
	set -f; for setting in $$SET; do set -- "$$@" "--set=$$setting"; done; set +f; \
	$(CHANGED); $(RUN) "$$@"

refresh-env: vdb ## Get the data of the newest snapshot: ENV=, and WAIT=0 PUSH=0 DEADLINE=10m
	@$(NAMED); set -- env refresh; $(CHANGED); $(RUN) "$$@"

extend-env: vdb ## Let an environment expire later: ENV=, and UNTIL=2030-01-31T12:00:00Z or FOR=14d
	@$(NAMED); set -- env extend; \
	[ -z "$$UNTIL" ] || set -- "$$@" "--until=$$UNTIL"; \
	[ -z "$$FOR" ] || set -- "$$@" "--for=$$FOR"; \
	$(CHANGED); $(RUN) "$$@"

bookmark-env: vdb ## Keep the present data under a name: ENV=, BOOKMARK=, and KEY= where there are several databases, DAYS= DEADLINE=
	@$(NAMED); set -- env bookmark; \
	[ -z "$$BOOKMARK" ] || set -- "$$@" "--name=$$BOOKMARK"; \
	[ -z "$$KEY" ] || set -- "$$@" "--database=$$KEY"; \
	[ -z "$$DAYS" ] || set -- "$$@" "--days=$$DAYS"; \
	[ -z "$$DEADLINE" ] || set -- "$$@" "--deadline=$$DEADLINE"; \
	set -- "$$@" -- "$$ENV"; $(RUN) "$$@"

delete-env: vdb ## Delete an environment: ENV=, and YES=1 PUSH=0 WAIT=0 FORCE=1 DEADLINE=10m
	@$(NAMED); set -- env delete; \
	[ "$$YES" != 1 ] || set -- "$$@" --yes; \
	[ "$$PUSH" != 0 ] || set -- "$$@" --no-push; \
	[ "$$WAIT" != 0 ] || set -- "$$@" --no-wait; \
	[ "$$FORCE" != 1 ] || set -- "$$@" --force; \
	[ -z "$$DEADLINE" ] || set -- "$$@" "--deadline=$$DEADLINE"; \
	set -- "$$@" -- "$$ENV"; $(RUN) "$$@"

list-envs: vdb ## List the environments
	@$(RUN) env list

status: vdb ## Show one environment: ENV=
	@$(NAMED); $(RUN) env status -- "$$ENV"

validate: vdb ## Check values files: every environment of this checkout, or FILES="a b"
	@exec "$$VDB" validate $$FILES

template-env: vdb ## Render what Argo CD would apply: ENV=
	@$(NAMED); $(RUN) env template -- "$$ENV"

connect: vdb ## Open psql in a tunnel: ENV=, and KEY= where there are several databases, SQL= to run one statement
	@$(NAMED); set -- env connect; \
	[ -z "$$KEY" ] || set -- "$$@" "--database=$$KEY"; \
	[ -z "$$SQL" ] || set -- "$$@" "--command=$$SQL"; \
	[ -z "$$PORT" ] || set -- "$$@" "--port=$$PORT"; \
	set -- "$$@" -- "$$ENV"; $(RUN) "$$@"

doctor: vdb ## Look at the installation: what works, and what to do about the rest; ENV= for one environment, from Git to a query
	@set -- doctor; [ -z "$$ENV" ] || set -- "$$@" -- "$$ENV"; $(RUN) "$$@"

# The command line is built when it is this checkout's own.
vdb:
	@if [ "$$VDB" = target/debug/vdb ]; then cargo build --quiet --package vdb; fi
