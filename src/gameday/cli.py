"""The command line. Imports stay inside the commands: `gameday --help` loads no more than typer."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gameday.commands import (
    cluster_cli,
    gameday_cli,
    history_cli,
    incidents_cli,
    init_cli,
    oncall_cli,
    schedule_cli,
)
from gameday.commands.forms import (
    DEFAULT_ENVIRONMENT,
    EnvironmentOption,
    HistoryOption,
    Output,
    OutputOption,
)

if TYPE_CHECKING:
    from gameday.project import Project
    from gameday.targets.base import OwnedTarget

app = typer.Typer(
    name="gameday",
    help="Chaos and game-day drills that prove alerts, runbooks and recovery objectives.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
env_app = typer.Typer(no_args_is_help=True, help="Bring an environment up or down, or look at it.")
app.command()(init_cli.init)
app.add_typer(env_app, name="env")
app.add_typer(gameday_cli.app, name="gameday")
app.add_typer(history_cli.app, name="history")
app.command()(history_cli.show)
app.command()(history_cli.gate)
app.command()(cluster_cli.submit)
app.command()(cluster_cli.follow)
app.command(hidden=True)(cluster_cli.inside)
app.add_typer(schedule_cli.app, name="schedule")
app.add_typer(incidents_cli.app, name="incident")
app.command("on-call")(oncall_cli.on_call)
runbook_app = typer.Typer(no_args_is_help=True, help="Look after runbooks.")
app.add_typer(runbook_app, name="runbook")
rules_app = typer.Typer(no_args_is_help=True, help="Look after alert rules.")
app.add_typer(rules_app, name="rules")


class CoverageOutput(StrEnum):
    HUMAN = "human"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


class SchemaKind(StrEnum):
    SCENARIO = "scenario"
    ENVIRONMENT = "environment"
    GAMEDAY = "gameday"
    SCHEDULE = "schedule"
    ROSTER = "roster"
    INCIDENT = "incident"


SpeedOption = Annotated[
    float, typer.Option(help="Rehearse N times faster: divides rule windows, budgets and objectives.")
]


def _version(value: bool) -> None:
    if value:
        from gameday import __version__

        typer.echo(f"gameday {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version


# --- drills -----------------------------------------------------------------------------------------------


@app.command()
def run(
    scenarios: Annotated[
        list[str], typer.Argument(metavar="SCENARIO...", help="Names in scenarios/, or paths.")
    ],
    environment: EnvironmentOption = None,
    speed: SpeedOption = 1.0,
    parallel: Annotated[
        int, typer.Option("--parallel", "-p", min=1, max=16, help="So many of several drills at once.")
    ] = 1,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Of several drills, start no other after the first FAIL.")
    ] = False,
    rules: Annotated[
        Path | None, typer.Option(help="Another rules file in place of the detector's, for this run.")
    ] = None,
    disarmed: Annotated[
        bool, typer.Option("--disarmed", help="Do everything but the fault: no drill may pass without it.")
    ] = False,
    answers: Annotated[
        Path | None, typer.Option(help="YAML file of answers to manual steps: heading of the step -> answer.")
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Ask manual steps on this terminal.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and touch nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before breaking something.")] = False,
    up: Annotated[
        bool,
        typer.Option(
            "--up", help="Bring the environment up first, and down again after; several drills always do."
        ),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JUnit XML of all drills to this file, too.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a summary in Markdown to this file, too.")
    ] = None,
    history: HistoryOption = None,
    output: OutputOption = Output.HUMAN,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run one drill, or several, each in an environment of its own.

    Exit codes: 0 PASS, 1 FAIL, 2 invalid, 3 INCONCLUSIVE, 4 aborted, 5 something left behind; of several drills
    the worst, in the order 5, 4, 2, 1, 3, 0.
    """
    from gameday.commands import run as command
    from gameday.commands.ci_files import CiFiles

    if parent is not None:
        command.end_with(parent)
    history_cli.choose(history)
    if answers is not None and interactive:
        from gameday.errors import UsageError

        raise UsageError("--answers and --interactive: expected one of them")
    options = command.Options(
        environment=environment or DEFAULT_ENVIRONMENT,
        speed=speed,
        yes=yes,
        up=up,
        as_json=output is Output.JSON,
        rules=rules,
        disarmed=disarmed,
        answers=answers,
        interactive=interactive,
        files=CiFiles(junit, summary),
    )
    if dry_run:
        raise typer.Exit(command.dry_run(scenarios, options))
    if len(scenarios) == 1:
        raise typer.Exit(command.run(scenarios[0], options))
    from gameday.commands import batch

    raise typer.Exit(batch.run_several(scenarios, options, parallel=parallel, fail_fast=fail_fast))


