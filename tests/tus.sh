#!/bin/sh
# Installs the reference client of tus for Python into the build folder, once; without it one test is left out.
set -eu
cd "$(dirname "$0")/.."
tools="${CARGO_TARGET_DIR:-target}/tus"
wanted=tests/tests/attachments/requirements.txt
if cmp -s "$wanted" "$tools/requirements.txt"; then
    exit 0
fi
printf '\n== %s\n' "installing a tus client"
rm -rf "$tools"
if ! python3 -m venv "$tools" || ! "$tools/bin/pip" install --quiet --requirement "$wanted"; then
    rm -rf "$tools"
    echo "the tus client of others is left out: it is on PyPI, $wanted says which version"
    exit 0
fi
cp "$wanted" "$tools/requirements.txt"
