# `make run` and `make test` need git, make and Python 3.11 with venv, and no root; everything else is fetched on the way.
.NOTPARALLEL:
.PHONY: help run test lint contract conformance fuzz soak bench docs-pages setup setup-node clean

UV := ./.ci/uv
BIN := .venv/bin
ARGS ?=

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 14

run: ## start hermes with the platforms' stand-ins; prints what to do next
	@$(UV) sync --quiet --frozen --no-dev --inexact
	@exec $(BIN)/hermes serve --sandbox $(ARGS)

test: setup ## the tests, on SQLite and the embedded Valkey (ARGS="-k name" for some of them)
	$(BIN)/pytest $(ARGS)

setup: ## the environment for development, in .venv
	@$(UV) sync --quiet --frozen

setup-node: ## the Node programs that tests in a browser and with other clients use, in .tools/node
	@./.ci/node

lint: setup ## style, types, and which room may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py benchmarks/subjects.d/*.py
	$(BIN)/lint-imports
	@if command -v node >/dev/null && command -v npm >/dev/null; then echo $(BIN)/pyright; $(BIN)/pyright --pythonpath $(BIN)/python; \
	else echo "pyright was not run: it needs node and npm"; [ -z "$$CI" ]; fi

contract: setup ## what the clients send, against the vendors' own specifications (in ../shared/specs)
	$(BIN)/pytest tests/contract $(ARGS)

conformance: setup setup-node ## the official conformance suite of MCP, in every era
	CI=true $(BIN)/pytest tests/conformance $(ARGS)

fuzz: setup ## 50,000 malformed requests instead of the tests' 5,000
	HERMES_FUZZ_REQUESTS=50000 $(BIN)/pytest -k fuzz --timeout 3600 $(ARGS)

soak: setup ## ten minutes of random failures, 20 kills under load, every tenancy fault, a file of 1 GB in little memory
	HERMES_SOAK_SECONDS=600 HERMES_KILLS=20 HERMES_MEDIA_BYTES=1073741824 HERMES_MUTANTS_EVERY=1 \
	$(BIN)/pytest -k "soak or kill or little_memory or forgotten" --timeout 3600 $(ARGS)

bench: setup ## a whole tool call beside the floor and the Node reference (ARGS="--help" for the options)
	$(BIN)/python -m benchmarks $(ARGS)

docs-pages: setup ## what the documents say of platforms and tools, written anew from the declarations
	$(BIN)/python -m hermes.docs $(ARGS)

clean: ## remove what the targets above made, but no data
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/work dist
