# setup · demo · test · check · bench · bench-tools · sim · fuzz · docs · native: each works as the first command in a fresh clone,
# because each waits for .venv/.ready, which knows what it was made from.

BIN     := .venv/bin
PIP     := $(BIN)/uv pip install --python $(BIN)/python --require-hashes --only-binary :all:
NATIVE  := $(shell find native -name target -prune -o -name fuzz -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print)
SEED    ?= 1
CALLS   ?= 1000
BENCHES ?= media memory ear jitter plc resample echo signalling setup pacing carriers turn
ARGS    ?=
export FUZZ_SECONDS ?= 60

.DELETE_ON_ERROR:
.PHONY: setup demo test check bench bench-tools sim fuzz docs native

setup: .venv/.ready
	@echo "ready: make demo, make test, or $(BIN)/offhook --help"

demo: .venv/.ready
	$(BIN)/offhook demo --out demo $(ARGS)

test: .venv/.ready
	cd native && cargo test --locked --quiet --no-default-features
	cd bench/load && cargo test --locked --quiet --target-dir ../out/cargo
	$(BIN)/pytest $(ARGS)

check: .venv/.ready .venv/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/cfn-lint --include-checks I --template deploy/amazon/template.json
	cd native && cargo fmt --check
	cd native/fuzz && cargo fmt --check
	cd bench/load && cargo fmt --check
	cd native && cargo clippy --locked --all-targets -- -D warnings
	cd bench/load && cargo clippy --locked --all-targets --target-dir ../out/cargo -- -D warnings

bench: .venv/.ready .venv/.bench
	@for name in $(BENCHES); do $(BIN)/offhook bench $$name $(ARGS) || exit; done

bench-tools: .venv/.bench

sim: .venv/.ready
	$(BIN)/offhook sim --seed $(SEED) --calls $(CALLS) $(ARGS)

fuzz: .venv/.ready
	tools/fuzz-native $(FUZZ_SECONDS)
	$(BIN)/pytest -m fuzz $(ARGS)

docs: .venv/.ready
	$(BIN)/pytest tests/test_docs.py $(ARGS)

native: .venv/.ready

# What .venv is made of. A target is newer than all that it was made from, so a second run does nothing.

.venv/.uv: requirements/uv.txt
	@echo "[1/5] looking for Python, a C compiler and Rust"
	@python=$$(tools/preflight) && echo "[2/5] .venv with $$($$python --version)" && $$python -m venv .venv
	@echo "[3/5] uv, by hash"
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

.venv/.packages: .venv/.uv requirements/dev.txt
	@echo "[4/5] packages and local models, by hash (some 350 MB the first time)"
	@$(PIP) -r requirements/dev.txt
	@touch $@

.venv/.ready: .venv/.packages pyproject.toml $(NATIVE)
	@echo "[5/5] the media plane, compiled"
	@env -u CONDA_PREFIX VIRTUAL_ENV="$(CURDIR)/.venv" $(BIN)/maturin develop --uv --release --locked
	@touch $@

.venv/.check: .venv/.packages requirements/check.txt
	@$(PIP) -r requirements/check.txt
	@touch $@

# pesq comes as source alone: its hash holds, and it is built with what the first line installed, not with what is newest.
.venv/.bench: .venv/.packages requirements/bench.txt requirements/pesq.txt
	@$(PIP) -r requirements/bench.txt
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes --no-deps --no-build-isolation -r requirements/pesq.txt
	@touch $@
