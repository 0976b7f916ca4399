#!/bin/sh
# Installs pyxform, the field's own converter of workbooks, into the build folder, once.
set -eu
cd "$(dirname "$0")/.."
pyxform="${CARGO_TARGET_DIR:-target}/pyxform"
wanted=tests/tests/javarosa/requirements.txt
if cmp -s "$wanted" "$pyxform/requirements.txt"; then
    exit 0
fi
printf '\n== %s\n' "installing pyxform"
rm -rf "$pyxform"
if ! python3 -m venv "$pyxform" || ! "$pyxform/bin/pip" install --quiet --no-deps --requirement "$wanted"; then
    echo "pyxform is missing, with which ours is compared: it is on PyPI, $wanted says which version"
    exit 1
fi
cp "$wanted" "$pyxform/requirements.txt"
