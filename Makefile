# The two that matter: `make up` brings a whole mesh up on this machine, `make test` runs every test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DIR    ?= .artemon
# Without compiled files every program that is started compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up down status install check test slow unit conformance e2e histories spellings truth-table million chaos golden pods property soak-rotation revocations fuzz fuzz-briefly bench-csr bench-registry bench-path bench-join bench proto clean reference deb image chart man lock fleet

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

up: $(VENV)/.runtime  ## bring the mesh and its sample up, and check it (REGISTRY=etcd or consul: on three members)
	@$(BIN)/meshctl up --demo --dir $(DIR) $(if $(REGISTRY),--registry $(REGISTRY))

down:  ## stop exactly what `make up` started
	@if [ -x $(BIN)/meshctl ]; then $(BIN)/meshctl down --dir $(DIR); else echo "nothing runs: not installed"; fi

status: $(VENV)/.runtime  ## repeat the checks
	@$(BIN)/meshctl status --dir $(DIR)

install: $(VENV)/.dev  ## environment, package, development tools

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "artemon needs Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) --version 2>&1); set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "cannot make $(VENV): on Debian and Ubuntu install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	@echo "installing artemon into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "installing artemon and its development tools into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

check: $(VENV)/.dev  ## formatting, lint, types, floors, quick unit tests (under a minute)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 -m "not ($(SLOW))" tests/unit

test: check slow conformance e2e fuzz-briefly  ## everything

SLOW := slow or envoy
slow: $(VENV)/.dev  ## the unit tests that take seconds, which `make check` leaves out
	$(BIN)/pytest -q -n 2 -m "$(SLOW)" tests/unit

unit: $(VENV)/.dev  ## unit tests alone, quick and slow
	$(BIN)/pytest -q -n 2 tests/unit

conformance: $(VENV)/.dev  ## the registry's contract on every backend
	$(BIN)/pytest -q -n 2 --dist loadfile tests/conformance

RUNS ?= 200
histories: $(VENV)/.dev  ## etcd and Consul under RUNS=200 histories of faults each, checked for contradictions
	ARTEMON_HISTORIES=$(RUNS) $(BIN)/pytest -q -rA tests/conformance/test_store_histories.py

e2e: $(VENV)/.dev  ## whole meshes of real processes
	$(BIN)/pytest -q tests/e2e

REQUESTS ?= 1000000
million: $(VENV)/.dev  ## REQUESTS=1000000 requests: counts of the client, both proxies and mixerd agree (half an hour)
	ARTEMON_REQUESTS=$(REQUESTS) $(BIN)/pytest -q -s --durations=1 tests/e2e/tasks/test_counts_agree.py

chaos: $(VENV)/.dev  ## faults by SEED for MINUTES, under load, on REGISTRY=etcd or consul: no request may fail
	$(BIN)/python tests/e2e/live/chaos.py --seed $(or $(SEED),1) --minutes $(or $(MINUTES),5) --registry $(or $(REGISTRY),etcd)

spellings: $(VENV)/.dev  ## every spelling of paths that should not get past policies, HTTP/1 and HTTP/2
	ARTEMON_SPELLINGS=all $(BIN)/pytest -q tests/conformance/test_policy_spellings.py

POLICIES ?= all
truth-table: $(VENV)/.dev  ## every field of AuthorizationPolicy, alone and with others, over every protocol (half an hour; POLICIES=n)
	ARTEMON_TRUTH_TABLE=$(POLICIES) $(BIN)/pytest -q $(addprefix tests/conformance/test_policy_,truth_table.py combinations.py proxyless.py)

golden: $(VENV)/.dev  ## rewrite the golden files; read the diff
	ARTEMON_GOLDEN=1 $(BIN)/pytest -q tests/unit -k golden

soak-rotation: $(VENV)/.dev  ## root rotations under load, MINUTES=15, leaves of 60 s, 8 proxies
	ARTEMON_SOAK_MINUTES=$(or $(MINUTES),15) $(BIN)/pytest -q -s --timeout 14400 tests/e2e/trust/test_root_rotation.py

