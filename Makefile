# make demo    the main job on embedded servers: ARGS="--once --json" for one posting
# make test    everything: installs the real servers where it may, checks, tests
# make check   formatting, lint, types, layers
# make bench   figures, as ratios against smtp-source in the same run
# make pictures  draw docs/demo.svg and docs/pacing.svg
# make lock    renew the hash-pinned lock files (needs uv)

PYTHON ?= python3
RUN = .venv/bin/python

.PHONY: demo test check bench pictures lock

demo:
	@$(PYTHON) .ci/bootstrap.py requirements.lock
	@$(RUN) -m worker demo $(ARGS)

test: check
	@.ci/servers
	@$(RUN) -m pytest -n auto --dist worksteal $(ARGS)

check:
	@$(PYTHON) .ci/bootstrap.py requirements-dev.lock
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports

bench:
	@$(PYTHON) .ci/bootstrap.py requirements-dev.lock
	@.ci/servers
	@$(RUN) -m tests.bench $(ARGS)

pictures:
	@$(PYTHON) .ci/bootstrap.py requirements-dev.lock
	@$(RUN) -m worker.demo.picture docs/demo.svg
	@$(RUN) -m tests.simulation.picture docs/pacing.svg

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" --extra demo pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" --extra demo --extra dev pyproject.toml -o requirements-dev.lock
