#!/bin/sh
# Everything that must hold. Needs Rust and a C compiler; what else a test needs is installed here, or the
# one line that says what is missing.
set -eu
cd "$(dirname "$0")/.."
step() { printf '\n== %s\n' "$1"; }

command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer"; exit 1; }
command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install gcc"; exit 1; }

# Installs packages where that is possible, or says which are missing and for what.
need() {
    what="$1"
    shift
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        step "installing $*"
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        echo "missing for $what: apt-get install $*"
        exit 1
    fi
}

# The browser test drives a real Chromium.
if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
    need "the browser test" chromium chromium-driver
fi

# The field's engine, with which ours is compared, runs in Java and comes with pyxform, which stays in the build folder.
if ! command -v java >/dev/null || ! command -v javac >/dev/null; then
    need "the comparison with JavaRosa" default-jdk-headless
fi
python3 -c 'import ensurepip, venv' 2>/dev/null || need "the comparison with JavaRosa" python3 python3-venv
sh tests/pyxform.sh
sh tests/tus.sh

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
if [ -x "${CARGO_TARGET_DIR:-target}/tus/bin/python" ]; then
    step "the tus client of others"
    cargo test -p end-to-end --test attachments_kept --quiet -- --ignored
else
    step "LEFT OUT: the tus client of others is not installed, nothing was tried with it"
fi
step "examples in the documentation"
cargo test --workspace --doc --quiet
if command -v python3 >/dev/null; then
    step "golden vectors are what their script writes"
    python3 fixtures/vectors/make.py --check
fi
step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
