#!/bin/bash
# SPDX-License-Identifier: MIT
# Set up the machine, then run the tests: tests/check.py does the rest (--help tells).
set -eu
source_dir=$(cd "$(dirname "$0")" && pwd)

setup=yes
for argument; do
    case $argument in
    --help | -h | --list) setup=no ;;
    esac
done
# A wrong group or option is told before anything is installed, if there is a Python to do it.
if [ $setup = yes ] && command -v python3 >/dev/null; then
    python3 "$source_dir/tests/check.py" --list "$@" >/dev/null
fi
if [ $setup = yes ] || ! command -v python3 >/dev/null; then
    "$source_dir/tools/install-packages"
fi
exec python3 "$source_dir/tests/check.py" "$@"
