"""Putting scaffolded files into a project: all of them or none, and never over what is there already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gameday.errors import UsageError


def write_files(root: Path, files: Mapping[str, str], *, force: bool) -> tuple[Path, ...]:
    """Write each text to its path below `root`; returns the paths. With `force` over what is there.

    Raises:
        UsageError: a file is there already, with the names of all that are, or one cannot be written.
    """
    there = [name for name in files if (root / name).exists() or (root / name).is_symlink()]
    if there and not force:
        verb = "is" if len(there) == 1 else "are"
        raise UsageError(
            f"{', '.join(there)} {verb} there already, and nothing was written; --force writes over it, "
            "--environment gives the environment another name"
        )
    written = []
    for name, text in files.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error}") from error
        written.append(path)
    return tuple(written)
