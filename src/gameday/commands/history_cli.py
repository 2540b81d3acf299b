"""`gameday history` and `gameday show` on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gameday.commands.forms import HistoryOption, Output, OutputOption

app = typer.Typer(invoke_without_command=True, help="Drills so far, newest first.")

_LimitOption = Annotated[int, typer.Option(min=1, max=100_000, help="So many drills at most.")]
_EnvironmentFilter = Annotated[str | None, typer.Option("--environment", "-e", help="Only of this one.")]
_ScenarioFilter = Annotated[str | None, typer.Option(help="Only of this one.")]
_VerdictFilter = Annotated[str | None, typer.Option(help="PASS, FAIL or INCONCLUSIVE.")]


def choose(url: str | None) -> None:
    """The history of this process and of those that it starts: what `--history` says is what the variable says."""
    if url:
        os.environ["GAMEDAY_HISTORY_URL"] = url


@app.callback()
def history(
    context: typer.Context,
    limit: _LimitOption = 20,
    scenario: _ScenarioFilter = None,
    environment: _EnvironmentFilter = None,
    verdict: _VerdictFilter = None,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Drills so far, newest first."""
    choose(history)
    if context.invoked_subcommand is None:
        _list(limit, scenario, environment, verdict, output)


@app.command("list")
def list_(
    limit: _LimitOption = 20,
    scenario: _ScenarioFilter = None,
    environment: _EnvironmentFilter = None,
    verdict: _VerdictFilter = None,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Drills so far, newest first: what `gameday history` does."""
    choose(history)
    _list(limit, scenario, environment, verdict, output)


def _list(
    limit: int, scenario: str | None, environment: str | None, verdict: str | None, output: Output
) -> None:
    from gameday.commands import stored

    stored.history(limit, scenario, environment, verdict, as_json=output is Output.JSON)


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
