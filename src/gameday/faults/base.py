"""What every fault is: a way to break one component, with its reverse known beforehand."""

from __future__ import annotations

from typing import Protocol

from gameday.journal import Undo

APPLY_TIMEOUT_S = 15.0


class Fault(Protocol):
    """One way to break a component.

    The order is fixed: `prepare` touches nothing and returns the exact reverse; it is recorded and the
    dead-man switch armed; only then `apply` breaks the component and returns what it did.
    """

    @property
    def component(self) -> str: ...

    def describe(self) -> str:
        """A few words for people: `kill database with SIGKILL`."""
        ...

    def prepare(self) -> Undo:
        """The reverse.

        Raises:
            UsageError: this environment cannot have this fault; says what it would need.
        """
        ...

    def apply(self) -> str: ...


def some_of(component: str, count: int | None) -> str:
    """What is hit, for people: the component, or so many of its targets."""
    return component if count is None else f"{count} of {component}"
