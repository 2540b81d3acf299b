"""Where a package of binaries is installed, without importing it: importing some starts or creates things."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def find_package(name: str) -> Path | None:
    """The folder of a top-level package; None when it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))
