# The one door. `make demo` shows what vm0 does; `make test` proves it.

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: help setup build demo test redteam lint bench fuzz

help: ## Say what there is.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

setup: ## Install what building and testing need (Debian 12 and 13; elsewhere says what to install).
	@scripts/setup.sh

build: setup ## Build target/release/vm0, the one binary, with the guest agent inside it.
	$(CARGO) build --release --locked --package vm0-cli

demo: build ## Start a server, run an agent in a sandbox on a volume, show events and the artifact.
	@scripts/demo.sh target/release/vm0

test: setup ## Run every test, with real sandboxes and real agents.
	@scripts/test.sh

redteam: setup ## Try every known way out of the sandboxes, with controls outside, and report.
	@scripts/redteam.sh

lint: setup ## Formatting, clippy, dependency rules, repository rules.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) deny --log-level error check bans licenses sources
	$(CARGO) xtask tidy

fuzz: setup ## Fuzz everything that reads hostile bytes, for under two minutes.
	@scripts/fuzz.sh

bench: build ## Measure, beside a raw floor in the same run.
	@scripts/bench.sh target/release/vm0
