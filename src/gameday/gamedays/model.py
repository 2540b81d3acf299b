"""A game day's file: who takes part, what is drilled in which order, and what must be true before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from gameday.fields import Duration, Misfit, Model, Name, Text, load_named, shown
from gameday.files import Location
from gameday.schedule import Date, TimeZone

Role = Literal["incident-commander", "technical-lead", "communications-lead", "scribe", "on-call"]
ROLES: tuple[Role, ...] = get_args(Role)
DUTIES: Mapping[Role, str] = {
    "incident-commander": "coordinates, decides, sets the severity",
    "technical-lead": "investigates and directs the technical response",
    "communications-lead": "keeps customers and colleagues informed",
    "scribe": "writes down the timeline, decisions and action items",
    "on-call": "mitigates and resolves; escalates when that does not help",
}
"""What each role is for, in the words of the incident procedures."""
UNATTENDED = "answers"


def _time(value: object) -> time:
    try:
        if isinstance(value, str) and len(value) == len("10:00"):
            return time.fromisoformat(value)
    except ValueError:
        pass  # 25:00
    raise ValueError(f"{shown(value)} is not a time of day; expected hours and minutes such as 10:00")


TimeOfDay = Annotated[
    time,
    BeforeValidator(_time),
    PlainSerializer(lambda at: f"{at:%H:%M}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$", "examples": ["10:00"]}),
]


def _people(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


People = Annotated[
    tuple[Text, ...],
    BeforeValidator(_people),
    Field(min_length=1, max_length=20),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
            ],
            "description": "One person or several, the first of whom is asked first.",
        }
    ),
]


class Question(Model):
    """One question of the go/no-go checklist that only a person can answer; `no` is a NO-GO."""

    question: Name
    """A short name, by which an answer is recorded."""
    ask: Text


class Slot(Model):
    """One drill in the order of the day: a scenario, or a place for a surprise."""

    scenario: Name | None = None
    """File name in `scenarios/`, without `.yaml`."""
    surprise: Literal[True] | None = None
    """One of `surprises`, drawn; nobody but who draws it knows which before its alert fires."""
    pause: Duration = 0.0
    """Time after this drill before the next: to talk about it, and for the rules to see that all is well again."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Slot:
        if (self.scenario is None) == (self.surprise is None):
            raise Misfit((("scenario",), "expected exactly one of scenario and surprise"))
        return self


class Surprises(Model):
    """Drills whose order is drawn."""

    seed: int | None = Field(default=None, ge=0)
    """The same seed draws the same order. Absent: one is drawn when the game day begins, and recorded."""
    scenarios: tuple[Name, ...] = Field(min_length=1, max_length=50)
    """What is drawn from, each at most once; may hold more than there are places."""


class PreparedAnswer(Model):
    """An answer to a manual step, and how long a person would have taken for it."""

    answer: Text | bool
    after: Duration = 0.0


class Answers(Model):
    """What stands for people where there are none (`--yes`): a rehearsal in CI."""

    checklist: dict[Name, bool] = Field(default_factory=dict)
    """Question of the checklist -> yes or no."""
    steps: dict[Text, Text | bool | PreparedAnswer] = Field(default_factory=dict)
    """Heading of a manual step -> answer."""
    interrupted: Literal["repeat", "skip"] | None = None
    """What becomes of a drill that was running when its runner died."""


class GameDay(Model):
    """One game day's file."""

    game_day: Name
    """The game day's name, equal to its file name."""
    title: Text
    date: Date
    starts: TimeOfDay = time(10)
    """When its first drill begins."""
    time_zone: TimeZone = "Etc/UTC"
    environment: Name
    goals: tuple[Text, ...] = Field(min_length=1, max_length=20)
    """What the team wants to know at its end."""
    roles: dict[Role, People] = Field(default_factory=dict)
    """Who does what. A role that is nobody's is a NO-GO."""
    checklist: tuple[Question, ...] = Field(default=(), max_length=50)
    drills: tuple[Slot, ...] = Field(min_length=1, max_length=50)
    surprises: Surprises | None = None
    answers: Answers = Answers()

    @property
    def planned_start(self) -> datetime:
        """In UTC."""
        return datetime.combine(self.date, self.starts, ZoneInfo(self.time_zone)).astimezone(UTC)

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Every scenario that may be drilled, those that may be drawn too, each once."""
        named = [slot.scenario for slot in self.drills if slot.scenario is not None]
        return tuple(dict.fromkeys([*named, *(self.surprises.scenarios if self.surprises else ())]))

    @property
    def places(self) -> int:
        """For surprises."""
        return sum(1 for slot in self.drills if slot.surprise)

    @model_validator(mode="after")
    def _fits_together(self) -> GameDay:
        problems = [*self._misplaced_surprises(), *self._twice(), *self._unasked()]
        if problems:
            raise Misfit(*problems)
        return self

    def _misplaced_surprises(self) -> list[tuple[Location, str]]:
        drawn = len(self.surprises.scenarios) if self.surprises else 0
        if self.places > drawn:
            last = max(index for index, slot in enumerate(self.drills) if slot.surprise)
            message = f"{self.places} surprises are wanted and `surprises` has {drawn} scenarios to draw from"
            return [(("drills", last, "surprise"), message)]
        if self.surprises is not None and not self.places:
            return [(("surprises",), "no drill is a surprise; expected one such as {surprise: true}")]
        return []

    def _twice(self) -> list[tuple[Location, str]]:
        problems: list[tuple[Location, str]] = []
        known = {slot.scenario for slot in self.drills}
        drawn = self.surprises.scenarios if self.surprises else ()
        for index, name in enumerate(drawn):
            if name in known or name in drawn[:index]:
                problems.append(
                    (("surprises", "scenarios", index), f"{name} is there twice; it would surprise nobody")
                )
        asked = [question.question for question in self.checklist]
        problems += [
            (("checklist", index, "question"), f"{name} is there twice")
            for index, name in enumerate(asked)
            if name in asked[:index]
        ]
        return problems

    def _unasked(self) -> list[tuple[Location, str]]:
        asked = [question.question for question in self.checklist]
        known = ", ".join(asked) or "none"
        return [
            ((UNATTENDED, "checklist", name), f"no question of the checklist; questions there: {known}")
            for name in self.answers.checklist
            if name not in asked
        ]


def load_game_day(path: Path) -> GameDay:
    """Read and check a game day's file.

    Raises:
        InvalidFile: with file, line and field of every problem.
    """
    return load_named(GameDay, path, "game_day")
