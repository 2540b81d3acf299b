"""Secrets of one instance: made by chance when first asked for, and taken out of everything that is shown.

They are in a file that only the user who runs the environment can read; components get them in environment
variables.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping

from gameday.errors import TargetError
from gameday.targets.state import StateFile, write_private
from gameday.targets.waiting import Deadline

REDACTED = "[redacted]"
_BYTES = 32
_LOCK_TIMEOUT_S = 10.0


class SecretFile:
    """`secrets.json` in an instance's folder."""

    def __init__(self, store: StateFile) -> None:
        self._store = store
        self.path = store.folder / "secrets.json"

    def get(self, name: str) -> str:
        """The secret of this name; the first who asks makes it."""
        with self._store.lock("secrets", Deadline.after(_LOCK_TIMEOUT_S)):
            known = self._read()
            if name not in known:
                known = {**known, name: secrets.token_urlsafe(_BYTES)}
                write_private(self.path, known)
            return known[name]

    def redact(self, text: str) -> str:
        """`text` without any of them."""
        return remove(text, self._read().values())

    def _read(self) -> Mapping[str, str]:
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
            return {str(name): str(value) for name, value in known.items()}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (ValueError, AttributeError) as error:
            raise TargetError(
                f"{self.path} cannot be understood; `gameday env down` removes the instance"
            ) from error


def remove(text: str, hidden: Iterable[str]) -> str:
    """`text` with every one of `hidden` replaced, the longest first as one may be part of another."""
    for value in sorted(hidden, key=len, reverse=True):
        if value:
            text = text.replace(value, REDACTED)
    return text
