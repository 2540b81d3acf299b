"""`gameday incident` on the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gameday.commands.forms import HistoryOption, Output, OutputOption

app = typer.Typer(no_args_is_help=True, help="Records of drills that failed, and their post-mortems.")

_Incident = Annotated[
    str, typer.Argument(metavar="INCIDENT", help="INC-YYYYMMDD-XXX, its drill, or `latest`.")
]
_Drill = Annotated[str, typer.Argument(metavar="DRILL", help="A drill's name, its folder, or `latest`.")]


class SeverityName(StrEnum):
    SEV_1 = "SEV-1"
    SEV_2 = "SEV-2"
    SEV_3 = "SEV-3"
    SEV_4 = "SEV-4"


@app.command()
def create(
    drill: Annotated[
        str | None, typer.Argument(metavar="[DRILL]", help="A drill's name, its folder, or `latest`.")
    ] = None,
    affected_tenants: Annotated[
        int | None, typer.Option("--affected-tenants", min=0, help="How many, where somebody counted them.")
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Instead of one drill: each of the history that failed.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="With --failed: from then on; 2026-03-01, or 30d.")
    ] = None,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Make any drill an incident. A drill that failed here is one already; one that failed in a cluster is not."""
    from gameday.commands import incidents as command
    from gameday.commands.history_cli import choose, instant
    from gameday.errors import UsageError

    choose(history)
    as_json = output is Output.JSON
    if not failed:
        if drill is None:
            raise UsageError("name a drill, or say --failed for each of the history that failed")
        if since is not None:
            raise UsageError("--since goes with --failed")
        command.create(drill, affected_tenants, as_json=as_json)
        return
    if drill is not None or affected_tenants is not None:
        raise UsageError("--failed takes every drill that failed; a drill or --affected-tenants is for one")
    raise typer.Exit(command.create_failed(instant(since), as_json=as_json))


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many at most.")] = 20,
    severity: Annotated[SeverityName | None, typer.Option(help="Only of this one.")] = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Incidents so far, newest first."""
    from gameday.commands import incidents as command

    command.list_all(limit, severity.value if severity else None, as_json=output is Output.JSON)


@app.command()
def show(
    incident: _Incident = "latest",
    record: Annotated[
        bool, typer.Option("--record", help="Print the record alone, as other tools read it: JSON.")
    ] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Show an incident: severity, lifecycle, what was owed by when, what is to be done."""
    from gameday.commands import incidents as command

    command.show(incident, as_json=output is Output.JSON, record_only=record)


@app.command()
def report(
    drill: _Drill = "latest", history: HistoryOption = None, output: OutputOption = Output.HUMAN
) -> None:
    """Show a drill, and the incident that it is."""
    from gameday.commands import incidents as command
    from gameday.commands.history_cli import choose

    choose(history)
    command.report(drill, as_json=output is Output.JSON)


class Did(StrEnum):
    """What people may say that they did; but for `classify` by the names of `Duty`."""

    CLASSIFY = "classify"
    TELL_MANAGEMENT = "tell-management"
    TELL_CUSTOMERS = "tell-customers"
    STATUS_PAGE = "status-page"
    TELL_RESOLVED = "tell-resolved"
    REVIEW = "review"
    PUBLISH = "publish"
    PLAN = "plan"
    FOLLOW_UP = "follow-up"


_At = Annotated[
    str | None,
    typer.Option("--at", metavar="WHEN", help="09:14:30Z, 2026-03-02T09:14Z, or how long ago: 5m. Now."),
]
_By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who did it.")]


@app.command()
def log(
    incident: _Incident,
    did: Annotated[Did, typer.Argument(help="What people did.")],
    at: _At = None,
    by: _By = None,
    severity: Annotated[
        SeverityName | None, typer.Option(help="With `classify`: what they took it for.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="What else is worth knowing.")] = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Write down what people did, which a drill does not see: lifecycle and deadlines count it."""
    from gameday.commands import incidents as command
    from gameday.incidents.severities import Duty

    what = did.value if did is Did.CLASSIFY else Duty[did.name].value
    said = command.Said(what, at, by, severity.value if severity else None, note)
    command.log(incident, said, as_json=output is Output.JSON)


@app.command()
def done(
    incident: _Incident,
    number: Annotated[int, typer.Argument(metavar="ITEM", help="The action item's number, from 1.")],
    at: _At = None,
    by: _By = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Mark an action item as done."""
    from gameday.commands import incidents as command

    command.done(incident, number, at, by, as_json=output is Output.JSON)


@app.command("actions")
def action_items(
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is overdue.")] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Action items of all incidents that are still open, what is due first at the top."""
    from gameday.commands import incidents as command

    command.action_items(overdue=overdue, as_json=output is Output.JSON)


@app.command("post-mortem")
def post_mortem(
    incident: Annotated[
        str | None,
        typer.Argument(metavar="INCIDENT", envvar="GAMEDAY_INCIDENT", help="As `show`; asked on a terminal."),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(envvar="GAMEDAY_TITLE", help="In place of the incident's; asked on a terminal."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="In place of docs/post-mortems.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Over a draft that is there already.")] = False,
    history: HistoryOption = None,
) -> None:
    """Draft a blameless post-mortem from the evidence: docs/post-mortems/INC-YYYYMMDD-XXX-title.md."""
    from gameday.commands import incidents as command
    from gameday.commands.history_cli import choose

    choose(history)
    command.post_mortem(command.Draft(incident or None, title or None, to, again))


@app.command()
def severities(output: OutputOption = Output.HUMAN) -> None:
    """The severities of five teams in one table, and what each asks of a team, with its source."""
    from gameday.commands import incidents as command

    command.severities(as_json=output is Output.JSON)
