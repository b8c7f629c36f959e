# `make` lists what there is. Each target sets up what it needs and is quick the second time.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check test-long lock
BIN := .venv/bin

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: ## Install what the product needs into .venv
	@sh deploy/setup.sh runtime

demo: setup ## Build the demo centre and serve it
	@exec $(BIN)/releve demo

test: ## Install what the tests need, then run every check and test
	@sh deploy/setup.sh test
	@RELEVE_REQUIRE=all $(BIN)/python tests/support/run.py full

check: ## Format, lint, types, import contracts and the quick tests
	@sh deploy/setup.sh test
	@$(BIN)/python tests/support/run.py quick

test-long: ## The long profiles: 300 rounds of kill -9, long stress
	@sh deploy/setup.sh test
	@RELEVE_REQUIRE=all $(BIN)/python tests/support/run.py long

lock: ## Rewrite the hashed requirements from pyproject.toml
	@sh deploy/lock.sh
