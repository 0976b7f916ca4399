#!/bin/sh
# Installs the reference client of tus for Python; without it one test is left out.
set -eu
cd "$(dirname "$0")/.."
wanted=tests/tests/attachments/requirements.txt
sh tests/venv.sh tus "$wanted" || echo "the tus client of others is left out: it is on PyPI, $wanted says which version"
