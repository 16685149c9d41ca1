# make run           set everything up and run the workflow of config.yaml
# make test          unit tests and the tests of the workflow, and the ten slowest of them
# make test-slow     tests with real models
# make test-pythons  unit tests without torch on python3.12 and newer, if installed, or on PYTHONS
# make test-slurm    miniature workflow on a SLURM cluster of two nodes on this machine (installs Debian's SLURM)
# make test-gpu      generation and training on an NVIDIA GPU with made-up models, and their speed; fails without a GPU
# make test-crash    miniature workflow, killed eight times at random moments, gives the same bytes
# make vllm          .venv-vllm, the environment of the vllm engine on a CPU
#
# PYTHON is the interpreter of the virtual environment, CORES the number of CPU cores (empty on a cluster: CORES=),
# ARGS are further arguments of snakemake.
PYTHON ?= python3
CORES ?= all
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
VLLM := $(VENV)-vllm

.PHONY: run test test-slow test-pythons test-slurm test-gpu test-crash vllm lint setup reference clean-venv

run: $(READY)
	@$(BIN)/python workflow/run.py $(if $(CORES),--cores $(CORES)) $(ARGS)

# processes share the cores: threads that wait must not spin
test: $(READY)
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n 2 --dist loadgroup --durations=10

test-slow: $(READY) $(VLLM)/ready
	OMP_WAIT_POLICY=passive RANKREFINE_VLLM_PYTHON=$(VLLM)/bin/python $(BIN)/python -m pytest -m slow --durations=10

test-pythons: $(READY)
	$(BIN)/python tools/pythons.py $(PYTHONS)

test-slurm: $(READY)
	$(BIN)/python -m pytest -m slurm tests/slurm

test-gpu: $(READY)
	$(BIN)/python -m pytest -m gpu tests/gpu
	$(BIN)/python benchmarks/gpu_speed.py

test-crash: $(READY)
	$(BIN)/python tools/crash.py --kills 8

vllm: $(VLLM)/ready

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

setup: $(READY)

# write config.yaml and the table of docs/configuration.md from the schema
reference: $(READY)
	$(BIN)/python -m rankrefine config > config.yaml
	{ sed '/^| key/,$$d' docs/configuration.md; $(BIN)/python -m rankrefine config --markdown; } > docs/.part
	mv docs/.part docs/configuration.md

# Debian's python3 has no ensurepip unless python3-venv is installed; its own pip can fill the environment, too.
define new_environment
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rankrefine needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv --clear $(@D) >/dev/null 2>&1 || { \
		$(PYTHON) -m venv --clear --without-pip $(@D) && $(PYTHON) -m pip --python $(@D)/bin/python install --quiet pip; }
endef

# Not --no-deps: builds of torch with CUDA, pip's default on Linux, need libraries that depend on the build; and as all else
# is pinned, pip has nothing to search. Nearly half of its time would be byte-compiling on one core. Like pip, compileall
# leaves out files in the syntax of newer Pythons, for which it reports an error.
$(READY): requirements.txt
	$(new_environment)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# vLLM needs an older transformers than the rest; see docs/vllm.md
$(VLLM)/ready: requirements-vllm.txt
	$(new_environment)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-vllm.txt
	$(VLLM)/bin/python -c "import torch" || { echo "torch does not start in $(VLLM): it must be the CPU build, see docs/vllm.md"; exit 1; }
	touch $@

clean-venv:
	rm -rf $(VENV) $(VLLM) $(VENV)-python* $(VENV)-sentence-transformers*
