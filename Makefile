# gameday: `make help` lists everything.
.DEFAULT_GOAL := help
.PHONY: help setup chaos-database chaos-service chaos-network chaos-pms chaos-logs chaos-node drills \
	drill-history game-day incident-detect incident-report incident-test incident-simulate \
	post-mortem on-call-schedule test test-docker test-docker-drills \
	test-docker-restart test-kubernetes test-kubernetes-drills test-drills test-all check bench \
	format image dist lock clean

TARGET ?= process
PARALLEL ?= 2
# a real Prometheus keeps its own time
SPEED ?= $(if $(filter process,$(TARGET)),10,1)
ENVIRONMENT ?= $(if $(filter process,$(TARGET)),hotel-local,hotel-$(TARGET))
REPORTS ?= reports
GAMEDAY ?= hotel-quarterly
IMAGE ?= gameday/runner:latest
# which cluster: found once, and never followed when it changes
ifeq ($(TARGET),kubernetes)
export CONTEXT ?= $(shell kubectl config current-context 2>/dev/null)
endif
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-stamp
DEV_STAMP := $(VENV)/.dev-stamp
DRILL := $(BIN)/gameday run --yes --up --environment $(ENVIRONMENT)
BATCH := $(DRILL) --speed $(SPEED) --parallel $(PARALLEL)
NETWORK := network-partition-api-database network-partition-api-cache network-partition-api-pms \
	network-delay network-loss
PMS := pms-failure pms-timeout pms-unauthorized pms-rate-limited pms-bad-payload
LOGS := log-flood log-flood-database-down

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-23s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  TARGET=docker  drill the hotel in Docker, watched by a real Prometheus (needs a Docker engine);'
	@echo '                 RULES=shortened starts it with rules that fire ten times sooner'
	@echo '  TARGET=kubernetes  drill the hotel in a cluster: KUBECONFIG and CONTEXT say which, and LOAD_IMAGE how an'
	@echo '                 image gets there, such as LOAD_IMAGE="kind load docker-image"'
	@echo '  SPEED=N        rehearse N times faster (now $(SPEED)); SPEED=1 keeps the rules, budgets and'
	@echo '                 objectives as they are written'
	@echo '  PARALLEL=N     run N of several drills at once (now $(PARALLEL))'
	@echo '  SCENARIO=S     incident-simulate: this incident, without asking'
	@echo '  GAMEDAY=G      game-day: this one of gamedays/ (now $(GAMEDAY))'
	@echo '  ENVIRONMENT=E  drill another environment, or another instance: hotel-local@second'

setup: $(DEV_STAMP) ## Make .venv with everything that tests and drills need

chaos-database: $(RUN_STAMP) ## Drill: PostgreSQL dies under load; live, ends in a verdict and a report
	@$(DRILL) --speed $(SPEED) database-down

chaos-service: $(RUN_STAMP) ## Drill: the API dies and stays down, the SEV1 fire drill; live, with verdict and report
	@$(DRILL) --speed $(SPEED) service-down

chaos-network: $(RUN_STAMP) ## Drills: the network is cut, slow or loses packets; with one summary
	@$(BATCH) $(NETWORK)

chaos-pms: $(RUN_STAMP) ## Drills: the PMS fails, hangs, refuses, limits or answers nonsense; with one summary
	@$(BATCH) $(PMS)

chaos-logs: $(RUN_STAMP) ## Drills: a flood of log lines, alone and while the database is down; with one summary
	@$(BATCH) $(LOGS)

chaos-node: $(RUN_STAMP) ## Drill: the node below the API is drained; with TARGET=kubernetes, on a cluster of one node
	@$(DRILL) --speed $(SPEED) node-drain

