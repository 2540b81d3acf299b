"""What some targets do for the safety of a drill: a dead-man switch of their own, and a second place for its undos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from gameday.fault_spec import AnyFault


class Switch(Protocol):
    """The runner's end of a dead-man switch."""

    @property
    def pid(self) -> int: ...

    @property
    def where(self) -> str:
        """What it is, for people, such as `pid 4242`."""
        ...

    def confirm(self, timeout_s: float = 30.0) -> None:
        """Wait until it is there. Raises UndoError when it is not, or cannot serve."""
        ...

    def arm(self, deadline_ns: int, timeout_s: float = 10.0) -> None:
        """Tell the earliest deadline, monotonic. Raises UndoError when it is not confirmed."""
        ...

    def lost(self) -> str | None:
        """Why the switch is no longer behind the drill; None while it is. Must be quick."""
        ...

    def disarm(self) -> None:
        """Nothing is left to revert: let it end."""
        ...


@runtime_checkable
class DeadMan(Protocol):
    """Targets that bring a dead-man switch of their own, which outlives this machine's processes."""

    def check_switch(self) -> None:
        """Raises UsageError where there can be none. Touches nothing."""
        ...

    def dead_man_switch(self, log: Path, output: Path, scenario: str) -> Switch:
        """One for the log of undos that will be at `log`, and the environment's lock from now on; what it says goes to
        `output`, in the drill's evidence. It is being started when this returns.

        Raises:
            LockHeld: another drill's switch is there; names its holder and since when.
            UsageError, TargetError: there can be none.
        """
        ...

    def release(self, drill: str) -> None:
        """All of that drill is put back: a switch of it that has ended locks nothing any more."""
        ...


@runtime_checkable
class Permitting(Protocol):
    """Targets that allow each identity some things and not others."""

    def check_permitted(self, faults: Iterable[AnyFault], steps: Iterable[tuple[str, str]]) -> None:
        """`steps` are verbs of the runbook with their components. Touches nothing.

        Raises:
            Refused: something that the drill needs is not allowed; names it, and what to do.
        """
        ...


class Mirror(Protocol):
    """Another place where one drill's log of undos is kept, so that it can be reverted without this machine."""

    def merge(self, lines: Sequence[str], *, create: bool = False) -> tuple[str, ...] | None:
        """Add those of `lines` that it has not, in order; all that it has afterwards. None where it is gone, and was
        not to be made: then somebody has reverted everything in it.

        Raises:
            TargetError: it cannot be reached.
        """
        ...

    def exclusive(self, timeout_s: float) -> AbstractContextManager[bool]:
        """Only one process on any machine reverts this drill at a time. False: another drill has begun since, so that
        all of this one was reverted before. One process may enter it twice.

        Raises:
            Refused: the drill's runner is alive, elsewhere.
            UndoError: another process is at it for longer than `timeout_s`, or nobody can be asked.
        """
        ...

    def remove(self) -> None:
        """All is reverted. That it is gone is no error."""
        ...


@runtime_checkable
class Mirroring(Protocol):
    """Targets that keep logs of undos too, where whoever else uses the environment finds them."""

    def identity(self) -> str:
        """What tells what this environment is now from another of the same name."""
        ...

    def mirror(self, drill: str, output: Path | None = None) -> Mirror:
        """Of one drill; contacts nothing. `output` is for its own runner: what its dead-man switch had to say goes
        there when the mirror is removed."""
        ...

    def mirrored(self) -> Mapping[str, tuple[str, ...]]:
        """The lines of every log that is kept for this environment, by drill, the oldest first."""
        ...

    def tidy(self) -> tuple[str, ...]:
        """Remove what drills have left here that had changed nothing and whose dead-man switch is gone as well: locks
        that nobody holds any more. In words, what it was."""
        ...
