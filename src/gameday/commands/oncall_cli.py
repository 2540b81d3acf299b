"""`gameday on-call` on the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Form(StrEnum):
    HUMAN = "human"
    JSON = "json"
    ICALENDAR = "icalendar"


class SeverityName(StrEnum):
    SEV1 = "SEV1"
    SEV2 = "SEV2"
    SEV3 = "SEV3"
    SEV4 = "SEV4"


def on_call(
    rosters: Annotated[
        list[str] | None,
        typer.Argument(metavar="ROSTER...", help="Files in on-call/; all of them by default."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT",
            help="Not now: `2026-12-24T09:00`, in the roster's time zone unless it says one.",
        ),
    ] = None,
    severity: Annotated[
        SeverityName | None, typer.Option(help="Whom an incident of this severity calls, and when.")
    ] = None,
    weeks: Annotated[int, typer.Option(min=0, max=520, help="So many weeks after this one.")] = 4,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="Form of the result on standard output.")
    ] = Form.HUMAN,
) -> None:
    """Who is on call now or at an instant, whom the escalation reaches when, and the next weeks."""
    from gameday.commands import oncall as command

    command.on_call(rosters or [], at, severity.value if severity else None, weeks, output.value, typer.echo)
