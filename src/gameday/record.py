"""One drill as it lies in its evidence folder: what history indexes and every report is made from."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.clock import Instant
from gameday.errors import InvalidFile, Problem
from gameday.fields import validate
from gameday.files import load_yaml
from gameday.scenario import Scenario
from gameday.timeline import Kind, Timeline, read_timeline
from gameday.verdict import Verdict, judge


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer of a probe. `started_ns` and `ended_ns` are monotonic, as in the timeline's instants."""

    started_ns: int
    ended_ns: int
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """A finished or broken-off drill. `scenario` is at the drill's speed, as the verdict needs it."""

    folder: Path
    drill: str
    scenario: Scenario
    environment: str
    target: str
    speed: float
    detector: Mapping[str, Any]
    timeline: Timeline
    samples: Mapping[str, tuple[Sample, ...]]
    verdict: Verdict

    @property
    def started(self) -> Instant:
        return self.timeline.started.at

    @property
    def ended(self) -> Instant:
        return self.timeline.events[-1].at

    @property
    def complete(self) -> bool:
        """Whether the drill came to its own end."""
        return self.timeline.last(Kind.DRILL_ENDED) is not None

    @property
    def rehearsal(self) -> str | None:
        """The words that every output of a drill at speed must carry."""
        return None if self.speed == 1 else f"rehearsal at {self.speed:g} times speed"


_STARTED = ("drill", "instance", "target", "speed", "detector")
SAMPLE_COLUMNS = ("started_ns", "ended_ns", "ok", "detail")


def load_record(folder: Path, *, with_samples: bool = True) -> DrillRecord:
    """Read an evidence folder and judge it (again).

    Raises:
        InvalidFile: the folder has no timeline or scenario, or they are damaged.
    """
    timeline = read_timeline(folder / "timeline.jsonl")
    started = timeline.started.data
    missing = [name for name in _STARTED if name not in started]
    if missing:
        problem = f"drill.started without {', '.join(missing)}"
        raise InvalidFile([Problem(folder / "timeline.jsonl", 1, "", problem)])
    speed = float(started["speed"])
    scenario = validate(Scenario, load_yaml(folder / "scenario.yaml")).at_speed(speed)
    samples = {path.stem: _read_samples(path) for path in _sample_files(folder)} if with_samples else {}
    return DrillRecord(
        folder=folder,
        drill=str(started["drill"]),
        scenario=scenario,
        environment=str(started["instance"]),
        target=str(started["target"]),
        speed=speed,
        detector=started["detector"],
        timeline=timeline,
        samples=samples,
        verdict=judge(timeline, scenario),
    )


def _sample_files(folder: Path) -> list[Path]:
    return sorted((folder / "samples").glob("*.csv"))


def _read_samples(path: Path) -> tuple[Sample, ...]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return tuple(
            Sample(int(row["started_ns"]), int(row["ended_ns"]), row["ok"] == "1", row["detail"] or "")
            for row in rows
            if row["detail"] is not None  # a last row cut off by a crash
        )
    except (OSError, ValueError, KeyError) as error:
        raise InvalidFile([Problem(path, 1, "", f"not a file of samples: {error}")]) from error
