# Each target does the set-up that it needs. On a fresh machine: `make demo`, `make test`.

BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= 2

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check lint types contracts docs pytest campaigns pictures warm omissions sub-voxel constraints clean tools-packages packages test-packages

help:  ## Lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: packages $(READY)  ## Plans a biopsy on a phantom and writes scene, report and fluoroscopy into demo/
	$(BIN)/navplan demo --out demo

test: test-packages warm check pytest  ## Everything: lint, types, contracts, docs and all tests

check: lint types contracts docs  ## All of it but the tests

lint: $(READY)  ## Style and common mistakes (ruff)
	$(BIN)/ruff check .

types: $(READY)  ## Type checks (mypy)
	$(BIN)/mypy

contracts: $(READY)  ## Which floor may import which (import-linter)
	$(BIN)/lint-imports --no-logo

warm: $(READY)  # what is compiled at its first use, beside the checks: else each worker does it
	@$(BIN)/navplan demo --out .venv/warm >.venv/warm.log 2>&1 &

docs: $(READY)  ## The documentation, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pytest: test-packages $(READY)  ## The tests alone
	LP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

campaigns: test-packages $(READY)  ## Tests too long for every day: whole ways through the app, with clicks and seconds; the demo from a wheel
	$(BIN)/pytest -m campaign -s

pictures: packages $(READY)  ## The pictures of README and docs
	$(BIN)/python docs/make_pictures.py

omissions: packages $(READY)  ## Planted omissions: does any way PASS that should not? REAL=CASE adds the real chest
	$(BIN)/python -m benchmarks.planted_omissions $(if $(REAL),--real $(REAL)) --out docs/planted-omissions.md

sub-voxel: packages $(READY)  ## Clearances inside the voxels against solids whose distance is known (about 5 min)
	$(BIN)/python -m benchmarks.sub_voxel --out docs/sub-voxel.md

constraints: $(READY)  ## Resolves constraints.txt anew, to the newest versions that pyproject.toml allows
	scripts/resolve-constraints

clean:  ## Removes the environment and everything that was built
	rm -rf .venv site build dist demo .coverage .benchmarks .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

tools-packages:
	@scripts/debian-packages tools

packages:
	@scripts/debian-packages run

test-packages:
	@scripts/debian-packages test

$(READY): pyproject.toml constraints.txt scripts/make-venv scripts/choose-python | tools-packages
	@scripts/make-venv
	@touch $@
