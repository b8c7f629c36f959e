#!/bin/sh
# Rewrite requirements/*.txt, with hashes, from pyproject.toml. Needs uv on the path.
set -eu
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 "$@"; }
compile requirements/build.in pyproject.toml -o requirements/runtime.txt
compile requirements/build.in pyproject.toml --extra dev -c requirements/runtime.txt -o requirements/test.txt
