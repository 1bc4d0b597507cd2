# Everything goes through these targets; `make help` lists them.
PYTHON ?= python3
ENVIRONMENT := $(PYTHON) .ci/environment.py
# The environment of that Python: .venv, or another where .venv is another Python's. Only make's own words name
# another one: what a shell has exported as VENV is somebody's.
ifneq ($(origin VENV),command line)
VENV := $(shell $(ENVIRONMENT) folder 2>/dev/null)
endif
$(if $(word 2,$(VENV)),$(error VENV must be a path without blanks))
BIN := $(VENV)/bin
TARGETS ?= json grpc http1 http2
RUNS ?= 1000000
SEED ?= 20261121
COVERED := gateway/core gateway/http gateway/wire routing cache resilience
# Processes that run tests: `auto` is one a core, 0 none beside pytest itself. One that has nothing left to do takes
# tests from another. Many tests wait more than they compute, so on an idle machine a few more than cores may pay.
WORKERS ?= auto
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
FAST := $(addprefix tests/gateway/,core app http) tests/e2e/test_serve.py

.DEFAULT_GOAL := help
.PHONY: help setup redis nginx loaders demo test test-steps test-fast test-properties test-pythons test-install nightly fuzz check format bench conformance settings proto clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## create the environment and install the project with what its tests need
	@$(ENVIRONMENT) make "$(VENV)" cpu test

redis:
	@command -v redis-server >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing redis-server with apt"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null; \
	  fi; }
	@command -v redis-server >/dev/null || echo "no redis-server here and no right to install one: going on without L2"

nginx:
	@{ command -v nginx || test -x /usr/sbin/nginx; } >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing nginx with apt; no server of it is started"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light >/dev/null; \
	    service nginx stop >/dev/null 2>&1; update-rc.d nginx disable >/dev/null 2>&1; \
	  fi; }
	@{ command -v nginx || test -x /usr/sbin/nginx; } >/dev/null || echo "no nginx here and no right to install it: the table of framing goes without it"

loaders:
	@{ command -v wrk && command -v h2load; } >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing wrk and h2load with apt"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk nghttp2-client >/dev/null; \
	  fi; }
	@{ command -v wrk && command -v h2load; } >/dev/null || echo "no wrk or no h2load here and no right to install them: the cases that need them are skipped"

demo: setup redis ## run the whole job: three regions, a central tier, real clients, faults in the middle
	@$(BIN)/edgeway demo $(ARGS)

test: setup redis nginx ## run all tests but the long ones, with coverage; ARGS="-k word", WORKERS=4 (otherwise one a core)
	$(PYTEST) --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report --skip-covered --sort=cover | tail -n 25
	@failed=; for package in $(COVERED); do \
	  covered=$$($(BIN)/python -m coverage report --include="$$package/*" --format=total --precision=2 --fail-under=95) \
	    && verdict=good || { verdict="too little: at least 95 % are wanted"; failed=1; }; \
	  printf '%-16s %6s %%  %s\n' "$$package" "$${covered%%[!0-9.]*}" "$$verdict"; \
	done; test -z "$$failed"

test-steps: setup ## how long hostile requests hold the event loop, without what measures coverage
	$(PYTEST) tests/scenarios/test_loop_steps.py tests/scenarios/test_loop_steps_of_reads.py tests/scenarios/test_large_policy.py

test-fast: setup ## the core, the HTTP engine, the app, and one real process answering HTTP and gRPC
	$(PYTEST) $(FAST) $(ARGS)

# Files with properties (hypothesis), and what is marked `nightly`.
test-properties: setup redis
	$(PYTEST) --timeout 7200 -m 'not install' $$(grep -rlE '@given|RuleBasedStateMachine|mark.nightly' tests --include='test_*.py') $(ARGS)

test-pythons: ## `make test` with every Python here: PYTHONS="python3.12 /path/python3.14"; ARGS=--fast for `make test-fast`
	@$(PYTHON) tests/pythons.py $(PYTHONS) $(ARGS)

test-install: setup ## install Edgeway elsewhere as README.md tells, and use it; ARGS="-m 'install and not nightly'" for the quick ones
	$(PYTEST) -m install tests/install $(ARGS)

nightly: setup redis nginx loaders ## what takes long: many inputs, fuzzing, installing, figures, every Python; hours
	@.ci/nightly "$(PYTHON)"

fuzz: setup ## throw 10^6 inputs at each codec and connection: TARGETS="json grpc", RUNS, SEED
	@$(ENVIRONMENT) make "$(VENV)" fuzz
	@for target in $(TARGETS); do $(BIN)/python -m tests.fuzz $$target --runs $(RUNS) --seed $(SEED) || exit 1; done

check: setup ## ruff, mypy --strict, import contracts, size budgets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.14
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_names.py

format: setup ## let ruff mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup loaders ## measure in one run, as ratios; writes out/bench.json; ARGS=--list, ARGS="hits --quick"
	@$(ENVIRONMENT) make "$(VENV)" cpu bench
	$(BIN)/python -m loadtests.bench $(ARGS)

conformance: setup ## run the conformance suite against Edgeway, Triton, MLServer; writes docs/conformance.md
	$(BIN)/python -m loadtests.conformance $(ARGS)

settings: setup ## write docs/settings.md and docs/policy.md, every key, from the types
	$(BIN)/python -m gateway.config.reference > docs/settings.md
	$(BIN)/python -m gateway.config.policy_page docs/policies > docs/policy.md

SUITE := gateway/conformance/messages

proto: setup ## compile the protocol's definitions: ours, and the conformance suite's own
	$(BIN)/python -m grpc_tools.protoc -Igateway/wire/proto --include_imports --descriptor_set_out=gateway/wire/proto/open_inference.binpb $(wildcard gateway/wire/proto/*.proto)
	$(BIN)/python -m grpc_tools.protoc -I$(SUITE) --descriptor_set_out=$(SUITE)/oip.binpb $(wildcard $(SUITE)/*.proto)

clean: ## remove what the other targets made
	rm -rf .venv .venv-* .ci/.lock out build dist *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
