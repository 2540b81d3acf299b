"""Options that several commands share. Imported at start-up, so it loads no more than typer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    HUMAN = "human"
    JSON = "json"


EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--environment", "-e", envvar="GAMEDAY_ENVIRONMENT", help="Environment, or environment@instance."
    ),
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="Form of the result on standard output.")
]
HistoryOption = Annotated[
    str | None,
    typer.Option(
        "--history",
        metavar="URL",
        envvar="GAMEDAY_HISTORY_URL",
        show_envvar=True,
        help="Database of the history and its evidence, such as postgresql://host/name; the variable keeps a password "
        "out of the list of processes. Without it: an index beside the reports.",
    ),
]
DEFAULT_ENVIRONMENT = "hotel-local"
