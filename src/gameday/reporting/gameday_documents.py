"""The report of a game day as Markdown, as one self-contained page and as JSON, and all of them into its folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template

from gameday.fields import format_duration
from gameday.gamedays.findings import record_of
from gameday.gamedays.state import Attempt, DrillState, Status
from gameday.reporting.document import json_text
from gameday.reporting.gameday import Report, Row
from gameday.reporting.markdown import escape
from gameday.reporting.page import page_template
from gameday.reporting.terminal import SIGNS
from gameday.reporting.write import write_text
from gameday.text import one_line

NONE_YET = "None."
HEAD = ("#", "Scenario", "Verdict", "MTTD", "To recover", "Data loss", "Restored by", "Tries")


def write_documents(report: Report) -> tuple[Path, ...]:
    """Write `report.md`, `report.html` and `game-day.json`; returns their paths in that order.

    Raises:
        OSError: the folder cannot be written.
    """
    documents = {
        "report.md": to_markdown(report),
        "report.html": to_html(report),
        "game-day.json": json_text(document(report)),
    }
    return tuple(write_text(report.folder / name, text) for name, text in documents.items())


# --- Markdown -----------------------------------------------------------------------------------------------


def to_markdown(report: Report) -> str:
    """The whole report."""
    started = report.state.started
    head = [f"# {report.outcome}: {escape(started.title, 200)}", ""]
    head += ["\n>\n".join(f"> **{escape(text)}**" for _, text in report.notices)]
    head += ["", f"**{SIGNS[report.outcome]} {escape(report.headline)}** · {escape(_when(report))}"]
    sections = (
        "\n".join(head),
        _section("Goals", [f"- {escape(goal)}" for goal in started.goals]),
        _section("Drills", _table(HEAD, (_cells(row) for row in report.rows)) + _whys(report.rows)),
        _section(
            "Findings",
            [
                f"- **{one.id}** {escape(one.kind)}: “{escape(one.title)}”: {escape(one.detail)}"
                + (" *No action item yet.*" if one.id in report.open_findings else "")
                for one in report.findings
            ],
        ),
        _section("Action items", _actions(report)),
        _section(
            "What to change in rules and runbooks",
            [
                f"- {one.what.capitalize()} **{escape(one.name)}**: {escape(one.text)} "
                f"(finding {', '.join(one.findings)})"
                for one in report.changes
            ],
        ),
        _section("Timeline", _timeline(report)),
        _section("Roles", _table(("Role", "Who", "Duty"), (tuple(map(escape, row)) for row in report.roles))),
        _section("Go or no-go", _checklist(report)),
    )
    return "\n\n".join(sections) + "\n"


def _when(report: Report) -> str:
    state = report.state
    spent = format_duration(round(report.duration_s))
    surprises = f"; surprises drawn with seed {state.started.seed}" if state.started.seed is not None else ""
    return f"{state.started.environment}, {state.at.utc:%Y-%m-%d %H:%M:%S} UTC, {spent}{surprises}"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(lines or [NONE_YET])])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body] if body else []


def _cells(row: Row) -> tuple[str, ...]:
    name = escape(row.scenario) + (" (surprise)" if row.surprise else "")
    return (
        str(row.number),
        f"[{name}](<{row.report}>)" if row.report else name,
        f"{row.sign} {row.outcome}",
        *map(escape, (row.mttd, row.recovery, row.data_loss, row.restored_by)),
        ", ".join(f"[{what}](<{link}>)" if link else what for what, link in row.tries),
    )


def _whys(rows: Iterable[Row]) -> list[str]:
    told = [
        f"- Drill {row.number}, {escape(row.scenario)}: {escape(row.why)}"
        + (f" (incident [{row.incident[0]}](<{row.incident[1]}>))" if row.incident else "")
        for row in rows
        if row.why
    ]
    return ["", *told] if told else []


def _actions(report: Report) -> list[str]:
    rows = (
        (str(number), *(escape(text) for text in (one.text, one.owner, one.due, one.finding or "")))
        for number, one in report.actions
    )
    return _table(("#", "What", "Owner", "Due", "Finding"), rows)


def _timeline(report: Report) -> list[str]:
    rows = (
        (f"{one.at:%H:%M:%S}", str(one.during or ""), one.kind, escape(one.text)) for one in report.timeline
    )
    return _table(("UTC", "Drill", "Kind", "What"), rows)


def _checklist(report: Report) -> list[str]:
    rows = (("✓" if ok else "✗", escape(name), escape(detail)) for name, ok, detail in report.checklist)
    return _table(("Go", "Check", "What was seen or answered"), rows)


# --- the page -----------------------------------------------------------------------------------------------


def to_html(report: Report) -> str:
    """One page without script, font or request."""
    return _template().render(report=report, head=HEAD, when=_when(report), signs=SIGNS)


@cache
def _template() -> Template:
    return page_template("gameday.html.j2", one_line=lambda text: one_line(text, 2000))


# --- for programs -------------------------------------------------------------------------------------------


def document(report: Report) -> dict[str, Any]:
    """The content of `game-day.json`."""
    state, started = report.state, report.state.started
    return {
        "folder": report.name,
        "game_day": started.game_day,
        "title": started.title,
        "date": started.date,
        "environment": started.environment,
        "speed": started.speed,
        "rehearsal": report.rehearsal,
        "seed": started.seed,
        "unattended": started.unattended,
        "began": state.at.utc.isoformat(),
        "duration_s": round(report.duration_s, 3),
        "outcome": report.outcome,
        "over": state.over,
        "aborted": state.aborted,
        "taken_up": state.taken_up,
        "go": None if state.go is None else state.go.go,
        "goals": list(started.goals),
        "roles": {role: list(people) for role, people in state.roles.items()},
        "checklist": [{"check": name, "ok": ok, "detail": detail} for name, ok, detail in report.checklist],
        "drills": [_drill_document(report, drill) for drill in state.drills],
        "findings": [asdict(finding) for finding in report.findings],
        "open_findings": list(report.open_findings),
        "actions": [action.model_dump(mode="json") for _, action in report.actions],
        "changes": [asdict(change) for change in report.changes],
        "timeline": [
            {"at": one.at.isoformat(), "kind": one.kind, "text": one.text, "during": one.during}
            for one in report.timeline
        ],
    }


def _drill_document(report: Report, drill: DrillState) -> dict[str, Any]:
    record, last = record_of(drill, report.records), drill.last
    verdict = record.verdict if record is not None and drill.status is Status.ENDED else None
    intervals = {name: verdict.interval(name) if verdict else None for name in ("mttd", "time_to_recover")}
    return {
        "number": drill.planned.number,
        "scenario": drill.planned.scenario,
        "surprise": drill.planned.surprise,
        "status": drill.status.value,
        "verdict": last.outcome if last is not None else None,
        "exit_code": last.exit_code if last is not None else None,
        "reasons": list(last.reasons) if last is not None else [],
        "attempts": [
            {"number": one.number, "drill": one.drill, "outcome": one.outcome, "interrupted": one.interrupted}
            for one in drill.attempts
        ],
        **{
            name: None if found is None else {"value_s": found.value_s, "resolution_s": found.resolution_s}
            for name, found in intervals.items()
        },
        "data_loss_s": verdict.data_loss_s if verdict else None,
        "restored_by": verdict.restored_by if verdict else None,
        "incident": _number_of(report, last),
    }


def _number_of(report: Report, attempt: Attempt | None) -> str | None:
    found = report.incidents.get(attempt.drill) if attempt is not None and attempt.drill else None
    return found[0] if found is not None else None
