"""Evidence folders as the history finds them: which there are, and what can be read of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gameday.errors import GamedayError
from gameday.history.connect import reason

if TYPE_CHECKING:
    from gameday.record import DrillRecord

_OTHERS = re.compile(r"[0-9]{8}T[0-9]{6}Z-run(-[0-9]+)?|incidents|gamedays")
"""Of `gameday run` with several scenarios, of incidents, of game days; a drill's name ends with six hex digits."""


class Skipped(NamedTuple):
    """A folder that could not be indexed, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What `History.rebuild` did. `moved_aside` is where an unusable SQLite file was put, `why` what it was."""

    found: int
    indexed: int
    skipped: tuple[Skipped, ...]
    moved_aside: Path | None = None
    why: str | None = None


def candidates(reports: Path) -> list[Path]:
    """Evidence folders by name, and no others (runs, incidents, game days); none where no drill ever ran."""
    if not reports.exists():
        return []
    return sorted(
        path
        for path in reports.iterdir()
        if path.is_dir() and not path.name.startswith(".") and not _OTHERS.fullmatch(path.name)
    )


def loaded(folders: Sequence[Path], skipped: list[Skipped]) -> Iterator[DrillRecord]:
    """Records of the folders that can be read; the others join `skipped`."""
    from gameday.record import load_record  # asking for drills must not load what reading evidence needs

    for folder in folders:
        try:
            yield load_record(folder, with_samples=False)
        except GamedayError as error:
            skipped.append(Skipped(folder, reason(error)))
        except (OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # valid JSON of the wrong shape, as another version or a broken disk may leave
            skipped.append(
                Skipped(folder, f"not a drill's evidence: {type(error).__name__}: {reason(error)}")
            )
