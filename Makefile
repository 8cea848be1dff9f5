# Each target sets up all it needs; CONTRIBUTING.md has the same steps as plain pip lines.
#
#   make check                          the default suite on every framework of the extra `cpu`
#   make check ARGS="'conv/*' --backend torch"
#   make test  ARGS="-k padding"        lint, then the project's own tests
#   make report                         what the newest check came to, as pages (after `make check`)
#   make docs                           the documentation as a site
#   make dashboard ARGS="--bench conv"  time the suite with asv, and serve its pages until Ctrl-C
#
# PYTHON is asked for only when .venv is made; `make clean` removes it.

SHELL   = /bin/sh
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
ARGS   ?=
JOBS   ?= 2
PIP     = $(BIN)/python -m pip --disable-pip-version-check
EXAMPLE = examples/convsuite-scipy
KIND    = benchmarks/asv_bench_convsuite
SERVE  ?= 8080

.PHONY: help check report test docs dashboard lint dev constraints clean

help:  ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 14

check: $(VENV)/.installed  ## run the default suite: NumPy, PyTorch, TensorFlow, Keras, JAX (ARGS go to `convsuite check`)
	$(BIN)/convsuite check $(ARGS)

report: $(VENV)/.installed-reports  ## what the newest check came to, as pages (ARGS go to `convsuite report`)
	$(BIN)/convsuite report $(ARGS)

test: lint  ## run ruff, mypy and the project's own tests (ARGS go to pytest; JOBS processes)
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

# Afresh each time, in seconds: the reference of case files follows the code, which Sphinx does not watch.
docs: $(VENV)/.installed-docs  ## the documentation as a site (ARGS go to `sphinx-build`)
	rm -rf build/docs build/doctrees
	$(BIN)/sphinx-build -q -W --keep-going -c docs -d build/doctrees $(ARGS) . build/docs
	@echo "open build/docs/index.html, or serve it: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/docs"

# asv asks about the machine before its first run, and exits with 2 where some benchmarks failed: the rest is worth a look.
dashboard: $(VENV)/.installed-asv  ## time the suite with asv, serve its pages (ARGS go to `asv run`; SERVE=port, or empty)
	@test -e "$$HOME/.asv-machine.json" || $(BIN)/asv machine --yes
	$(BIN)/asv run --environment existing:same --set-commit-hash "$$(git rev-parse HEAD)" $(ARGS) || [ $$? -eq 2 ]
	$(BIN)/asv publish
	$(if $(SERVE),$(BIN)/python -m http.server --bind 127.0.0.1 --directory .asv/html $(SERVE))

lint: dev  ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

dev: $(VENV)/.installed-dev  ## set up .venv for work on the project

clean:  ## remove .venv and what tools left behind; results databases stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
	find backends benchmarks cases docs examples harness reports -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp stands for a finished step: an interrupted install leaves none, and the next run takes it up again. What `dev`
# has in it is finished with it: then `make docs` and `make report` need neither pip nor a network.

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "convsuite needs Python 3.11 or newer and found no '$(PYTHON)'; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "convsuite needs Python 3.11 or newer; $(PYTHON) is %d.%d; name another: make PYTHON=/path/to/python3" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[cpu]'
	@touch $@

$(VENV)/.installed-reports: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[cpu,reports]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@

# The kind of benchmark and the example go in as their users get them, not editable: afresh when they change.
$(VENV)/.installed-asv: $(VENV)/.installed $(wildcard $(KIND)/*.toml $(KIND)/*/*.py $(KIND)/*/*/*.py)
	$(PIP) install -c constraints.txt -e '.[cpu,asv]' ./$(KIND)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-asv $(wildcard $(EXAMPLE)/*.toml $(EXAMPLE)/*.py)
	$(PIP) install -c constraints.txt -e '.[cpu,dev]' ./$(EXAMPLE)
	@touch $(VENV)/.installed-docs $(VENV)/.installed-reports $@

# Held: versions that known failures and measurements speak of. To raise one, edit its line and run this.
HELD = torch|tensorflow|tensorflow-cpu|keras|jax|jaxlib

constraints:  ## pin the newest of everything anew, in a fresh build/constraints; frameworks stay where they are
	rm -rf build/constraints && mkdir -p build
	$(PYTHON) -m venv build/constraints
	grep -E '^($(HELD))==' constraints.txt > build/held.txt
	build/constraints/bin/python -m pip install --upgrade --upgrade-strategy eager -c build/held.txt '.[cpu,dev]'
	sed '/^[^#]/,$$d' constraints.txt > build/constraints.txt
	build/constraints/bin/python -m pip freeze --all --exclude pip --exclude convsuite | tr A-Z_ a-z- | \
	  sed -e 's/+.*//' -e '/^h5py==/s/$$/; python_version < "3.14"/' -e '/^tensorflow-cpu==/{p;s/-cpu//;}' >> build/constraints.txt
	mv build/constraints.txt constraints.txt
