# The doors of the project. `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.installed

.PHONY: help setup demo test check prove bench generate lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install what the project needs: programs by apt where possible, Python packages into .venv
	@PYTHON=$(PYTHON) ./.ci/programs

$(STAMP): requirements.lock pyproject.toml
	@PYTHON=$(PYTHON) ./.ci/python $(VENV)
	@touch $@

demo: setup ## run exporter, Prometheus and Alertmanager on made-up traffic of a migration
	@$(BIN)/llm-migration-exporter demo $(DEMO_FLAGS)

test: setup ## run all tests
	@$(BIN)/pytest $(TEST_FLAGS)

check: setup ## lint, types, layers, generated files, rules, Alertmanager configuration
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/llm-migration-exporter check migration.yaml
	$(BIN)/llm-migration-exporter generate --check
	promtool check config rules/prometheus.yml
	promtool check rules --lint=all --lint-fatal rules/recording.yml rules/alerts.yml
	cd rules/tests && promtool test rules *.yml
	amtool check-config alertmanager/alertmanager.yml
	$(BIN)/pytest -q tests/unit/bundle tests/unit/test_documents.py -k 'not promtool_cases'

prove: setup ## run the long proofs in full
	LLM_MIGRATION_PROOF=full $(BIN)/pytest -m proof $(TEST_FLAGS)

bench: setup ## measure speed against baselines of the same run
	$(BIN)/python -m tests.bench

generate: setup ## write rules, dashboards, Alertmanager and scrape configuration from migration.yaml
	@$(BIN)/llm-migration-exporter generate

lock: $(STAMP) ## resolve the dependencies anew into requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --extra test --extra bench --python-version 3.11 pyproject.toml -o requirements.lock
