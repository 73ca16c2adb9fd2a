# Everything starts here; `make help` lists the targets. Needs Python 3.11, Java 17 and make, nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
LOCK ?= pipeline
CONF ?= conf/local.yaml
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready-$(LOCK)
AIRFLOW := .venv-airflow
AIRFLOW_READY := $(AIRFLOW)/.ready
BENCHMARKS := $(filter-out result synthetic watched workers,$(basename $(notdir $(filter-out benchmarks/__init__.py,$(wildcard benchmarks/*.py)))))

export PYTHONPATH := $(CURDIR)
export PYSPARK_PYTHON := $(CURDIR)/$(VENV)/bin/python
export SPARK_LOCAL_IP := 127.0.0.1
export TF_CPP_MIN_LOG_LEVEL := 2

.PHONY: help venv airflow airflow-demo run month tune test soak lint format tables bench package screenshots lock clean

help: ## list the targets
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(READY) ## install everything (LOCK=gpu for CUDA) and stop

# Done when its mark is newer than the lock, so a second call installs nothing.
$(READY): requirements/$(LOCK).lock requirements/installer.lock requirements/jars.lock lib/java_classes.py
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) was not found; install Python 3.11 or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11, which TensorFlow, Spark and Petastorm share; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@[ -n "$${JAVA_HOME:-}" ] && [ -x "$${JAVA_HOME}/bin/java" ] || command -v java >/dev/null || { echo "error: no java command was found; install a Java 17 runtime and put it on PATH or set JAVA_HOME" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --require-hashes -r requirements/installer.lock
	$(VENV)/bin/uv pip sync --quiet --python $(RUN) --require-hashes requirements/$(LOCK).lock
	@# Lets `.venv/bin/spark-submit jobs/x.py` and its workers import lib and schemas from this checkout.
	@echo "$(CURDIR)" > $$($(RUN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/catmatch.pth
	$(RUN) -m lib.session
	$(RUN) -m lib.java_classes
	$(RUN) -m lib.images.pretrained
	@rm -f $(VENV)/.ready-*
	@touch $@

airflow: $(AIRFLOW_READY) ## install Airflow, in an environment of its own

$(AIRFLOW_READY): requirements/airflow.lock | $(READY)
	$(PYTHON) -m venv $(AIRFLOW)
	$(VENV)/bin/uv pip sync --quiet --python $(AIRFLOW)/bin/python --require-hashes requirements/airflow.lock
	@touch $@

airflow-demo: $(READY) $(AIRFLOW_READY) ## two months of a small market by Airflow, on a Spark cluster of this machine
	$(RUN) jobs/airflow_demo.py

run: $(READY) ## three months of the embedded market, from offers to a report
	$(RUN) jobs/month.py --conf conf/local.yaml --months 3

month: $(READY) ## one month of a configuration: make month CONF=conf/naver_names.yaml MONTH=2019-04
	@[ -n "$(MONTH)" ] || { echo "error: name the month: make month CONF=$(CONF) MONTH=2019-04" >&2; exit 2; }
	$(RUN) jobs/month.py --conf $(CONF) --month $(MONTH)

TUNING ?= conf/tune.yaml
tune: $(READY) ## search a month's best configuration: make tune TUNING=conf/tune.yaml MONTH=2019-04
	@[ -n "$(MONTH)" ] || { echo "error: name the month: make tune TUNING=$(TUNING) MONTH=2019-04" >&2; exit 2; }
	$(RUN) jobs/tune.py --conf $(TUNING) --month $(MONTH)

# Two processes, each with a Spark session of its own: half of the time goes to waiting for servers, workers and kills.
# What a file makes for its tests is made once, so a file stays whole; tests/conftest.py puts the longest files first.
test: $(READY) $(AIRFLOW_READY) ## all tests but the long ones (CATMATCH_DATA=folder of real data, default ../shared/data)
	$(RUN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

soak: $(READY) $(AIRFLOW_READY) ## what is too long for make test: killed crawls, pictures and trainings, clusters, 2 and 4 million offers, ten long epochs
	$(RUN) -m pytest -q -s -m soak
	$(RUN) benchmarks/memory.py
	$(RUN) benchmarks/scale.py

lint: $(READY) ## ruff, mypy and the order of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(READY) ## let ruff format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

tables: $(READY) ## write docs/tables.md from schemas/, docs/results.md and README's table from docs/results/
	$(RUN) -m schemas.document
	$(RUN) -m benchmarks.result

bench: $(addprefix bench-,$(filter-out memory scale,$(BENCHMARKS))) ## every benchmark at full size (bench-NAME for one)

bench-%: $(READY)
	$(RUN) benchmarks/$*.py

package: $(READY) ## the code and the environment for a cluster, into .run/package (HOST_PYTHON=where its hosts have Python 3.11)
	$(RUN) -m lib.operation.package --output .run/package --environment $(VENV) $(if $(HOST_PYTHON),--python $(HOST_PYTHON))

# What a person sees, for docs/screenshots: of what the last `make run` left.
CHROMIUM ?= chromium
REPORTS ?= .run/local/reports
screenshots: ## pictures of the last make run's index and month into docs/screenshots (needs Debian's chromium, fonts-noto-cjk)
	@command -v $(CHROMIUM) >/dev/null || { echo "error: $(CHROMIUM) was not found; apt-get install chromium fonts-noto-cjk" >&2; exit 2; }
	@[ -f $(REPORTS)/index.html ] || { echo "error: there is no $(REPORTS)/index.html; run \`make run\` first" >&2; exit 2; }
	@mkdir -p docs/screenshots
	@month=$$(ls $(REPORTS) | grep -E '^[0-9]{4}-[0-9]{2}\.html$$' | tail -1); \
	for page in index:index.html:1600 month:$$month:3200; do \
		IFS=: read -r name file height <<< "$$page"; \
		$(CHROMIUM) --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1100,$$height \
			--screenshot=docs/screenshots/$$name.png "file://$(CURDIR)/$(REPORTS)/$$file" 2>/dev/null; \
		echo "docs/screenshots/$$name.png"; \
	done

lock: $(READY) ## resolve pyproject.toml anew into requirements/*.lock (hashed, no URLs)
	$(VENV)/bin/uv pip compile $(COMPILE) requirements/installer.in -o requirements/installer.lock
	$(VENV)/bin/uv pip compile $(COMPILE) pyproject.toml --extra cpu --extra dev -o requirements/pipeline.lock
	$(VENV)/bin/uv pip compile $(COMPILE) requirements/airflow.in --override requirements/airflow-overrides.in -o requirements/airflow.lock
	grep -E '^[a-z]' requirements/pipeline.lock | sed 's/ .*//' | grep -v '^tensorflow-cpu' > $(VENV)/pins.txt
	$(VENV)/bin/uv pip compile $(COMPILE) pyproject.toml --extra gpu --extra dev -c $(VENV)/pins.txt -o requirements/gpu.lock

COMPILE := --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

clean: ## remove what jobs made (.run); the environment stays
	rm -rf .run
