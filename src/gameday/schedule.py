"""A schedule file: which drills take place when. Times are checked as cron says them; who keeps them is another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from gameday.errors import InvalidFile, UsageError
from gameday.fields import Model, Name, PositiveDuration, Text, validate
from gameday.files import load_yaml

_FIELDS = re.compile(r"[0-9A-Za-z*,/-]+( [0-9A-Za-z*,/-]+){4}")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def check_cron(text: str) -> str:
    """`text`, as a cron that Kubernetes keeps: five fields, and nothing that only other crons know.

    Raises:
        ValueError: what is wrong with it.
    """
    from cronsim import CronSim, CronSimError

    problem = f"{text!r} is no time that cron knows"
    if not _FIELDS.fullmatch(text):
        raise ValueError(
            f"{problem}; expected five fields (minute, hour, day, month, weekday) of digits, * , - /"
        )
    fields = text.lower().split(" ")
    for field, names in zip(fields, ((), (), (), _MONTHS, _DAYS), strict=True):
        strange = [word for word in re.findall("[a-z]+", field) if word not in names]
        if strange:
            raise ValueError(f"{problem}; {strange[0]!r} means nothing there")
    if "7" in re.findall("[0-9]+", re.sub("/[0-9]+", "", fields[4])):
        raise ValueError(f"{problem}; Sunday is 0 there, or sun")
    try:
        from datetime import UTC, datetime

        next(CronSim(text, datetime.now(UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{problem}{f': {error}' if str(error) else ''}") from error
    return text


def check_time_zone(name: str) -> str:
    """Raises ValueError for what is none."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r} is no time zone; expected one such as Etc/UTC or Europe/Berlin"
        ) from error
    return name


Cron = Annotated[str, AfterValidator(check_cron)]
TimeZone = Annotated[str, AfterValidator(check_time_zone)]


class Appointment(Model):
    """Drills that take place together."""

    title: Text = "Drills"
    cron: Cron
    """Minute, hour, day of the month, month, weekday."""
    scenarios: tuple[Text, ...] = Field(min_length=1)
    parallel: int = Field(default=1, ge=1)
    start_within: PositiveDuration = 3600.0
    """Later than this after its time it does not begin: a drill at an hour that nobody expects is an incident."""


class Schedule(Model):
    """One schedule file."""

    schedule: Name
    """The schedule's name, equal to its file name."""
    environment: Name
    time_zone: TimeZone = "Etc/UTC"
    drills: dict[Name, Appointment] = Field(min_length=1)


def load_schedule(path: Path) -> Schedule:
    """Read and check a schedule file.

    Raises:
        InvalidFile: with file, line and field of every problem.
        UsageError: there is no such file.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    document = load_yaml(path)
    found = validate(Schedule, document)
    if found.schedule != path.stem:
        message = f"is {found.schedule!r} in a file named {path.name}; expected {path.stem!r}"
        raise InvalidFile([document.problem(("schedule",), message)])
    return found
