"""`gameday submit`, `follow` and `inside` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gameday.commands.forms import Output, OutputOption

_Environment = Annotated[
    str,
    typer.Option(
        "--environment", "-e", envvar="GAMEDAY_ENVIRONMENT", help="Environment, of target kubernetes."
    ),
]
_Scenarios = Annotated[
    list[str], typer.Argument(metavar="SCENARIO...", help="Names in scenarios/, or paths.")
]
ParallelOption = Annotated[
    int, typer.Option("--parallel", "-p", min=1, max=1000, help="So many drills at most at once.")
]
HistorySecretOption = Annotated[
    str | None,
    typer.Option("--history-secret", metavar="NAME", help="Secret whose key `url` is the history's URL."),
]
EnvSecretOption = Annotated[
    str | None,
    typer.Option(
        "--env-secret",
        metavar="NAME",
        help="Secret whose keys become variables, for ${env:NAME} of the files.",
    ),
]
ImageOption = Annotated[
    str | None, typer.Option(help="Image of the runner, in place of the environment's `runner_image`.")
]
_Answers = Annotated[
    Path | None, typer.Option(help="YAML file of answers to manual steps: heading of the step -> answer.")
]
_Speed = Annotated[float, typer.Option(help="Rehearse N times faster, where the detector can.")]
_Deadline = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", min=1, help="Of the whole job; by default what its drills may take."),
]


def submit(
    scenarios: _Scenarios,
    environment: _Environment,
    parallel: ParallelOption = 1,
    history_secret: HistorySecretOption = None,
    env_secret: EnvSecretOption = None,
    image: ImageOption = None,
    answers: _Answers = None,
    deadline: _Deadline = None,
    speed: _Speed = 1.0,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow them to their verdicts; exit code as `run`.")
    ] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Hand drills to the environment's own cluster, which carries them out as a Job.

    Drills that concern different components run side by side, others one after the other.
    """
    from gameday.commands import submit as command
    from gameday.commands.submission import Wish

    wish = Wish(
        tuple(scenarios), environment, parallel, history_secret, env_secret, image, answers, deadline, speed
    )
    raise typer.Exit(command.submit(wish, wait=wait, as_json=output is Output.JSON))


def follow(
    job: Annotated[str, typer.Argument(help="The job's name, as `gameday submit` said it.")],
    environment: _Environment,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Wait for drills that were submitted; exit code as `gameday run` of several."""
    from gameday.commands import submit as command

    raise typer.Exit(command.follow(job, environment, as_json=output is Output.JSON))


def inside() -> None:
    """Carry out the drill of this pod: for pods that `gameday submit` makes."""
    from gameday.commands import inside as command

    raise typer.Exit(command.carry_out())
