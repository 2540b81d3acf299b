"""`gameday history`, `gameday show` and `gameday gate` on the command line."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gameday.commands.forms import HistoryOption, Output, OutputOption

if TYPE_CHECKING:
    from datetime import datetime

app = typer.Typer(invoke_without_command=True, help="Drills so far, newest first; their trends and metrics.")


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class PageForm(StrEnum):
    HTML = "html"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


class MetricsOutput(StrEnum):
    HUMAN = "human"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


class Every(StrEnum):
    MONTH = "month"
    QUARTER = "quarter"


_LimitOption = Annotated[int, typer.Option(min=1, max=100_000, help="So many drills at most.")]
_EnvironmentFilter = Annotated[
    str | None, typer.Option("--environment", "-e", help="Only of this one and its instances.")
]
_ScenarioFilter = Annotated[str | None, typer.Option(help="Only of this one.")]
_VerdictFilter = Annotated[Verdict | None, typer.Option(case_sensitive=False, help="Only with this one.")]
_SinceFilter = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Only from then on: a day such as 2026-03-01, or 30d for 30 days ago."),
]
_LastOption = Annotated[
    int, typer.Option("--last", metavar="N", min=3, max=1000, help="So many drills before make the median.")
]
_ToleranceOption = Annotated[
    float,
    typer.Option(metavar="PERCENT", min=0, max=1000, help="So much above the median is no regression yet."),
]


def choose(url: str | None) -> None:
    """The history of this process and of those that it starts: what `--history` says is what the variable says."""
    if url:
        os.environ["GAMEDAY_HISTORY_URL"] = url


def instant(since: str | None) -> datetime | None:
    """What `--since` means.

    Raises:
        UsageError: nothing.
    """
    if since is None:
        return None
    from datetime import UTC, datetime

    from gameday.commands.since import parse_since

    return parse_since(since, datetime.now(UTC))


@app.callback()
def history(
    context: typer.Context,
    limit: _LimitOption = 20,
    scenario: _ScenarioFilter = None,
    environment: _EnvironmentFilter = None,
    verdict: _VerdictFilter = None,
    since: _SinceFilter = None,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Drills so far, newest first."""
    choose(history)
    if context.invoked_subcommand is None:
        _list(limit, scenario, environment, verdict, since, output)


@app.command("list")
def list_(
    limit: _LimitOption = 20,
    scenario: _ScenarioFilter = None,
    environment: _EnvironmentFilter = None,
    verdict: _VerdictFilter = None,
    since: _SinceFilter = None,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Drills so far, newest first: what `gameday history` does."""
    choose(history)
    _list(limit, scenario, environment, verdict, since, output)


def _list(
    limit: int,
    scenario: str | None,
    environment: str | None,
    verdict: Verdict | None,
    since: str | None,
    output: Output,
) -> None:
    from gameday.commands import stored

    only = None if verdict is None else verdict.value
    stored.history(limit, scenario, environment, only, instant(since), as_json=output is Output.JSON)


@app.command()
def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A drill's name, its end, its folder, or `latest`.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Two drills side by side: verdict, checks, intervals, who restored."""
    from gameday.commands import history_trends

    choose(history)
    history_trends.compare(first, second, as_json=output is Output.JSON)


@app.command()
def regressions(
    last: _LastOption = 10,
    tolerance: _ToleranceOption = 20.0,
    scenario: _ScenarioFilter = None,
    environment: _EnvironmentFilter = None,
    since: _SinceFilter = None,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """The newest drill of each scenario and environment against the median of those before it.

    Compared are MTTD, time to recover and data loss, at the same speed. Exit code 1 when one is worse, 3 when
    nothing could be compared.
    """
    from gameday.commands import history_trends
    from gameday.history.filters import Wanted

    choose(history)
    wanted = Wanted(scenario, environment, since=instant(since))
    raise typer.Exit(history_trends.regressions(wanted, last, tolerance / 100, as_json=output is Output.JSON))


@app.command()
def metrics(
    every: Annotated[Every, typer.Option(help="Length of a period.")] = Every.MONTH,
    severity: Annotated[str | None, typer.Option(help="Only of this one, such as SEV1.")] = None,
    scenario: _ScenarioFilter = None,
    environment: _EnvironmentFilter = None,
    since: _SinceFilter = None,
    history: HistoryOption = None,
    output: Annotated[
        MetricsOutput, typer.Option("--output", "-o", help="Form of the result on standard output.")
    ] = MetricsOutput.HUMAN,
) -> None:
    """MTTD, MTTR, MTBF, incidents, alert accuracy, RTO and RPO adherence, restore tests, with their goals.

    By month or quarter and by severity, of the last 12 months. Rehearsals are left out.
    """
    from gameday.commands import history_trends
    from gameday.history.filters import Wanted

    choose(history)
    wanted = Wanted(scenario, environment, since=instant(since))
    history_trends.metrics(wanted, every.value, severity, output.value)


@app.command()
def page(
    form: Annotated[PageForm, typer.Option(help="HTML is one self-contained page.")] = PageForm.HTML,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            help="Where it is written: by default HTML to history.html in the reports, other forms to standard output.",
        ),
    ] = None,
    scenario: _ScenarioFilter = None,
    environment: _EnvironmentFilter = None,
    since: _SinceFilter = None,
    history: HistoryOption = None,
) -> None:
    """Trends, metrics, heat map, coverage and the latest drills, of the last 12 months or since a day."""
    import gc

    gc.disable()  # what is imported and counted stays until the end, a second later; looking through it costs a tenth
    from gameday.commands import history_trends

    choose(history)
    history_trends.page(scenario, environment, instant(since), form.value, to)


@app.command()
def add(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Evidence folders of drills.")],
    history: HistoryOption = None,
) -> None:
    """Store drills that are not in the history yet, or anew. Exit code 3 when one could not be."""
    from gameday.commands import stored

    choose(history)
    raise typer.Exit(stored.add(folders, typer.echo))


@app.command()
def rebuild(history: HistoryOption = None) -> None:
    """Make the index anew from the evidence folders, which are stored too where the history has a URL."""
    from gameday.commands import stored

    choose(history)
    raise typer.Exit(stored.rebuild(typer.echo))


def show(
    drill: Annotated[str, typer.Argument(help="A drill's name, its folder, or `latest`.")] = "latest",
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Put the report and all evidence into this new folder."),
    ] = None,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Show a stored drill: verdict, checks, where its report is. From the history where that has a URL."""
    from gameday.commands import stored

    choose(history)
    stored.show(drill, to, as_json=output is Output.JSON)


def gate(
    environment: _EnvironmentFilter = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option("--scenario", "-s", help="Only of this one; may be given several times."),
    ] = None,
    since: _SinceFilter = None,
    schedule: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Schedule files; by default all of schedules/."),
    ] = None,
    last: _LastOption = 10,
    tolerance: _ToleranceOption = 20.0,
    rehearsals: Annotated[
        bool, typer.Option("--rehearsals", help="A rehearsal that passed keeps its scenario fresh, too.")
    ] = False,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Whether drills allow a release: exit code 1 on a FAIL, a regression or a scenario that is stale.

    Judged are the newest drill of each scenario and environment, and each scenario of a schedule: stale is one that has
    not passed within its period. Exit code 3 where nothing is bad but something proved nothing, or there is no drill.
    """
    from gameday.commands import gate as command

    choose(history)
    question = command.Question(
        environment, scenario or (), instant(since), schedule or (), last, tolerance / 100, rehearsals
    )
    raise typer.Exit(command.gate(question, as_json=output is Output.JSON))
