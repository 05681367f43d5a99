# `make help` lists what there is.
PYTHON := .venv/bin/python
PARALLEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help agent-wheel agent-binary run install install-dev test test-fast smoke drill bench lint format lock clean-data clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: install  ## Install what is needed and start the platform; Ctrl-C stops it.
	@exec $(PYTHON) -m qcloud up

install:  ## Install Debian packages, wheels, front end and capture programs.
	@scripts/install

install-dev:
	@scripts/install --dev

test: install-dev  ## Install what is needed and run every test.
	@$(PYTHON) -m pytest -n $(PARALLEL) $(ARGS)

test-fast:  ## The loop of a working day: everything quick, under a minute.
	@$(PYTHON) -m pytest -n $(PARALLEL) -m "not slow and not real" $(ARGS)

smoke: install-dev  ## Two nodes, two customers, real traffic to an invoice; one JSON line at the end.
	@$(PYTHON) -m tests.e2e.smoke

drill: install-dev  ## Kill everything at random under load, ten minutes (DRILL_SECONDS=), then count; one JSON line at the end.
	@$(PYTHON) -m tests.e2e.drill

bench: install-dev  ## Measure; ONLY=name[,name] for a part. One JSON object a line.
	@$(PYTHON) -m bench $(if $(ONLY),--only $(ONLY))

lint:  ## Ruff, mypy --strict, import contracts, migrations in step with models.
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports
	@$(PYTHON) -m tests.architecture.migrations_in_step

format:  ## Let ruff write what it can.
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix .

lock:  ## Compute requirements.lock anew from pyproject.toml.
	@.venv/bin/uv pip compile pyproject.toml --all-extras --python-version 3.11 \
		--generate-hashes --no-emit-index-url --quiet --upgrade \
		--custom-compile-command "make lock" -o requirements.lock

agent-wheel: install-dev  ## The agent for nodes as a wheel, with compiled capture programs.
	@scripts/agent-package wheel

agent-binary: install-dev  ## The agent for nodes as one file.
	@scripts/agent-package binary

clean-data:  ## Forget all data of the platform in this checkout.
	@$(PYTHON) -m qcloud clean-data

clean:  ## Remove what was built or installed into the checkout; data stays.
	rm -rf .venv build portal/static/dist portal/frontend/node_modules bpf/build
