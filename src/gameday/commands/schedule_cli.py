"""`gameday schedule` on the command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from gameday.commands.cluster_cli import EnvSecretOption, HistorySecretOption, ImageOption, ParallelOption
from gameday.commands.forms import HistoryOption, Output, OutputOption

app = typer.Typer(invoke_without_command=True, help="Drills at set times: what is due, and who keeps them.")


class Form(StrEnum):
    CRONJOB = "cronjob"
    CRON = "cron"
    ICALENDAR = "icalendar"
    GITHUB = "github"
    GITLAB = "gitlab"


_Environment = Annotated[
    str | None, typer.Option("--environment", "-e", help="In place of the one that the file names.")
]
_Check = Annotated[
    bool,
    typer.Option(
        "--check", help="Exit code 1 when a drill is overdue or stale, 3 when the history knows none of them."
    ),
]


@app.callback()
def schedule(
    context: typer.Context,
    environment: _Environment = None,
    check: _Check = False,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Of every drill in schedules/: last run, last PASS, when it is due, whether it is overdue or stale."""
    if context.invoked_subcommand is None:
        _status([], environment, history, output, check=check)


@app.command("status")
def status(
    schedules: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Files in schedules/; all of them by default."),
    ] = None,
    environment: _Environment = None,
    check: _Check = False,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Last run, last PASS, when it is due, whether it is overdue or stale: what `gameday schedule` does."""
    _status(schedules or [], environment, history, output, check=check)


def _status(
    schedules: list[str], environment: str | None, history: str | None, output: Output, *, check: bool
) -> None:
    from datetime import UTC, datetime

    from gameday.commands import schedule as command
    from gameday.commands.history_cli import choose

    choose(history)
    as_json, now = output is Output.JSON, datetime.now(UTC)
    raise typer.Exit(command.status(schedules, environment, check=check, as_json=as_json, now=now))


@app.command()
def export(
    what: Annotated[
        list[str],
        typer.Argument(metavar="FILE | SCENARIO...", help="A file in schedules/; or scenarios, with --cron."),
    ],
    form: Annotated[Form, typer.Option("--as", help="What to make of it.")] = Form.CRONJOB,
    environment: Annotated[
        str | None,
        typer.Option("--environment", "-e", envvar="GAMEDAY_ENVIRONMENT", help="In place of the file's."),
    ] = None,
    cron: Annotated[str | None, typer.Option(help="When, as cron says it: `30 9 * * mon`.")] = None,
    time_zone: Annotated[
        str, typer.Option("--time-zone", help="Of --cron, such as Europe/Berlin.")
    ] = "Etc/UTC",
    name: Annotated[str, typer.Option(help="Of the drills of --cron.")] = "drills",
    machine_zone: Annotated[
        str | None,
        typer.Option(
            "--machine-zone",
            metavar="ZONE",
            help="cron, github: convert the times to this one, for who cannot be told a time zone.",
        ),
    ] = None,
    prepare: Annotated[
        str | None,
        typer.Option(
            help="github, gitlab: what a job does first, so that it has gameday. By default pip installs it."
        ),
    ] = None,
    parallel: ParallelOption = 1,
    history_secret: HistorySecretOption = None,
    env_secret: EnvSecretOption = None,
    image: ImageOption = None,
) -> None:
    """Print a schedule for whoever keeps it.

    cronjob: CronJobs, for `kubectl apply -f -`: none beside itself, each with a deadline. cron: lines of a crontab.
    icalendar: a calendar that people subscribe to. github, gitlab: jobs of a CI.
    """
    from gameday.commands import schedule as command
    from gameday.commands.submission import Wish
    from gameday.schedule_ci import Prepare

    common = Wish((), environment or "", parallel, history_secret, env_secret, image)
    line = None if cron is None else command.Line(cron, time_zone, name)
    keeper = command.Keeper(form.value, machine_zone, Prepare(prepare) if prepare else Prepare())
    command.export(what, line, keeper, common, typer.echo)
