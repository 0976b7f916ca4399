#!/bin/sh
# Installs Python packages into a folder of the build folder, once: tests/venv.sh NAME REQUIREMENTS [pip's options].
set -eu
cd "$(dirname "$0")/.."
name="$1" wanted="$2"
shift 2
folder="${CARGO_TARGET_DIR:-target}/$name"
if cmp -s "$wanted" "$folder/requirements.txt"; then
    exit 0
fi
printf '\n== %s\n' "installing $name"
rm -rf "$folder"
if ! python3 -m venv "$folder" || ! "$folder/bin/pip" install --quiet "$@" --requirement "$wanted"; then
    rm -rf "$folder"
    exit 1
fi
cp "$wanted" "$folder/requirements.txt"
