"""The exception tree. Third-party errors are translated into it where they enter.

GamedayError
├── UsageError                a call that cannot be carried out as written
│   └── InvalidFile           a file with problems: each names file, line, field and what would be right
├── Refused                   preflight said no; nothing was touched
│   └── LockHeld              somebody else drills this environment
├── TargetError               an operation on a component failed
│   ├── ComponentNotFound
│   └── OperationTimedOut
├── FaultError                a fault could not be applied, or had no effect
├── DetectorError             the detector is unreachable, slow or wrong: what it would say is unknown
├── RunbookError              a step failed and its runbook offers nothing else
├── UndoError                 a fault could not be reverted: something was left behind
└── Aborted                   a signal, a stop condition or a person ended the drill
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class GamedayError(Exception):
    """Base of everything that gameday raises on purpose."""

    exit_code = 3


class UsageError(GamedayError):
    """The call cannot be carried out as written."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one file. `line` counts from 1; `field` is a dotted path, empty for the whole file."""

    file: Path
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class InvalidFile(UsageError):
    """A file that cannot be used, with every problem found in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Refused(GamedayError):
    """Preflight said no. Nothing was touched."""


class LockHeld(Refused):
    """Somebody else drills this environment; the message names the holder and since when."""


class TargetError(GamedayError):
    """An operation on a component failed; the message says what was tried on which component."""


class ComponentNotFound(TargetError):
    """The environment has no such component, or it matches nothing."""


class OperationTimedOut(TargetError):
    """The operation did not end within its time-out."""


class FaultError(GamedayError):
    """A fault could not be applied, or had no effect."""


class DetectorError(GamedayError):
    """The detector is unreachable, slow or wrong: what it would say is unknown, never inactive."""


class RunbookError(GamedayError):
    """A step failed and its runbook offers nothing else."""


class UndoError(GamedayError):
    """A fault could not be reverted."""

    exit_code = 5


class Aborted(GamedayError):
    """A signal, a stop condition or a person ended the drill."""

    exit_code = 4
