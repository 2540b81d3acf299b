"""Whether a target can do what only some can."""

from __future__ import annotations

from typing import Any, TypeVar

from gameday.errors import UsageError

AbilityT = TypeVar("AbilityT")


def able(target: Any, ability: type[AbilityT], what: str) -> AbilityT:
    """`target`, as one that has `ability`, which is one of the protocols of `targets.base`.

    Raises:
        UsageError: it has not; `what` was asked of it.
    """
    if not isinstance(target, ability):
        raise UsageError(f"{what}: target {target.kind} cannot do that")
    return target
