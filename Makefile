# make demo   generates data, trains, evaluates, draws: three and a half to ten minutes on two cores
# make test   the whole test suite
# Both build .venv from requirements.txt first; they need only python3 (3.11 to 3.13) and make.

PYTHON ?= python3
WORKDIR ?= runs/demo
BIN := .venv/bin

.PHONY: demo test lint clean

# Packages are installed with --no-compile: Python compiles what is used, a third of the files, and here keeps it; and
# with --no-deps, for requirements.txt names every one.
export PYTHONDONTWRITEBYTECODE :=

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"jaxdet needs Python 3.11 to 3.13, got {v[0]}.{v[1]}; name one with make PYTHON=python3.12.")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.txt
	@touch $@

# Spares glibc's allocator the page faults of large arrays: huge pages, and memory kept from step to step. Elsewhere the
# variable is ignored.
demo: export GLIBC_TUNABLES = glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592
demo: .venv/installed
	$(BIN)/python train.py --config=configs/faster_shapes.py --workdir=$(WORKDIR)
	$(BIN)/python evaluate.py --workdir=$(WORKDIR)
	@echo "Pictures of detections on the test split: $(WORKDIR)/evaluation/test/pictures/all.png"

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv runs
