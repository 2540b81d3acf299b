"""`gameday gameday` on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from gameday.commands.forms import EnvironmentOption, HistoryOption, Output, OutputOption

app = typer.Typer(
    no_args_is_help=True,
    help="Game days: planned drills with roles, an order, notes, findings and action items.",
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name in gamedays/, or a path.")]
_Which = Annotated[
    str | None,
    typer.Option("--game-day", "-g", help="Its name or folder; by default the newest of all."),
]
_Seed = Annotated[int | None, typer.Option(min=0, help="Draw surprises with this seed, not the file's.")]
_Speed = Annotated[
    float | None,
    typer.Option(help="Rehearse N times faster: divides rule windows, budgets, objectives and pauses."),
]
_By = Annotated[str | None, typer.Option(help="Who says so; by default the name of this user.")]


@app.command()
def plan(
    name: _Name,
    environment: EnvironmentOption = None,
    speed: _Speed = None,
    seed: _Seed = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the surprises too.")] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Print what will happen when, who takes part, and what each drill needs; touches nothing."""
    from gameday.commands import gameday_plan as command

    as_json = output is Output.JSON
    command.plan(name, environment, speed or 1.0, seed, typer.echo, reveal=reveal, as_json=as_json)


@app.command()
def run(
    name: _Name,
    environment: EnvironmentOption = None,
    speed: _Speed = None,
    seed: _Seed = None,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE=PERSON", help="Who has a role today, in place of the file's."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nobody: the file's `answers` stand for people.")
    ] = False,
    up: Annotated[
        bool, typer.Option("--up", help="Bring the environment up if it is down, and down again at the end.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Begin another one, although the last of this name is not over.")
    ] = False,
    history: HistoryOption = None,
) -> None:
    """Go or no-go, then drill after drill; takes up a game day that is not over where it was.

    Exit codes: the worst of its drills, as `gameday run` has it; 2 invalid, 3 NO-GO, 4 aborted, 5 something left.
    """
    from gameday.commands import gameday_run as command
    from gameday.commands import history_cli
    from gameday.commands.gameday_notes import hand_over

    history_cli.choose(history)
    given = [hand_over(text, "") for text in role or ()]
    roles = {one.role: tuple(other.to for other in given if other.role == one.role) for one in given}
    wish = command.Wish(
        name, environment=environment, speed=speed, seed=seed, yes=yes, up=up, anew=new, roles=roles
    )
    raise typer.Exit(command.run(wish))


@app.command()
def note(
    text: Annotated[str, typer.Argument(help="What is to be written down; of a hand-over, the person.")],
    game_day: _Which = None,
    by: _By = None,
    decision: Annotated[bool, typer.Option("--decision", help="It is a decision.")] = False,
    hand_over: Annotated[
        str | None, typer.Option("--hand-over", metavar="ROLE", help="This role goes to the person TEXT.")
    ] = None,
    action: Annotated[bool, typer.Option("--action", help="It is an action item: --owner, --due.")] = False,
    owner: Annotated[str | None, typer.Option(help="Of an action item.")] = None,
    due: Annotated[str | None, typer.Option(metavar="DATE", help="Of an action item: 2026-12-20.")] = None,
    finding: Annotated[
        str | None, typer.Option(metavar="N", help="The finding that an action item is for: 2.1.")
    ] = None,
) -> None:
    """Write something down, time-stamped, from any terminal and at any time, while drills run too."""
    from gameday.commands import gameday_notes as command
    from gameday.errors import UsageError
    from gameday.gamedays import entries as e

    if sum((decision, hand_over is not None, action)) > 1:
        raise UsageError("--decision, --hand-over and --action: expected one of them")
    if not action and (owner or due or finding):
        raise UsageError("--owner, --due and --finding are of an action item; expected --action beside them")
    if not text.strip():
        raise UsageError("nothing to write down; expected a text")
    who = by or command.me()
    entry: e.Entry
    if action:
        entry = command.action(text, owner, due, who, finding)
    elif hand_over is not None:
        entry = e.HandOver(role=command.role_named(hand_over), to=text, by=who)
    else:
        entry = e.Decision(text=text, by=who) if decision else e.Note(text=text, by=who)
    command.note(game_day, entry, typer.echo)


@app.command()
def finish(
    game_day: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Its name or folder; by default the newest of all.")
    ] = None,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Close a game day and write its one report: drills, findings, action items, what to change."""
    from gameday.commands import gameday_finish as command

    raise typer.Exit(command.finish(game_day, as_json=output is Output.JSON))
