#!/bin/sh
# Makes a virtual environment with what a lock file names, and gameday itself in place.
#   tools/setup.sh .venv requirements/run.lock
set -eu
venv=$1
lock=$2

find_python() {
    for name in python3.11 python3 python3.12 python3.13 python3.14; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "setup: no Python 3.11 or later found; on Debian and Ubuntu: apt-get install python3" >&2
    exit 1
}

if [ ! -x "$venv/bin/pip" ]; then
    python=$(find_python)
    echo "setup: making $venv with $("$python" --version), once; this takes about a minute" >&2
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        # Debian keeps the module that puts pip into a new environment in a package of its own
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            echo "setup: installing Debian's python$version-venv" >&2
            apt-get install -y -qq "python$version-venv" >/dev/null 2>&1 ||
                { apt-get update -qq && apt-get install -y -qq "python$version-venv"; } >/dev/null
        else
            echo "setup: $python cannot make virtual environments; run: sudo apt-get install python$version-venv" >&2
            exit 1
        fi
        "$python" -m venv "$venv"
    fi
fi
echo "setup: installing what $lock names" >&2
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
