"""Whether the instants of a drill are true: effect, firing and recovery against an independent observer.

The scenario is `database-down` at speed 10 with a shorter rule, so that many drills fit in. What is true:

* effect: the first booking that failed, or the death of PostgreSQL, whichever was later (a booking under way when
  the process died fails too, but nothing fails before its cause);
* firing: (1) when others could read it in the timeline, against the instant in it; (2) when the rule's condition
  became true in a scrape log of the observer, plus `for`, plus at most one interval of the detector;
* recovery: the end of the first good answer from which on bookings and queries hold through the stability window.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.arithmetic import spread
from bench.hotel import API_LABELS, RULES, Hotel, events, hotel, instant_ns, only, relative, write_yaml
from bench.processes import GAMEDAY, PYTHON, ROOT, BenchError, background, surroundings, timed
from bench.result import Result

DRILLS = 7
SPEED = 10
ALERT = "database_connection_failures"
WINDOW_S, FOR_S, EVERY_S, STABLE_S, THRESHOLD = 2.0, 1.0, 0.5, 0.5, 1.0
"""At the drill's speed; the files that are written say as many times more."""
MEDIAN_BAR_MS, WORST_BAR_MS = 50.0, 250.0
DRILL_S = 90.0
MEASURED = ("effect", "firing, as read", "firing, by the rule", "recovery")


@dataclass(frozen=True, slots=True)
class Log:
    """What the observer wrote. Times are nanoseconds of the monotonic clock that all processes share."""

    rows: list[tuple[str, int, int, Any]]

    @classmethod
    def read(cls, path: Path) -> Log:
        lines = path.read_text(encoding="utf-8").splitlines()
        return cls([tuple(json.loads(line)) for line in lines])

    def of(self, kind: str) -> list[tuple[int, int, Any]]:
        """Start, end and value of all rows of a kind, in the order of asking."""
        return sorted((started, ended, value) for name, started, ended, value in self.rows if name == kind)

    def one(self, kind: str) -> tuple[int, int, Any]:
        found = self.of(kind)
        if not found:
            raise BenchError(f"the observer saw nothing of kind {kind!r}")
        return found[0]


def measure(work: Path) -> list[Result]:
    """Several drills in one instance; the worst drill counts as much as the median."""
    scenario = _write_files()
    detector = {
        "kind": "embedded",
        "rules": relative(_rules()),
        "every": f"{EVERY_S:g}s",
        "scrape": [{"job": "agente-api", "component": "api"}],
    }
    errors: dict[str, list[float]] = {name: [] for name in MEASURED}
    asked: list[float] = []
    with hotel("bench-accuracy", {"detector": detector}) as place:
        for number in range(DRILLS):
            folder = work / str(number)
            folder.mkdir()
            log, evidence = _drill(place, scenario, folder)
            for name, error_ms in _errors(log, events(evidence)):
                errors[name].append(error_ms)
            asked.append(_closest_rate(log))
    return [row for name in MEASURED for row in _results(name, errors[name], spread(asked).median)]


def _results(name: str, signed_ms: list[float], asked: float) -> Iterator[Result]:
    sizes = tuple(abs(error) for error in signed_ms)
    told = ", ".join(f"{error:+.0f}" for error in signed_ms)
    note = f"too late (+) or too early (-) by {told} ms"
    if name == "effect":
        note += f"; while it looked closely the observer asked {asked:.0f} times a second"
    yardstick = "observer, every 5 ms"
    yield Result(f"{name}: error", "ms", sizes, yardstick, bar=MEDIAN_BAR_MS, note=note)
    yield Result(f"{name}: worst", "ms", sizes, yardstick, bar=WORST_BAR_MS, judged="maximum")


# --- the drills ---------------------------------------------------------------------------------------------


def _write_files() -> Path:
    document = yaml.safe_load((ROOT / "scenarios" / "database-down.yaml").read_text(encoding="utf-8"))
    changes = {
        "scenario": "accuracy-scenario",
        "expect": {"alert": ALERT, "fires_within": "3m", "resolves_within": "3m"},
        "recovered": {**document["recovered"], "stable_for": f"{STABLE_S * SPEED:g}s"},
    }
    return write_yaml("accuracy-scenario", document | changes)


