# `make demo` shows the main job, `make test` proves it, `make bench` measures it.
.DEFAULT_GOAL := help
.PHONY: help demo test bench format

help:
	@echo "make demo    the main job: offline work of three enumerators arrives, merges, shows up (ONCE=1 JSON=1 PORT=8080)"
	@echo "make test    format, lints, all tests, docs, licences"
	@echo "make bench   figures against the limit measured in the same run (JSON=1)"
	@echo "make format  format the code"

demo:
	@cargo build --release --quiet -p server -p end-to-end
	@ONCE=$(ONCE) JSON=$(JSON) PORT=$(PORT) target/release/demo

test:
	@sh tests/run.sh

bench:
	@sh tests/pyxform.sh || echo "the comparison with pyxform is left out"
	@cargo build --release --quiet -p server -p end-to-end
	@JSON=$(JSON) target/release/bench

format:
	@cargo fmt
