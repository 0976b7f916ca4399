#!/bin/sh
# Everything that must hold. Needs Rust and a C compiler; what else a test needs is installed here, or the
# one line that says what is missing.
set -eu
cd "$(dirname "$0")/.."
step() { printf '\n== %s\n' "$1"; }

command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer"; exit 1; }
command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install gcc"; exit 1; }

step "format"
cargo fmt --check
step "lints"
cargo clippy --workspace --all-targets --quiet -- -D warnings
step "programs"
cargo build --workspace --quiet
step "tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --no-fail-fast
else
    cargo test --workspace --no-fail-fast --lib --bins --tests
fi
step "examples in the documentation"
cargo test --workspace --doc --quiet
step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
