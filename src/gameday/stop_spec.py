"""Stop conditions as files say them: what ends a drill before its time, of a scenario and of an environment.

A condition has two ways to end a drill: it holds for too long, or it cannot be read for longer than its `grace`. The
second is what makes it a limit: one that goes blind in the middle of an outage must not let the drill go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import AfterValidator, Field, Tag, model_validator

from gameday.fields import ByVerb, Duration, Misfit, Model, Name, PositiveDuration, Text, format_duration
from gameday.files import Location

GRACE_S = 15.0
EVALUATING = ("embedded", "prometheus")
"""The kinds of detector that evaluate PromQL; the others only hear what somebody else has evaluated."""


def _vector(text: str) -> str:
    """PromQL whose answer is an instant vector: any sample in it is a reason to stop."""
    import promql_parser

    try:
        node = promql_parser.parse(text)
    except ValueError as error:
        raise ValueError(f"is not valid PromQL: {' '.join(str(error).split())}") from None
    kind = _kind(node)
    if kind != "vector":
        raise ValueError(
            f"is a {kind}; a condition is an instant vector, such as sum(rate(errors_total[1m])) > 5, "
            "and holds while there is a sample in it"
        )
    return text


def _kind(node: Any) -> str:
    match type(node).__name__:
        case "NumberLiteral":
            return "scalar"
        case "StringLiteral":
            return "string"
        case "MatrixSelector" | "SubqueryExpr":
            return "range vector"
        case "ParenExpr" | "UnaryExpr":
            return _kind(node.expr)
        case "Call":
            return str(node.func.return_type).rsplit(".", maxsplit=1)[-1].lower()
        case "BinaryExpr":
            return "scalar" if _kind(node.lhs) == _kind(node.rhs) == "scalar" else "vector"
    return "vector"


class ProbeStop(Model):
    """A probe that has failed for too long ends the drill."""

    verb: ClassVar[str] = "probe"
    probe: Name
    """A probe of the environment."""
    fails_for: PositiveDuration
    """All samples asked over this time have failed."""
    grace: PositiveDuration = GRACE_S
    """Without any answer, good or bad, for longer than this the drill ends too."""

    def describe(self) -> str:
        return f"probe {self.probe} fails for {format_duration(self.fails_for)}"

    def at_speed(self, speed: float) -> ProbeStop:
        """How long it may fail is a budget and is divided; `grace` is about reading and keeps its time."""
        return self.model_copy(update={"fails_for": self.fails_for / speed})


class QueryStop(Model):
    """A PromQL expression that has held for too long ends the drill."""

    verb: ClassVar[str] = "promql"
    promql: Annotated[Text, AfterValidator(_vector)]
    """As the expression of an alert rule: it holds while its result has a sample."""
    holds_for: Duration = 0.0
    """As `for` of an alert rule: it has held without a reading in between in which it did not."""
    every: PositiveDuration = 1.0
    """Time between two readings."""
    grace: PositiveDuration = GRACE_S
    """When the last reading that succeeded is older than this, the drill ends too."""
    absent_is: Literal["quiet", "unread"] = "quiet"
    """What it means that there is no series for one of its selectors: nothing wrong, or that it cannot be read."""

    @model_validator(mode="after")
    def _can_be_read_in_time(self) -> QueryStop:
        if self.grace <= self.every:
            grace, every = format_duration(self.grace), format_duration(self.every)
            raise Misfit((("grace",), f"is {grace}, which is not longer than every ({every})"))
        return self

    def describe(self) -> str:
        held = f" holds for {format_duration(self.holds_for)}" if self.holds_for else " holds"
        return f"`{' '.join(self.promql.split())}`{held}"

    def at_speed(self, speed: float) -> QueryStop:
        """As an alert rule's `for`; the windows in the expression are divided by whoever evaluates it."""
        return self.model_copy(update={"holds_for": self.holds_for / speed})


AnyStop = ProbeStop | QueryStop
_STOP = ByVerb(ProbeStop, QueryStop)
StopCondition = Annotated[
    Annotated[ProbeStop, Tag("ProbeStop")] | Annotated[QueryStop, Tag("QueryStop")],
    _STOP.discriminator,
    _STOP.exactly_one,
]
StopConditions = Annotated[tuple[StopCondition, ...], Field(max_length=20)]


class _Sampled(Protocol):
    """What matters of a probe here."""

    @property
    def every(self) -> float: ...

    @property
    def timeout(self) -> float: ...


def stop_misfits(
    conditions: tuple[AnyStop, ...], probes: Mapping[str, _Sampled], detector: str
) -> Iterator[tuple[Location, str]]:
    """Where conditions do not fit an environment with these probes and this kind of detector, and why."""
    for index, condition in enumerate(conditions):
        if isinstance(condition, QueryStop):
            if detector not in EVALUATING:
                yield (index, "promql"), f"cannot be read here: detector {detector} evaluates no PromQL"
        elif condition.probe not in probes:
            yield (index, "probe"), f"no probe {condition.probe!r}; probes here: {', '.join(probes)}"
        else:
            probe = probes[condition.probe]
            longest = format_duration(probe.every + probe.timeout)
            if condition.grace <= probe.every + probe.timeout:
                message = f"is not longer than an answer of {condition.probe} may take ({longest}: every and timeout)"
                yield (index, "grace"), message