@app.command()
def simulate(
    scenario: Annotated[
        str | None,
        typer.Argument(envvar="SCENARIO", help="Which incident; without it, a menu asks."),
    ] = None,
    environment: EnvironmentOption = None,
    speed: SpeedOption = 1.0,
) -> None:
    """Simulate an incident that is chosen from a menu: a drill, in an environment brought up for it."""
    from gameday.commands import simulate as command

    raise typer.Exit(command.simulate(scenario, environment or DEFAULT_ENVIRONMENT, speed))


@app.command()
def coverage(
    environment: EnvironmentOption = None,
    output: Annotated[
        CoverageOutput, typer.Option("--output", "-o", help="Form of the result on standard output.")
    ] = CoverageOutput.HUMAN,
) -> None:
    """Which alert rules, runbooks and scenarios were proven by drills, and how accurate the alerts were."""
    from gameday.commands import coverage as command

    command.coverage(_project(), environment or DEFAULT_ENVIRONMENT, output.value)


@app.command()
def stop(environment: EnvironmentOption = None) -> None:
    """End the drill that runs in an environment; its runner puts everything back."""
    from gameday.commands import run as command

    typer.echo(command.stop(environment or DEFAULT_ENVIRONMENT))


@app.command()
def recover(
    environment: EnvironmentOption = None,
    log: Annotated[Path | None, typer.Option(hidden=True)] = None,
    by: Annotated[str, typer.Option(hidden=True)] = "gameday recover",
    reason: Annotated[str, typer.Option(hidden=True)] = "the runner died; put back by `gameday recover`",
) -> None:
    """Put back what drills without a runner have left, in all environments or in one."""
    from gameday.commands import recover as command

    raise typer.Exit(command.recover(environment, log, by, reason, typer.echo))


@app.command()
def rbac(
    scenario: Annotated[list[str], typer.Option("--scenario", "-s", help="Names in scenarios/, or paths.")],
    environment: EnvironmentOption = None,
) -> None:
    """Print the least that drills may do in their namespace: service accounts and roles, for `kubectl apply -f -`."""
    from gameday.commands import rbac as command

    typer.echo(command.render(_project(), environment or DEFAULT_ENVIRONMENT, scenario), nl=False)


@app.command()
def judge(drill: Annotated[str, typer.Argument(help="A drill's name, or its folder.")]) -> None:
    """Judge a stored drill again and write its reports anew. Exit code as `gameday run`."""
    from gameday.commands import stored

    raise typer.Exit(stored.judge(drill))


# --- environments -----------------------------------------------------------------------------------------


EnvironmentArgument = Annotated[str, typer.Argument(help="Environment, or environment@instance.")]


@env_app.command("up")
def env_up(environment: EnvironmentArgument = DEFAULT_ENVIRONMENT) -> None:
    """Start what is not running, and wait until all is ready."""
    started = _target(environment).up(on_progress=lambda line: typer.echo(line, err=True))
    typer.echo(
        f"{environment}: started {', '.join(started)}" if started else f"{environment}: was up already"
    )
    _print_status(environment)