ROUNDS ?= 20
revocations: $(VENV)/.dev  ## how fast ROUNDS=20 bans are in force on real proxies
	ARTEMON_REVOCATIONS=$(ROUNDS) $(BIN)/pytest -q -s --timeout 3600 tests/e2e/trust/test_revocation_speed.py

MACHINES ?= 5
fleet: $(VENV)/.dev  ## docs/tasks/ansible.md on MACHINES=5 (or 2) machines of systemd; needs root and etcd
	ARTEMON_FLEET=$(MACHINES) $(BIN)/pytest -q -s --durations=1 tests/fleet

pods: $(VENV)/.dev  ## injection of 10,000 random pods
	ARTEMON_RANDOM=1 ARTEMON_PODS=10000 $(BIN)/pytest -q --timeout 3600 tests/unit/inject/test_random_pods.py

reference: $(VENV)/.dev  ## write docs/reference/traffic.md anew
	$(BIN)/python tests/traffic_reference.py

property: $(VENV)/.dev  ## 5,000 objects that validation accepts, each judged by Envoy (many minutes)
	ARTEMON_EXAMPLES=5000 $(BIN)/pytest -q -s --durations=2 tests/conformance/test_envoy_takes_anything.py

fuzz-briefly: $(VENV)/.dev
	$(BIN)/pytest -q tests/fuzz

SECONDS_EACH ?= 600
fuzz: $(VENV)/.dev  ## every parser of foreign bytes for SECONDS_EACH=600 with atheris; findings lie in .fuzz/
	mkdir -p .fuzz && cd .fuzz && ../$(BIN)/python ../tests/fuzz/campaign.py all -max_total_time=$(SECONDS_EACH)

bench-csr: $(VENV)/.dev  ## certificates a second, and their latency under a flood of strangers
	$(BIN)/python -m bench.csr

bench-registry: $(VENV)/.dev  ## sync and latency of 10,000 workloads in the registries at URLS="etcd://... consul://..."
	$(BIN)/python -m bench.registry $(URLS)

bench-path: $(VENV)/.dev  ## 1 kB by both proxies, with metrics and without, against nginx alone; needs root, nginx, wrk
	$(BIN)/python -m bench.intercepted

bench-join: $(VENV)/.dev  ## how long a machine takes to join, and from power to serving; needs root and systemd
	$(BIN)/python -m bench.joining

bench: $(VENV)/.dev  ## figures of the control plane, as ratios
	$(BIN)/python -m bench

proto: $(VENV)/.dev  ## generate artemon/api/v1 from proto/
	PATH="$(CURDIR)/$(BIN):$$PATH" proto/generate.sh

deb: $(VENV)/.dev  ## Debian packages of the daemons and of the proxy, in dist/ (ARCHITECTURE=arm64: for that)
	$(BIN)/python deploy/deb/build.py --out dist $(if $(ARCHITECTURE),--architecture $(ARCHITECTURE))
	@if command -v lintian >/dev/null; then lintian --fail-on error,warning dist/artemon*.deb; else echo "not checked: no lintian here"; fi

image: $(VENV)/.dev  ## OCI image of everything, in dist/ (no Docker daemon, no root)
	$(BIN)/python deploy/image/build.py --out dist $(if $(ARCHITECTURE),--architecture $(ARCHITECTURE))

chart: $(VENV)/.dev  ## write the Helm chart in deploy/kubernetes anew
	$(BIN)/meshctl install --helm-chart deploy/kubernetes

man: $(VENV)/.dev  ## manual pages, in dist/man/
	$(BIN)/python deploy/deb/manpages.py dist/man

lock: $(VENV)/.dev  ## what the Debian packages carry: the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
	  pyproject.toml -o deploy/deb/requirements.lock

clean:  ## remove what was built (not a running mesh: `make down` first)
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
