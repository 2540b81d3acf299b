"""What every target says of versions."""

from __future__ import annotations

from collections.abc import Iterable

from gameday.errors import UsageError


def version_name(version: str) -> str:
    return f"version {version}" if version else "the environment's own version"


def check_named(instance: str, component: str, known: Iterable[str], version: str) -> None:
    """Raises UsageError where the environment names no such version; its own is `""`."""
    names = tuple(known)
    if version not in ("", *names):
        raise UsageError(
            f"{instance} names no version {version!r} of {component}; versions there: {', '.join(names) or 'none'}"
        )
