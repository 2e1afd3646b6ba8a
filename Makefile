# Two targets do everything on a fresh machine with Python 3.11 or newer and nothing else:
#   make demo   installs, builds a data set, and says where it is
#   make test   installs, and runs the tests
PYTHON ?= python3
BIN := .venv/bin
OUT ?= out/flags
WORKERS ?= 2

.PHONY: demo test test-all lint browser clean

demo: .venv/installed
	$(BIN)/python -m builders.okedit build --out $(OUT) --workers $(WORKERS)
	@$(BIN)/python -m schemas validate $(OUT)
	@echo "the data set:  $(OUT)"
	@echo "to look at it: $$($(BIN)/python -m builders.okedit preview $(OUT))"

test: .venv/tested browser
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: .venv/tested browser
	$(BIN)/python -m pytest -n 2

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The pinned torch comes first: left to itself, pip would fetch gigabytes of CUDA libraries.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/tested: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

# The preview page is tested in a real browser. Without one, and without the right to install it,
# those tests are skipped and say so.
browser:
	@command -v chromium >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	} || echo "no chromium: the browser tests will be skipped"

clean:
	rm -rf .venv out
