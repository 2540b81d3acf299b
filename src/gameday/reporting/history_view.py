"""Tables of many drills: for `gameday history` on a terminal, in a pipe and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from gameday.reporting.terminal import SIGNS, console_for
from gameday.text import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from gameday.history.listing import Listed
    from gameday.history.model import DrillRow

_COLOURS = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}
NOT_MEASURED = "-"
_WIDE = 112


def history_table(rows: Sequence[DrillRow | Listed], width: int = 120) -> Table:
    """Drills in the order given; below 112 columns when, scenario and environment share one.

    What was not measured is `-`, never 0.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    wide = width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1 if wide else 0, 0, 0))
    for name in ("When (UTC)", "Scenario", "Environment") if wide else ("Drill",):
        table.add_column(name, overflow="fold", min_width=None if wide else 16)
    table.add_column("Verdict", no_wrap=True)
    for name in ("MTTD", "To recover", "Data loss"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("By", no_wrap=True)
    for row in rows:
        drill = (f"{row.started:%Y-%m-%d %H:%M}", one_line(row.scenario, 80), one_line(row.environment, 40))
        verdict = Text(f"{SIGNS.get(row.verdict, '?')} {row.verdict}", style=_COLOURS.get(row.verdict, ""))
        table.add_row(
            *map(Text, drill if wide else ["\n".join(drill)]),
            verdict.append(_mark(row), style="yellow"),
            _measured(row.mttd_s, row.mttd_resolution_s),
            _measured(row.time_to_recover_s, row.time_to_recover_resolution_s),
            NOT_MEASURED if row.data_loss_s is None else f"{row.data_loss_s:.2f} s",
            Text(row.restored_by or NOT_MEASURED),
        )
    return table


def history_lines(rows: Sequence[DrillRow | Listed]) -> str:
    """The same for a pipe: tab-separated, one line a drill, so that `cut` and `sort` work."""
    head = "started\tscenario\tenvironment\tverdict\tspeed\tmttd_s\ttime_to_recover_s\tdata_loss_s\trestored_by\tfolder"
    return "\n".join([head, *("\t".join(_cells(row)) for row in rows)])


def print_history(rows: Sequence[DrillRow | Listed], stream: IO[str] | None = None) -> None:
    """A table on a terminal, tab-separated lines elsewhere; to stdout where no stream is given."""
    stream = stream or sys.stdout
    console = console_for(stream, live=stream.isatty())
    if not rows:
        console.print("no drills yet")
    elif console.is_terminal:
        console.print(history_table(rows, console.width), soft_wrap=False)
    else:
        # past rich, which would expand the tabs
        stream.write(history_lines(rows) + "\n")


def history_json(rows: Sequence[DrillRow]) -> str:
    """The drills as a JSON array."""
    return json.dumps(history_values(rows), ensure_ascii=False, indent=2)


def history_values(rows: Sequence[DrillRow]) -> list[dict[str, Any]]:
    """Every column, instants as ISO 8601 in UTC, with the alerts of each drill."""
    from gameday.history.model import DrillRow  # with SQLAlchemy, which the list does without

    return [
        {
            **{column.key: _plain(getattr(row, column.key)) for column in DrillRow.__table__.columns},
            "rehearsal": row.rehearsal,
            "alerts": [
                {
                    "alert": alert.alert,
                    "expected": alert.expected,
                    "collateral": alert.collateral,
                    "fired": alert.fired,
                    "mttd_s": alert.mttd_s,
                }
                for alert in row.alerts
            ],
        }
        for row in rows
    ]


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _mark(row: DrillRow | Listed) -> str:
    """The short form of "rehearsal at N times speed", beside the verdict, where nobody can miss it."""
    return f"\nrehearsal x{row.speed:g}" if row.rehearsal else ""


def _measured(value_s: float | None, resolution_s: float | None) -> str:
    if value_s is None:
        return NOT_MEASURED
    if value_s >= 120:
        minutes, seconds = divmod(round(value_s), 60)
        return f"{minutes}m{seconds:02d}s ±{resolution_s or 0.0:.1f} s"
    return f"{value_s:.2f} ±{resolution_s or 0.0:.2f} s"


def _cells(row: DrillRow | Listed) -> list[str]:
    figures = (row.mttd_s, row.time_to_recover_s, row.data_loss_s)
    return [
        row.started.isoformat(timespec="seconds"),
        one_line(row.scenario),
        one_line(row.environment),
        row.verdict,
        f"{row.speed:g}",
        *(NOT_MEASURED if figure is None else f"{figure:.3f}" for figure in figures),
        row.restored_by or NOT_MEASURED,
        one_line(row.folder),
    ]
