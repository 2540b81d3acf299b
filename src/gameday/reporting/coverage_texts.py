"""The coverage matrix in words: what every form of it calls the same. Light: who shows it beside other things must not
load what makes documents.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from gameday.coverage import Accuracy, Coverage, RuleCoverage, Standing

NOT_MEASURED = "not measured"
_SIGNS = {
    Standing.PROVEN: "✓",
    Standing.FAULTY: "✗",
    Standing.UNKNOWN: "?",
    Standing.NOT_RUN: "?",
    Standing.NO_SCENARIO: "–",  # noqa: RUF001 - nothing there
}
_TONES = {Standing.PROVEN: "met", Standing.FAULTY: "missed"}
HEAD = ("Rule", "Standing", "Fired", "Missed", "Unexpected", "Recall", "Precision", "Scenarios", "Runbook")
NUMBERS = frozenset({"Fired", "Missed", "Unexpected"})


@dataclass(frozen=True, slots=True)
class Gap:
    """One kind of thing that is missing, and what is."""

    title: str
    names: tuple[str, ...]


def gaps(found: Coverage) -> tuple[Gap, ...]:
    """What is missing, the worst first; kinds of which nothing is missing are left out."""
    standing: dict[Standing, list[str]] = {}
    for rule in found.rules:
        standing.setdefault(rule.standing, []).append(rule.name)
    rows = (
        Gap("Rules that no scenario drills", tuple(standing.get(Standing.NO_SCENARIO, ()))),
        Gap("Rules whose scenarios were never run", tuple(standing.get(Standing.NOT_RUN, ()))),
        Gap("Rules that were drilled and not measured", tuple(standing.get(Standing.UNKNOWN, ()))),
        Gap("Rules without a runbook", found.rules_without_runbook),
        Gap("Runbooks that no scenario drills", found.runbooks_without_scenario),
        Gap("Runbooks whose drills were never run", found.runbooks_never_drilled),
        Gap("Scenarios that were never run", found.scenarios_never_run),
        Gap("Alerts that fired and that the rules file does not have", _strange(found)),
    )
    return tuple(gap for gap in rows if gap.names)


def _strange(found: Coverage) -> tuple[str, ...]:
    return tuple(rule.name for rule in found.rules if not rule.in_rules)


def tone(rule: RuleCoverage) -> str:
    """`met`, `missed` or `unknown`."""
    return _TONES.get(rule.standing, "unknown")


def share(value: float | None, right: int, of: int) -> str:
    """`67 % (2 of 3)`; what was not measured says so."""
    return NOT_MEASURED if value is None else f"{100 * value:.0f} % ({right} of {of})"


def recall(accuracy: Accuracy) -> str:
    return share(accuracy.recall, accuracy.fired, accuracy.expected)


def precision(accuracy: Accuracy) -> str:
    right = accuracy.fired + accuracy.late
    return share(accuracy.precision, right, right + accuracy.unexpected)


def cell(accuracy: Accuracy) -> str:
    """`2 fired, 1 missed`; empty where nothing happened."""
    counts = asdict(accuracy)
    names = {"unknown": NOT_MEASURED, "late": "too late"}
    return ", ".join(f"{count} {names.get(name, name)}" for name, count in counts.items() if count)


def basis(found: Coverage) -> tuple[str, ...]:
    """What the figures rest on, and what they leave out."""
    rows = [f"{found.counted} drills say something of alerts, judged by {found.rules_file}"]
    if found.rehearsals:
        rows.append(f"{found.rehearsals} of all drills were rehearsals, faster than the rules are written")
    if found.left_out:
        rows.append(f"{found.left_out} drills were refused, without effect or broken off: not counted")
    if found.other_rules:
        rows.append(f"{found.other_rules} drills were judged by other rules: not counted")
    return tuple(rows)


def columns(rule: RuleCoverage) -> tuple[str, ...]:
    found = rule.accuracy
    return (
        rule.name,
        f"{_SIGNS[rule.standing]} {rule.standing.value}",
        *map(str, (found.fired, found.late + found.missed, found.unexpected)),
        recall(found),
        precision(found),
        ", ".join(rule.scenarios) or "-",
        rule.runbook or "none",
    )
