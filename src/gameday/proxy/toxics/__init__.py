"""The toxics: one module each, with the value that people write and the stage that acts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from gameday.fields import Model, Name
from gameday.proxy.toxics.bandwidth import Bandwidth, BandwidthStage
from gameday.proxy.toxics.base import Direction, Effect, End, Host, Sink, Stage
from gameday.proxy.toxics.blackhole import Blackhole, BlackholeStage
from gameday.proxy.toxics.latency import Latency, LatencyStage
from gameday.proxy.toxics.limit_data import LimitData, LimitDataStage
from gameday.proxy.toxics.loss import Loss, LossStage
from gameday.proxy.toxics.refuse import Refuse
from gameday.proxy.toxics.reset import Reset, ResetStage
from gameday.proxy.toxics.slicer import Slicer, SlicerStage
from gameday.proxy.toxics.slow_close import SlowClose, SlowCloseStage
from gameday.proxy.toxics.timeout import Timeout, TimeoutStage

__all__ = [
    "MAX_TTL_S",
    "AnyEffect",
    "Bandwidth",
    "Blackhole",
    "Direction",
    "Effect",
    "End",
    "Host",
    "Latency",
    "LimitData",
    "Loss",
    "Refuse",
    "Reset",
    "Sink",
    "Slicer",
    "SlowClose",
    "Stage",
    "Timeout",
    "Toxic",
    "make_stage",
]

MAX_TTL_S = 86_400.0

AnyEffect = Annotated[
    Latency | Loss | Bandwidth | Blackhole | Timeout | SlowClose | LimitData | Slicer | Reset | Refuse,
    Field(discriminator="kind"),
]

_STAGES: dict[type[Effect], Any] = {
    Latency: LatencyStage,
    Bandwidth: BandwidthStage,
    Blackhole: BlackholeStage,
    Timeout: TimeoutStage,
    Loss: LossStage,
    SlowClose: SlowCloseStage,
    LimitData: LimitDataStage,
    Slicer: SlicerStage,
    Reset: ResetStage,
}  # Any: each is a stage of its own effect, which the type of a mapping cannot say


class Toxic(Model):
    """One effect on one link, and for how long at most.

    `ttl_s` has no default: a fault without an end is not a drill. `percentage` is the share of connections that it
    acts on, decided once for each connection.
    """

    name: Name
    effect: AnyEffect
    direction: Annotated[Direction, Field(strict=False)] = Direction.BOTH
    percentage: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 100.0
    ttl_s: Annotated[float, Field(gt=0, le=MAX_TTL_S, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _whole_link(self) -> Toxic:
        if self.effect.whole_link and (self.direction is not Direction.BOTH or self.percentage != 100):
            raise ValueError(
                f"{self.effect.kind} acts on the whole link: it takes no direction and no percentage; "
                "use reset for a share of connections"
            )
        return self

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The one or two that it acts on."""
        if self.direction is Direction.BOTH:
            return (Direction.UPSTREAM, Direction.DOWNSTREAM)
        return (self.direction,)


def make_stage(toxic: Toxic, host: Host, direction: Direction, next_: Sink, seed: str) -> Stage:
    """The stage that acts for `toxic` in one direction of one connection."""
    stage: Stage = _STAGES[type(toxic.effect)](toxic.effect, host, direction, next_, seed)
    stage.span = toxic.direction
    return stage
