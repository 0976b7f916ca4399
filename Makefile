# `make demo` shows the main job, `make test` proves it, `make bench` measures it.
.DEFAULT_GOAL := help
.PHONY: help demo test bench soak mutants format

help:
	@echo "make demo    the main job: offline work of three enumerators arrives, merges, shows up (ONCE=1 JSON=1 PORT=8080)"
	@echo "make test    format, lints, all tests, docs, licences"
	@echo "make bench   figures against the limit measured in the same run (JSON=1)"
	@echo "make soak    seeds of the simulator for as long as you like (SECONDS=60 SIM_FROM=1000000)"
	@echo "make mutants the laws broken on purpose, one by one in a copy: each must be caught (MUTANT=name)"
	@echo "make format  format the code"

demo:
	@cargo build --release --quiet -p server -p end-to-end
	@ONCE=$(ONCE) JSON=$(JSON) PORT=$(PORT) target/release/demo

test:
	@sh tests/run.sh

bench:
	@sh tests/pyxform.sh || echo "the comparison with pyxform is left out"
	@cargo build --release --quiet -p server -p field-cli -p end-to-end
	@JSON=$(JSON) target/release/bench

soak:
	@cargo build --release --quiet -p end-to-end --bin soak
	@SECONDS=$(SECONDS) target/release/soak

mutants:
	@cargo build --quiet -p end-to-end --bin mutants
	@MUTANT=$(MUTANT) $${CARGO_TARGET_DIR:-target}/debug/mutants

format:
	@cargo fmt
