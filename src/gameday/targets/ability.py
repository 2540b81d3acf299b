"""Whether a target can do what only some can."""

from __future__ import annotations

from typing import Any, TypeVar

from gameday.errors import UsageError
from gameday.fault_spec import NetworkFault, PartitionFault

AbilityT = TypeVar("AbilityT")


def able(target: Any, ability: type[AbilityT], what: str) -> AbilityT:
    """`target`, as one that has `ability`, which is one of the protocols of `targets.base`.

    Raises:
        UsageError: it has not; `what` was asked of it.
    """
    if not isinstance(target, ability):
        raise UsageError(f"{what}: target {target.kind} cannot do that")
    return target


def check_names_kept(fault: NetworkFault | None, kind: str) -> None:
    """Raises UsageError for `dns: cut`, on a target of this kind that cannot do it."""
    if isinstance(fault, PartitionFault) and fault.dns == "cut":
        raise UsageError(f"partition {fault.component}, dns: cut: target {kind} cannot do that")
