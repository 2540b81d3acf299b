"""Names of instances: the environment's, or `name@suffix` for another one beside it."""

from __future__ import annotations

import re

from gameday.errors import UsageError

_INSTANCE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}(@[a-z0-9][a-z0-9-]{0,62})?")


def check_instance(instance: str) -> None:
    """Raises UsageError."""
    if not _INSTANCE.fullmatch(instance):
        raise UsageError(
            f"{instance!r} is not an instance; expected a name like hotel-local or hotel-local@blue"
        )
