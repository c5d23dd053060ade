# Everything from a clone. `make demo` and `make test` install what they need into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST_ARGS ?=
MINUTES ?= 10

.PHONY: setup demo test coverage lint format types imports check bench bench-compare fuzz clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,openvino,ray]'
	touch $@

demo: setup
	$(BIN)/enhance superres examples/astronaut.png -x4 -o demo/astronaut_x4.png --overwrite
	$(BIN)/python examples/side_by_side.py examples/astronaut.png demo/comparison.png demo/astronaut_x4.png
	$(BIN)/python examples/darken.py demo/astronaut_x4.png --ratio 100 --iso 1600 -o demo/night.dng
	$(BIN)/enhance lowlight demo/night.dng --overwrite
	$(BIN)/python examples/dark_sheet.py demo/night.dng -o demo/night.png
	$(BIN)/python examples/pan.py examples/astronaut.png demo/pan.mp4
	$(BIN)/enhance video demo/pan.mp4 --overwrite
	$(BIN)/enhance sample -o demo/samples.png --overwrite

test: setup
	$(BIN)/python -m pytest -n auto $(TEST_ARGS)

# On demand, for it makes the tests slower: the lines that no test reaches.
coverage: setup
	$(BIN)/python -m pytest -n auto --cov=enhance_cli --cov-report=term-missing:skip-covered $(TEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

check: lint types imports test

bench: setup
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/tiles.py
	$(BIN)/python benchmarks/strategies.py
	$(BIN)/python benchmarks/video.py
	$(BIN)/python benchmarks/video_peers.py

# This checkout against another revision: make bench-compare BASE=HEAD~5
bench-compare: setup
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/compare_revisions.py $(or $(BASE),$(error name a revision: make bench-compare BASE=HEAD~1))

# Damaged files for everything that reads files; those that end as none may are kept in fuzz/.
fuzz: setup
	PYTHONPATH=tests $(BIN)/python -c 'import sys, fuzzing; sys.exit(fuzzing.main())' --minutes $(MINUTES)

clean:
	rm -rf $(VENV) demo build dist
