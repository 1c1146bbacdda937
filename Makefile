# The same commands for people and for CI. A fresh clone needs python3.11 (or later) with pip, and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= 2
RUN := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -q

.PHONY: quickstart test check format bench stress peer clean

quickstart: $(VENV)/installed-examples  ## train, save and load a digit classifier
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

clean:
	rm -rf $(VENV) outputs build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[$*]"
	touch $@