drills: $(RUN_STAMP) ## All drills, PARALLEL at once, with one summary
	@$(BATCH) scenarios/*.yaml

drill-history: $(RUN_STAMP) ## One page of all drills: trends, goals, heat map, coverage; FORM=markdown, csv or json
	@$(BIN)/gameday history page --form $(or $(FORM),html)

incident-detect: $(RUN_STAMP) ## Evaluate the alert rules once; exit code 1 when an alert fires
	@$(BIN)/gameday detect --once --up --environment $(ENVIRONMENT) --report $(REPORTS)/detect.json

incident-report: $(RUN_STAMP) ## Show the latest drill, and the incident that it is where it failed
	@$(BIN)/gameday incident report latest

post-mortem: $(RUN_STAMP) ## Draft the post-mortem of an incident: INCIDENT=, TITLE=, or what it asks for
	@GAMEDAY_INCIDENT="$$INCIDENT" GAMEDAY_TITLE="$$TITLE" $(BIN)/gameday incident post-mortem

on-call-schedule: $(RUN_STAMP) ## Who is on call now and in the next weeks, and whom the escalation reaches when
	@$(BIN)/gameday on-call

incident-test: $(DEV_STAMP) ## Test detection: scenarios compile and are valid, runbooks lint, tests of the rules
	$(BIN)/gameday compile --check
	$(BIN)/gameday validate scenarios environments runbooks schedules on-call gamedays
	$(BIN)/gameday runbook lint --environment $(ENVIRONMENT)
	$(BIN)/pytest -n 2 --dist loadgroup --junit-xml $(REPORTS)/incident-test.xml tests/detectors tests/hotel/test_rules.py; \
		code=$$?; echo 'Report: $(REPORTS)/incident-test.xml'; exit $$code

incident-simulate: $(RUN_STAMP) ## Choose an incident from a menu (or SCENARIO=) and watch it, with verdict and report
	@$(BIN)/gameday simulate --environment $(ENVIRONMENT) --speed $(SPEED) $(SCENARIO)

game-day: $(RUN_STAMP) ## Game day GAMEDAY: go or no-go, drill after drill, one report; without a terminal its file answers
	@$(BIN)/gameday gameday run $(GAMEDAY) --up --environment $(ENVIRONMENT) --speed $(SPEED) \
		$$(test -t 0 || echo --yes)

test: $(DEV_STAMP) ## Run the tests (all but those marked docker, kubernetes, long or catalogue)
	$(BIN)/pytest -m 'not long and not catalogue and not docker and not kubernetes' -n 2 --dist loadgroup

test-docker: $(DEV_STAMP) ## Run the tests that need a Docker engine (all but those marked long or catalogue)
	$(BIN)/pytest -m 'docker and not kubernetes and not long and not catalogue and not engine_restart' -n 3 --dist loadgroup --timeout 600

test-docker-drills: $(DEV_STAMP) ## Run shipped drills in Docker, one of each kind; 5 minutes, nothing beside it
	$(BIN)/pytest -m 'docker and catalogue and not kubernetes and not long' -n 2 --dist loadgroup --timeout 1200

test-docker-restart: $(DEV_STAMP) ## Run the tests that restart the engine, by the command in GAMEDAY_RESTART_ENGINE
	$(BIN)/pytest -m engine_restart --timeout 600

test-kubernetes: $(DEV_STAMP) ## Run the tests that need a Kubernetes cluster: KUBECONFIG, CONTEXT, LOAD_IMAGE
	$(BIN)/pytest -m 'kubernetes and not long and not catalogue and not alone' -n 3 --dist loadgroup --timeout 600
	$(BIN)/pytest -m 'kubernetes and alone and not long' --timeout 600

test-kubernetes-drills: $(DEV_STAMP) ## Run shipped drills in Kubernetes, one of each kind; 5 minutes, nothing beside it
	$(BIN)/pytest -m 'kubernetes and catalogue and not long' --timeout 1200

test-drills: $(DEV_STAMP) ## Run shipped drills of each kind: as they are, with an idle runbook, disarmed; 11 minutes
	$(BIN)/pytest -m 'catalogue and not long and not docker and not kubernetes' -n 2 --dist loadgroup

test-all: $(DEV_STAMP) ## Run the tests, the long ones too: 50 kills, drills at the seeds' real figures
	$(BIN)/pytest -n 2 --dist loadgroup --timeout 2400

check: $(DEV_STAMP) ## What a contributor runs: format, lint, types, imports, experiments, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/gameday compile --check
	$(BIN)/gameday validate scenarios environments runbooks schedules on-call gamedays
	$(MAKE) test

bench: $(DEV_STAMP) ## Measure, as ratios against a yardstick in the same run; writes reports/bench.json
	$(BIN)/python -m bench

format: $(DEV_STAMP) ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

image: ## Build the image of the runner, IMAGE, for drills inside a cluster
	docker build --target runner --file src/gameday/targets/docker/image/Dockerfile \
		--build-arg REQUIREMENTS=requirements/image.lock --tag $(IMAGE) .

dist: $(DEV_STAMP) ## Build the wheel and the sdist into dist/, and the image IMAGE where a Docker engine answers
	rm -rf dist
	$(BIN)/python -m hatchling build
	@if docker info >/dev/null 2>&1; then $(MAKE) image; else echo 'no Docker engine answers: no image was built'; fi

lock: $(DEV_STAMP) ## Resolve the dependencies anew into requirements/
	tools/lock.sh

clean: ## Remove .venv and caches; environments must be down (gameday env down)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(RUN_STAMP): requirements/run.lock pyproject.toml tools/setup.sh
	@tools/setup.sh $(VENV) requirements/run.lock
	@touch $@

$(DEV_STAMP): requirements/dev.lock pyproject.toml tools/setup.sh
	@tools/setup.sh $(VENV) requirements/dev.lock
	@touch $@ $(RUN_STAMP)
