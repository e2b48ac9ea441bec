# `make demo` on a fresh machine with Python 3.11, 3.12 or 3.13 does everything else itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --custom-compile-command 'make requirements'

# Without its bytecode caches Airflow takes seconds longer, in every process.
# As pip does: trust the certificates that the machine trusts, a company's own among them.
export UV_SYSTEM_CERTS = 1

unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH

.PHONY: demo up airflow serve docs test check lint clean requirements advisories screenshots bench
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo 'make demo          retrain flight_delay over 2013 under a real Airflow and show the ledger'
	@echo 'make up            Airflow for people, until Ctrl-C'
	@echo 'make airflow       one of Airflow'"'"'s own commands on the local Airflow: make airflow ARGS="dags list"'
	@echo 'make serve         answer requests with the champions that make demo left, until Ctrl-C'
	@echo 'make test          the tests: the fast ones, then those under a real scheduler'
	@echo 'make check         what CI runs: lint, format, types, tests'
	@echo 'make bench         measure, and write docs/performance.md and docs/scale.md (some three hours; let nothing else run)'
	@echo 'make screenshots   the pictures in docs/images, of what make demo left'
	@echo 'make docs          draw docs/model-yaml.md from the code'
	@echo 'make advisories    look up known vulnerabilities of what the image installs'
	@echo 'make clean         remove what demo and up made: Airflow'"'"'s folder and the local store'
	@echo 'make requirements  pin the dependencies that pyproject.toml names, and the hashes of what the image installs'

demo: $(VENV)/installed
	@$(BIN)/python -m include demo $(ARGS)

docs: $(VENV)/installed
	@$(BIN)/python -m include docs

serve: $(VENV)/installed
	@$(BIN)/python -m include serve $(ARGS)

up: $(VENV)/installed
	@$(BIN)/python -m include up $(ARGS)

airflow: $(VENV)/installed
	@$(BIN)/python -m include airflow $(ARGS)

# What failed beside other tests is run once more, alone: a test that a busy machine delayed passes then, a fault fails again.
ONCE_MORE = || { [ $$? = 1 ] && echo 'These failed beside others, and are run once more, alone:' && $(BIN)/python -m pytest -q --last-failed

# The fast tests compute: one process a core. The others wait more than they compute: three at a time keep two cores busy.
# Which tests a process gets together, and which come first, says tests/scheduling.py. A file without a test of the system
# is not even read for the second: all of them are a minute of imports in each process.
FAST_AT_ONCE ?= logical
SYSTEM_AT_ONCE ?= 3
TOGETHER = --dist loadfile --no-loadscope-reorder
SYSTEM = $$(grep -rl --include='test_*.py' 'mark\.system' tests)

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n $(FAST_AT_ONCE) $(TOGETHER) --durations=15 -m 'not system' $(ONCE_MORE) -m 'not system'; }
	$(BIN)/python -m pytest -q -n $(SYSTEM_AT_ONCE) $(TOGETHER) --durations=15 -m system $(SYSTEM) $(ONCE_MORE) -m system; }

bench: $(VENV)/installed-cluster
	for part in parse ledger store_calls models_page retraining queued rows monitoring serving; do $(BIN)/python -m benchmarks.$$part || exit 1; done
	$(BIN)/python -m benchmarks.out_of_core --stream 3 10 100

screenshots: $(VENV)/installed-dev
	$(BIN)/python tests/browser/screenshots.py $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

clean:
	rm -rf .ratchet

# One extra's packages: those beside requirements.txt.
define extra
$(COMPILE) pyproject.toml --extra $(1) -c requirements.txt -o .extra.txt
{ echo '# $(2), beside requirements.txt. Made by: make requirements'; \
grep -v -x -F -f requirements.txt .extra.txt | grep -v '^ *#'; } >requirements-$(1).txt
@rm .extra.txt
endef

requirements: $(VENV)/installed
	$(COMPILE) pyproject.toml --extra airflow --extra serving -o requirements.txt
	$(COMPILE) pyproject.toml --extra airflow --extra serving --extra cluster -c requirements.txt -o requirements-cluster.txt
	$(COMPILE) pyproject.toml --extra airflow --extra serving --extra dev -c requirements.txt -o requirements-dev.txt
	$(call extra,learners,Learners of other libraries)
	$(call extra,keras,Keras on TensorFlow)
	$(call extra,excel,The reader of Excel workbooks)
	$(call extra,mlflow,The client of MLflow for the mirror)
	$(call extra,openlineage,The OpenLineage provider of Airflow)
	$(call extra,lake,Readers of tables of a lake)
	$(call extra,spark,The client of Spark Connect)
	grep '^apache-airflow' requirements.txt | $(COMPILE) - -c requirements.txt -o .brought.txt
	{ echo '# For a platform that brings its own Airflow, such as an Astro project. Made by: make requirements'; \
	grep -o '^apache-airflow-providers-[a-z-]*' requirements.txt; \
	grep -v -x -F -f .brought.txt requirements.txt | grep -v '^ *#'; } >requirements-astronomer.txt
	@rm .brought.txt
# What the image may install: the same pins, each with the hashes of its files (docs/security.md, "Supply chain").
	for name in $$(ls requirements-*.txt | sed 's/requirements-//; s/.txt//' | grep -v -x -e astronomer -e dev); do \
	$(COMPILE) --no-deps --generate-hashes requirements-$$name.txt -o hashes/$$name.txt || exit 1; done
	grep '^setuptools==' requirements-cluster.txt | $(COMPILE) --no-deps --generate-hashes - -o hashes/build.txt

# Ends with 1 if one is known, and also if a package could not be looked up: that is not the same as none.
advisories: | $(VENV)/created
	$(BIN)/uv tool run --python 3.11 pip-audit==2.10.1 --strict --progress-spinner off --disable-pip --require-hashes \
	$(patsubst %,-r %,$(filter-out hashes/build.txt,$(wildcard hashes/*.txt))) $(ARGS)

# Bytecode is left to the first import: compiling all of site-packages takes most of a minute, what is used a few seconds.
install = if [ -x $(BIN)/uv ]; then $(BIN)/uv pip install --quiet --python $(BIN)/python -r $(1); \
	else $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r $(1); fi

$(VENV)/created:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("Ratchet needs Python 3.11, 3.12 or 3.13, not " + sys.version.split()[0] + "; try: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@echo 'Creating $(VENV) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || echo 'uv is not to be had; pip takes a few minutes longer.'
	@touch $@

$(VENV)/installed: requirements.txt | $(VENV)/created
	@echo 'Installing the pinned requirements ...'
	@$(call install,requirements.txt)
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt | $(VENV)/installed
	@echo 'Installing the tools of development ...'
	@$(call install,requirements-dev.txt)
	@touch $@

$(VENV)/installed-cluster: requirements-cluster.txt | $(VENV)/installed
	@$(call install,requirements-cluster.txt)
	@touch $@
