# make demo   generate data, train, evaluate, draw: three to ten minutes on two cores
# make test   the whole test suite
# make lint   ruff
# make types  mypy
# Each builds .venv from requirements.txt first; that needs only python3 (3.11 to 3.14) and make.

PYTHON ?= python3
WORKDIR ?= runs/demo
BIN := .venv/bin

.PHONY: demo test lint types clean

# --no-compile: Python compiles modules when they are first imported, which is a third of them. --no-deps:
# requirements.txt names every package.
export PYTHONDONTWRITEBYTECODE :=

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 14) else f"jaxdet needs Python 3.11 to 3.14, got {v[0]}.{v[1]}; name one with make PYTHON=python3.12.")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.txt
	@touch $@

# Fewer page faults for large arrays: glibc takes huge pages and reuses memory between steps. Other systems ignore this.
demo: export GLIBC_TUNABLES = glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592
demo: .venv/installed
	$(BIN)/python train.py --config=configs/faster_shapes.py --workdir=$(WORKDIR)
	$(BIN)/python evaluate.py --workdir=$(WORKDIR)
	@echo "Images with detections on the test split: $(WORKDIR)/evaluation/test/pictures/all.png"

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

clean:
	rm -rf .venv runs
