#!/bin/sh
# Installs pyxform, the field's own converter of workbooks.
set -eu
cd "$(dirname "$0")/.."
wanted=tests/tests/javarosa/requirements.txt
if ! sh tests/venv.sh pyxform "$wanted" --no-deps; then
    echo "pyxform is missing, with which ours is compared: it is on PyPI, $wanted says which version"
    exit 1
fi
