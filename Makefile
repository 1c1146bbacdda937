# The same commands for people and for CI. A fresh clone needs python3.11 (or later) with pip, and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
XLA := .venv-xla
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= 2
RUN := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

.PHONY: quickstart test check format bench stress peer dist matrix xla docs clean

quickstart: $(VENV)/installed-quickstart  ## train, save and load a digit classifier
	$(BIN)/python examples/quickstart.py

test: $(VENV)/installed-test  ## the whole suite
	$(RUN) $(ARGS)

check: $(VENV)/installed-dev  ## format, lint, types, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy torchkeras
	$(RUN) -m "not slow" $(ARGS)

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-test  ## speed against torch and against Keras; writes benchmarks/results/
	$(BIN)/python benchmarks/speed.py $(ARGS)
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/optimizers.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/ops.py
	$(BIN)/python benchmarks/files.py
	$(BIN)/python benchmarks/launches.py
	$(BIN)/python benchmarks/text.py

stress: $(VENV)/installed-test  ## the full counts of random faults, and the suite again and again with new random inputs
	TORCHKERAS_STRESS=1 $(RUN) tests/saving tests/distributed/test_stops.py tests/distributed/test_checkpoints.py tests/distributed/test_faults.py $(ARGS)
	for round in 1 2 3 4 5; do $(RUN) $(ARGS) || exit 1; done

peer: $(VENV)/installed-test  ## the tests that compare with the real Keras
	$(RUN) tests/interop $(ARGS)

dist: $(VENV)/installed-release  ## build the wheel and the source distribution in dist/, and check them
	rm -rf build dist *.egg-info
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 315532800) $(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python scripts/check_dist.py dist $(ARGS)
	rm -rf build *.egg-info

docs: $(VENV)/installed-docs  ## the documentation as a site: docs/site/html/index.html
	$(BIN)/python docs/build_site.py $(ARGS)

matrix: | $(BIN)/python  ## quick tests on Python 3.11 to 3.14 and torch 2.9 to the newest: gigabytes of downloads
	$(BIN)/python scripts/matrix.py $(ARGS)

xla: $(XLA)/installed-xla  ## the tests on torch_xla's CPU device, in an environment of 2.3 GB of its own
	for file in tests/xla/test_*.py; do \
	  PJRT_DEVICE=CPU CPU_NUM_DEVICES=4 OMP_NUM_THREADS=1 $(XLA)/bin/python -m pytest -q $$file $(ARGS) || exit 1; done

clean:
	rm -rf $(VENV) $(XLA) outputs build dist docs/site *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(XLA)/installed-xla: scripts/xla_env.py
	$(PYTHON) scripts/xla_env.py $(XLA)

$(VENV)/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[$*]"
	touch $@