@env_app.command("down")
def env_down(environment: EnvironmentArgument = DEFAULT_ENVIRONMENT) -> None:
    """Stop everything and remove its data."""
    stopped = _target(environment).down(on_progress=lambda line: typer.echo(line, err=True))
    typer.echo(
        f"{environment}: stopped {', '.join(stopped)}" if stopped else f"{environment}: was down already"
    )


@env_app.command("status")
def env_status(
    environment: EnvironmentArgument = DEFAULT_ENVIRONMENT, output: OutputOption = Output.HUMAN
) -> None:
    """Show each component. Exit code 0 when all are up, 1 otherwise."""
    status = _target(environment).status()
    if output is Output.JSON:
        rows = {
            name: {"running": s.running.value, "address": s.address, "targets": s.targets}
            for name, s in status.items()
        }
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_status(environment)
    if any(found.running.value != "up" for found in status.values()):
        raise typer.Exit(1)


def _print_status(environment: str) -> None:
    status = _target(environment).status()
    width = max(len(name) for name in status)
    for name, found in status.items():
        typer.echo(
            f"  {name:<{width}}  {found.running.value:<6}  {found.address}  {', '.join(found.targets)}"
        )


def _target(reference: str) -> OwnedTarget:
    from gameday.environment import load_instance
    from gameday.targets import open_target

    project = _project()
    environment, instance = load_instance(project, reference)
    return open_target(environment, instance, project)


def _project() -> Project:
    from gameday.project import Project

    return Project.find()


# --- files ------------------------------------------------------------------------------------------------


@app.command()
def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="Scenario, environment, game day or runbook files; folders.")
    ],
) -> None:
    """Check files. Every problem is printed with file, line, field and what would be right; exit code 2."""
    from gameday.commands import files

    raise typer.Exit(files.validate(paths, typer.echo, _to_stderr))


@app.command()
def schema(kind: SchemaKind) -> None:
    """Print a JSON Schema, for editors that complete and check YAML."""
    from gameday.commands import files

    typer.echo(json.dumps(files.schema(kind.value), indent=2))


@app.command("compile")
def compile_(
    scenarios: Annotated[list[str] | None, typer.Argument(help="Scenarios; all of them by default.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file would change.")
    ] = False,
) -> None:
    """Compile scenarios to Chaos Toolkit experiments in experiments/."""
    from gameday.commands import files

    raise typer.Exit(files.compile_all(_project(), scenarios or [], check=check, out=typer.echo))


@rules_app.command("lint")
def rules_lint(
    files: Annotated[list[Path], typer.Argument(help="Prometheus rules files.")],
) -> None:
    """Tell what alert rules cannot see, or see wrongly, and what would be right. Exit code 1 on an error."""
    from gameday.commands import rules

    raise typer.Exit(rules.lint(files, typer.echo))


@runbook_app.command("lint")
def runbook_lint(environment: EnvironmentOption = None) -> None:
    """Compare runbooks with an environment, its alert rules and the scenarios. Exit code 1 on an error."""
    from gameday.commands import runbooks

    raise typer.Exit(runbooks.lint_all(_project(), environment or DEFAULT_ENVIRONMENT, typer.echo))


# --- the detector alone -----------------------------------------------------------------------------------


@app.command()
def detect(
    environment: EnvironmentOption = None,
    interval: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds between evaluations; by default the environment's.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Evaluate once and exit; 1 when an alert fires.")
    ] = False,
    speed: Annotated[float, typer.Option(min=1, max=100)] = 1.0,
    up: Annotated[
        bool, typer.Option("--up", help="Bring the environment up if it is down, and down again after.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="With --once: write the alerts to this file too, as JSON.")
    ] = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Run the environment's detector alone: scrape, evaluate, print alerts that change."""
    from gameday.commands import detect as command

    target = _target(environment or DEFAULT_ENVIRONMENT)
    watch = command.Watch(interval, speed, once=once, up=up, report=report, as_json=output is Output.JSON)
    raise typer.Exit(command.detect(_project(), target, watch))


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)