def _rules() -> Path:
    """The shipped rule with a shorter memory."""
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    rule = next(rule for rule in rules if rule["alert"] == ALERT)
    rate = f"rate(database_connection_errors_total{{{API_LABELS}}}[{WINDOW_S * SPEED:g}s])"
    short = {"expr": f"sum({rate}) > {THRESHOLD:g}", "for": f"{FOR_S * SPEED:g}s"}
    return write_yaml("rules-accuracy", {"groups": [{"name": "bench", "rules": [rule | short]}]})


def _drill(place: Hotel, scenario: Path, folder: Path) -> tuple[Log, Path]:
    """One drill with the observer beside it; returns what it wrote, and the drill's evidence."""
    status = place.status()
    reports = folder / "reports"
    settings = {
        "api": status["api"]["address"],
        "database": status["database"]["address"],
        "pid": int(status["database"]["targets"][0].split()[1]),
        "reports": str(reports),
        "output": str(folder / "observer.jsonl"),
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    reports.mkdir()
    observer = [PYTHON, "-m", "bench.observer", str(folder / "settings.json")]
    with background(observer, folder / "observer.log") as process:
        timed(
            [GAMEDAY, "run", str(scenario), "--yes", "--speed", str(SPEED), "--environment", place.reference],
            env=surroundings(GAMEDAY_REPORTS=str(reports)),
            timeout_s=DRILL_S,
        )
        if process.poll() is not None:
            raise BenchError(f"the observer died: {(folder / 'observer.log').read_text()[-1000:]}")
    return Log.read(folder / "observer.jsonl"), only(reports)


# --- what is true -------------------------------------------------------------------------------------------


def _errors(log: Log, found: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """What was measured less what is true, in milliseconds."""
    yield "effect", (instant_ns(found, "fault.effective") - effect_ns(log)) / 1e6
    firing_ns = instant_ns(found, "alert.firing", ALERT)
    read_ns = next(ended for _, ended, value in log.of("event") if value == ["alert.firing", ALERT])
    yield "firing, as read", (firing_ns - read_ns) / 1e6
    yield "firing, by the rule", _beyond(firing_ns, *rule_ns(log)) / 1e6
    yield "recovery", (instant_ns(found, "service.recovered") - recovery_ns(log)) / 1e6


def effect_ns(log: Log) -> int:
    """The first failed booking, not before the process ended."""
    killed_ns = log.one("ended")[0]
    for started, ended, ok in log.of("bookings"):
        if not ok and ended >= killed_ns:
            return max(started, killed_ns)
    raise BenchError("the observer saw no booking fail")


def recovery_ns(log: Log) -> int:
    """When the last of the two, bookings and queries, held for good."""
    killed_ns = log.one("ended")[0]
    return max(_holds_ns(log.of(kind), killed_ns) for kind in ("bookings", "database"))


def _holds_ns(answers: Sequence[tuple[int, int, Any]], from_ns: int) -> int:
    failed, since_ns = False, 0
    for started, ended, ok in answers:
        if started < from_ns:
            continue
        if not ok:
            failed, since_ns = True, 0
        elif failed:
            since_ns = since_ns or ended
            if ended - since_ns >= STABLE_S * 1e9:
                return since_ns
    raise BenchError("the observer saw no recovery")


def rule_ns(log: Log) -> tuple[int, int]:
    """The earliest and the latest instant at which the alert had to fire, by the observer's own scrapes."""
    scrapes = log.of("errors")
    for last, (started, ended, value) in enumerate(scrapes):
        window = [row for row in scrapes[: last + 1] if started - row[0] <= WINDOW_S * 1e9]
        if last and (value - window[0][2]) / WINDOW_S > THRESHOLD:
            before_ns = scrapes[last - 1][0]
            return before_ns + round(FOR_S * 1e9), ended + round((FOR_S + EVERY_S) * 1e9)
    raise BenchError("the observer's scrapes never met the rule")


def _beyond(instant: int, earliest: int, latest: int) -> int:
    """How far outside, negative when too early."""
    return min(instant - earliest, 0) or max(instant - latest, 0)


def _closest_rate(log: Log) -> float:
    """Bookings a second in the second in which most were asked."""
    starts = [started for started, _, _ in log.of("bookings")]
    return max(sum(1 for other in starts if 0 <= other - start < 1e9) for start in starts[::10])
