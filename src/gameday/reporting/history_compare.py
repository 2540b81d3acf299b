"""Two drills side by side: verdict, checks, intervals, who restored the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

from rich import box
from rich.table import Table
from rich.text import Text

from gameday.history.model import DrillRow
from gameday.reporting.history_texts import MINUS, NOT_MEASURED, name, span
from gameday.reporting.terminal import SIGNS, console_for
from gameday.text import one_line

_SAME = ("scenario", "environment", "speed")
_FACTS = (
    ("drill", "Drill"),
    ("scenario", "Scenario"),
    ("environment", "Environment"),
    ("speed", "Speed"),
    ("started", "Started"),
    ("verdict", "Verdict"),
    ("restored_by", "Restored by"),
    ("restoring_step", "Restoring step"),
)
_INTERVALS = {
    "time_to_effect": "Injection to effect",
    "time_to_pending": "Effect to pending alert",
    "mttd": "Time to detect (MTTD)",
    "time_to_notify": "Effect to notification",
    "time_to_respond": "Alert to first step",
    "time_of_runbook": "Time of the runbook",
    "time_to_recover": "Time to recover",
    "time_to_resolve": "Time to resolve the alert",
    "data_loss": "Data loss",
}


@dataclass(frozen=True, slots=True)
class Fact:
    what: str
    first: str | None
    second: str | None

    @property
    def differs(self) -> bool:
        return self.first != self.second


@dataclass(frozen=True, slots=True)
class IntervalPair:
    """Seconds, each None where not measured. `certain`: the difference is more than what sampling leaves open."""

    name: str
    label: str
    first_s: float | None
    second_s: float | None
    difference_s: float | None
    certain: bool


@dataclass(frozen=True, slots=True)
class CheckPair:
    """Results as in the verdict; None where a drill has no such check, or its evidence is gone."""

    name: str
    title: str
    first: str | None
    second: str | None
    first_detail: str
    second_detail: str


@dataclass(frozen=True, slots=True)
class Compared:
    facts: tuple[Fact, ...]
    intervals: tuple[IntervalPair, ...]
    checks: tuple[CheckPair, ...]
    notices: tuple[str, ...]


def row_document(row: DrillRow) -> dict[str, Any]:
    """What `verdict.json` would have, as far as the history's row knows it; `checks` is None."""

    def measured(value_s: float | None, resolution_s: float | None) -> dict[str, float] | None:
        if value_s is None:
            return None
        around = resolution_s or 0.0
        return {"value_s": value_s, "low_s": value_s - around, "high_s": value_s + around}

    return {
        "drill": row.drill,
        "scenario": row.scenario,
        "environment": row.environment,
        "speed": row.speed,
        "started": row.started.isoformat(),
        "verdict": row.verdict,
        "restored_by": row.restored_by,
        "data_loss_s": row.data_loss_s,
        "intervals": {
            "mttd": measured(row.mttd_s, row.mttd_resolution_s),
            "time_to_recover": measured(row.time_to_recover_s, row.time_to_recover_resolution_s),
        },
        "checks": None,
    }


def compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> Compared:
    """Two documents of the form of `verdict.json`."""
    return Compared(
        tuple(Fact(label, _fact(first, key), _fact(second, key)) for key, label in _FACTS),
        _intervals(_measured(first), _measured(second)),
        _checks(first.get("checks") or [], second.get("checks") or []),
        tuple(_notices(first, second)),
    )


def _fact(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is None:
        return None
    return f"{value:g}" if isinstance(value, float) else one_line(value, 300)


def _notices(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    found = [
        f"not the same {key}: {name(first.get(key))} and {name(second.get(key))}; their figures do not compare"
        for key in _SAME
        if first.get(key) != second.get(key)
    ]
    found += [
        f"the folder of {name(one['drill'])} is gone: its checks are not known"
        for one in (first, second)
        if one.get("checks") is None
    ]
    return found


def _measured(document: Mapping[str, Any]) -> dict[str, Mapping[str, float] | None]:
    loss = document.get("data_loss_s")
    exact = None if loss is None else {"value_s": loss, "low_s": loss, "high_s": loss}
    return {**document["intervals"], "data_loss": exact}


def _intervals(
    first: Mapping[str, Mapping[str, float] | None], second: Mapping[str, Mapping[str, float] | None]
) -> tuple[IntervalPair, ...]:
    found = []
    for key, label in _INTERVALS.items():
        a, b = first.get(key), second.get(key)
        if a is None and b is None:
            continue
        difference = None if a is None or b is None else b["value_s"] - a["value_s"]
        certain = a is not None and b is not None and (b["low_s"] > a["high_s"] or b["high_s"] < a["low_s"])
        found.append(IntervalPair(key, label, _seconds(a), _seconds(b), difference, certain))
    return tuple(found)


def _seconds(measured: Mapping[str, float] | None) -> float | None:
    return None if measured is None else measured["value_s"]


def _checks(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> tuple[CheckPair, ...]:
    a, b = ({check["name"]: check for check in checks} for checks in (first, second))
    return tuple(
        CheckPair(
            key,
            one_line((a.get(key) or b[key])["title"], 200),
            a[key]["result"] if key in a else None,
            b[key]["result"] if key in b else None,
            one_line(a[key]["detail"], 500) if key in a else "",
            one_line(b[key]["detail"], 500) if key in b else "",
        )
        for key in dict.fromkeys((*a, *b))
    )


def compared_values(found: Compared) -> dict[str, Any]:
    """For programs; null is what was not measured."""
    return {
        "facts": [{**asdict(fact), "differs": fact.differs} for fact in found.facts],
        "intervals": [asdict(pair) for pair in found.intervals],
        "checks": [asdict(pair) for pair in found.checks],
        "notices": found.notices,
    }


# --- on a terminal --------------------------------------------------------------------------------------------


def print_compared(found: Compared, stream: IO[str]) -> None:
    """Tables on a terminal; the same, unstyled, in a pipe."""
    console = console_for(stream, live=stream.isatty())
    for notice in found.notices:
        console.print(Text(f"! {notice}", style="yellow"))
    facts = _table("", "first", "second")
    for fact in found.facts:
        marks = "bold" if fact.differs and fact.what in ("Verdict", "Restored by", "Restoring step") else ""
        facts.add_row(fact.what, Text(fact.first or "-", style=marks), Text(fact.second or "-", style=marks))
    console.print(facts)
    intervals = _table("Interval", "first", "second", "second - first")
    for pair in found.intervals:
        values = (NOT_MEASURED if value is None else span(value) for value in (pair.first_s, pair.second_s))
        intervals.add_row(pair.label, *values, _difference(pair))
    console.print(intervals)
    checks = _table("Check", "first", "second")
    for check in found.checks:
        checks.add_row(Text(check.title), *map(_result, (check.first, check.second)))
    console.print(checks)
    for check in found.checks:
        if check.first != check.second:
            console.print(
                Text(
                    f"{check.title}\n  first:  {check.first_detail or '-'}\n  second: {check.second_detail or '-'}"
                )
            )


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for text in names:
        table.add_column(text, overflow="fold")
    return table


def _difference(pair: IntervalPair) -> str:
    if pair.difference_s is None:
        return "-"
    sign = MINUS if pair.difference_s < 0 else "+"
    return f"{sign}{span(abs(pair.difference_s))}" + (
        "" if pair.certain else ", within what sampling leaves open"
    )


def _result(result: str | None) -> str:
    return "-" if result is None else f"{SIGNS.get(result, '?')} {result}"
