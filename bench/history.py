"""What a long history costs: the page, the list and their memory at 1 k, 10 k and 100 k drills.

The drills are drawn from a seed, so that every run measures the same ones. Only their rows are made: nothing that is
measured here opens a folder.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from bench.arithmetic import alternate
from bench.processes import GAMEDAY, PYTHON, ROOT, surroundings, timed
from bench.result import Result

SEED = 20251101
SPAN = timedelta(days=730)
SIZES = (1_000, 10_000, 100_000)
PAIRS = 5
PAGE_BAR_S = 2.0
LIST_BAR_S = 0.4
MEMORY_BAR_MB = 200.0
_BATCH = 5_000
_ENVIRONMENTS = ("hotel-local", "hotel-docker", "hotel-kubernetes")
_RULES = "examples/hotel/rules/corrected.yaml"
_DIGITS = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Kind:
    """What the drills of one scenario have in common."""

    scenario: str
    alert: str
    runbook: str
    severity: str
    mttd_s: float
    recover_s: float
    rto_s: float


def kinds(names: list[str], dice: random.Random) -> list[Kind]:
    return [
        Kind(
            name,
            f"{name.replace('-', '_')}_alert",
            f"{number % 10 + 1:02d}-runbook",
            f"SEV{number % 4 + 1}",
            dice.uniform(5, 200),
            dice.uniform(30, 1200),
            dice.choice([900.0, 1800.0, 3600.0]),
        )
        for number, name in enumerate(names)
    ]


def drills(
    count: int, newest: datetime, seed: int = SEED, names: list[str] | None = None
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """`count` drills of two years, the oldest first: the columns of each, and those of its alerts.

    Of twenty, about seventeen pass, two fail and one proves nothing; detection becomes faster by and by.
    """
    dice = random.Random(seed)  # noqa: S311 - the same drills again, not a secret
    there = kinds(names or scenarios(), dice)
    for number in range(count):
        started = newest - SPAN * ((count - number) / count)
        yield _drill(number, started, dice.choice(there), 1 - 0.3 * number / count, dice)


def scenarios() -> list[str]:
    """The names of those that are shipped."""
    return [path.stem for path in sorted((ROOT / "scenarios").glob("*.yaml"))]


def _drill(
    number: int, started: datetime, kind: Kind, pace: float, dice: random.Random
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    started = started.replace(microsecond=0)
    verdict = dice.choices(["PASS", "FAIL", "INCONCLUSIVE"], [85, 10, 5])[0]
    measured = verdict != "INCONCLUSIVE"
    speed = dice.choice([1.0, 1.0, 1.0, 10.0])
    name = f"{started:%Y%m%dT%H%M%SZ}-{kind.scenario}-{number:06x}"
    environment = dice.choice(_ENVIRONMENTS)
    late = verdict == "FAIL" and dice.random() < 0.5
    mttd_s = kind.mttd_s * pace * dice.lognormvariate(0, 0.1) / speed
    recover_s = kind.recover_s * dice.lognormvariate(0, 0.15) / speed
    missed = {"detected": late, "recovered": verdict == "FAIL" and not late, "data_loss": False}
    row = {
        "drill": name,
        "scenario": kind.scenario,
        "environment": f"{environment}@{kind.scenario}" if dice.random() < 0.5 else environment,
        "target": environment.removeprefix("hotel-").replace("local", "process"),
        "started": started,
        "ended": started + timedelta(seconds=recover_s + 60),
        "complete": True,
        "verdict": verdict,
        "exit_code": {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}[verdict],
        "speed": speed,
        "mttd_s": mttd_s if measured and not late else None,
        "mttd_resolution_s": 0.1 if measured and not late else None,
        "mttd_objective_s": 300.0 / speed,
        "time_to_recover_s": recover_s if measured else None,
        "time_to_recover_resolution_s": 0.1 if measured else None,
        "rto_s": kind.rto_s / speed,
        "data_loss_s": 0.0 if measured else None,
        "rpo_s": 900.0 / speed,
        "restored_by": "runbook" if measured else None,
        "folder": name,
        "severity": kind.severity,
        "tier": 1,
        "owner": "platform",
        "expected_alert": kind.alert,
        "runbook": kind.runbook,
        "rules": _RULES,
        "counted": measured,
        "reasons": [] if verdict == "PASS" else [f"{verdict} for the bench"],
        **{
            f"{check}_result": ("missed" if bad else "met") if measured else "unknown"
            for check, bad in missed.items()
        },
    }
    outcome = ("missed" if late else "fired") if measured else "unknown"
    return row, list(_alerts(row, outcome, dice))


def _alerts(row: dict[str, Any], outcome: str, dice: random.Random) -> Iterator[dict[str, Any]]:
    found = [(row["expected_alert"], outcome, row["mttd_s"])]
    found.append(("high_error_rate", dice.choice(["quiet", "collateral"]), None))
    if dice.random() < 0.02:
        found.append(("disk_full", "unexpected", None))
    for alert, became, mttd_s in found:
        yield {
            "drill": row["drill"],
            "alert": alert,
            "expected": alert == row["expected_alert"],
            "collateral": became in ("quiet", "collateral"),
            "fired": became in ("fired", "collateral", "unexpected"),
            "outcome": became,
            "mttd_s": mttd_s,
        }


def today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def fill(url: str, count: int, newest: datetime, seed: int = SEED) -> None:
    """Make a history of `count` drills at a URL: the same for the same seed and day of the newest."""
    from sqlalchemy import insert
    from sqlalchemy.engine import make_url

    from gameday.history.connect import open_engine, writing
    from gameday.history.migrate import ensure_schema
    from gameday.history.model import AlertRow, DrillRow

    engine = open_engine(make_url(url), 60.0)
    ensure_schema(engine, 60.0)
    found = drills(count, newest, seed)
    while batch := list(islice(found, _BATCH)):
        with writing(engine).begin() as connection:
            connection.execute(insert(DrillRow), [row for row, _ in batch])
            connection.execute(insert(AlertRow), [alert for _, alerts in batch for alert in alerts])
    engine.dispose()


def measure(work: Path) -> list[Result]:
    """Whole processes on the project of the repository, whose rules, runbooks and scenarios the page shows."""
    found = []
    for count in SIZES:
        reports = work / str(count)
        reports.mkdir()
        # in a process of its own: a child's largest resident set begins with that of whoever started it
        make = [PYTHON, "-m", "bench.history", f"sqlite:///{reports / 'history.sqlite'}", str(count)]
        timed(make, cwd=ROOT, timeout_s=600)
        found += _of(count, reports)
    return found


def _of(count: int, reports: Path) -> list[Result]:
    env = surroundings(GAMEDAY_REPORTS=str(reports))
    size = f"{count // 1000} k drills"
    page = [timed([GAMEDAY, "history", "page"], cwd=ROOT, env=env) for _ in range(PAIRS)]
    listed, bare = alternate(
        lambda: timed([GAMEDAY, "history", "--limit", "50"], cwd=ROOT, env=env),
        lambda: timed([GAMEDAY, "--help"], cwd=ROOT, env=env),
        PAIRS,
    )
    more = tuple(one.wall_s - other.wall_s for one, other in zip(listed, bare, strict=True))
    largest = (reports / "history.html").stat().st_size / 1e6
    return [
        Result(
            f"history page, {size}", "s", tuple(one.wall_s for one in page), bar=PAGE_BAR_S,
            note=f"{largest:.2f} MB",
        ),
        Result(f"history page, {size}, memory", "MB", tuple(one.rss_mb for one in page), bar=MEMORY_BAR_MB),
        Result(f"history --limit 50, {size}, more than --help", "s", more, bar=LIST_BAR_S),
        Result(
            f"history --limit 50, {size}, memory", "MB", tuple(one.rss_mb for one in listed), bar=MEMORY_BAR_MB
        ),
    ]  # fmt: skip


def main(arguments: list[str]) -> int:
    """`python -m bench.history URL COUNT [SEED]`: a history to try things on."""
    url, count, *seed = arguments
    fill(url, int(count), today(), int(seed[0]) if seed else SEED)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
