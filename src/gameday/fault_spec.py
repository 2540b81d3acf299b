"""What can break, as a scenario writes it: one small model for each fault, told apart by its verb.

The verb is the field that names the component. Which target can do what is not decided here: a fault that an
environment cannot apply is refused at preflight.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, Tag, field_validator

from gameday.fields import ByVerb, Duration, Model, Name, PositiveDuration, Size


class KillFault(Model):
    """End every process of a component at once; it stays down until a runbook or the undo starts it."""

    verb: ClassVar[str] = "kill"
    kill: Name
    """The component to kill."""
    signal: Literal["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"] = "SIGKILL"
    """The signal to send."""

    @property
    def component(self) -> str:
        return self.kill


class PauseFault(Model):
    """Freeze every process of a component: it keeps its connections and answers nothing."""

    verb: ClassVar[str] = "pause"
    pause: Name
    """The component to freeze."""

    @property
    def component(self) -> str:
        return self.pause


class _NetworkFault(Model):
    client: Name | None = None
    """The component whose connections suffer; absent: those of every component."""


class PartitionFault(_NetworkFault):
    """Cut the network path to a component."""

    verb: ClassVar[str] = "partition"
    partition: Name
    """The component that can no longer be reached."""
    how: Literal["blackhole", "reset", "refuse"] = "blackhole"
    """`blackhole`: nothing passes and nobody is told; `reset`: connections break; `refuse`: none is accepted."""

    @property
    def component(self) -> str:
        return self.partition


class DelayFault(_NetworkFault):
    """Delay everything that is sent to a component."""

    verb: ClassVar[str] = "delay"
    delay: Name
    by: PositiveDuration
    """One way, towards the component."""
    jitter: Duration = 0.0
    """The delay varies by up to this much, evenly spread."""

    @property
    def component(self) -> str:
        return self.delay


class ThrottleFault(_NetworkFault):
    """Limit the bandwidth of the network path to a component."""

    verb: ClassVar[str] = "throttle"
    throttle: Name
    bytes_per_s: Annotated[Size, Field(ge=1, le=10**12)]
    """In each direction, of each connection."""

    @property
    def component(self) -> str:
        return self.throttle


class LoseFault(_NetworkFault):
    """Lose a share of the packets to and from a component.

    Where packets can be dropped, packets are. A proxy for TCP has none to drop: there, what would have been lost
    comes as late as TCP's retransmissions would bring it, and everything behind it waits.
    """

    verb: ClassVar[str] = "lose"
    lose: Name
    percent: int = Field(ge=1, le=100)

    @property
    def component(self) -> str:
        return self.lose


NetworkFault = PartitionFault | DelayFault | ThrottleFault | LoseFault


class DegradeFault(Model):
    """Make a component that has a switch behave badly while it runs."""

    verb: ClassVar[str] = "degrade"
    degrade: Name
    mode: Literal[
        "errors",
        "timeout",
        "slow",
        "bad-payload",
        "unauthorized",
        "rate-limited",
        "no-receipts",
        "breaker-stuck",
    ]
    percent: int = Field(default=100, ge=1, le=100)
    """The share of requests, for modes that act on requests."""
    by: PositiveDuration | None = None
    """How much later the answer comes, for `slow` and `timeout`; absent: as the component chooses."""

    @field_validator("percent")
    @classmethod
    def _shares_only_requests(cls, percent: int, info: Any) -> int:
        mode = info.data.get("mode")
        if percent != 100 and mode in ("no-receipts", "breaker-stuck"):
            raise ValueError(f"is for modes that act on requests, not for {mode}")
        return percent

    @field_validator("by")
    @classmethod
    def _delays_only_what_waits(cls, by: float | None, info: Any) -> float | None:
        mode = info.data.get("mode", "slow")  # one that is wrong itself is told where it stands
        if by is not None and mode not in ("slow", "timeout"):
            raise ValueError(f"is for modes slow and timeout, not for {mode}")
        return by

    @property
    def component(self) -> str:
        return self.degrade


class LeakFault(Model):
    """Let a component's memory grow, up to a bound."""

    verb: ClassVar[str] = "leak"
    leak: Name
    bytes_per_s: Annotated[Size, Field(ge=1, le=10**10)]
    up_to_bytes: Annotated[Size, Field(ge=1, le=4 * 2**30)]
    """What it leaks in all; then it keeps what it has."""

    @property
    def component(self) -> str:
        return self.leak


class BurnFault(Model):
    """Let a component's own process burn processor time."""

    verb: ClassVar[str] = "burn"
    burn: Name
    threads: int = Field(default=1, ge=1, le=8)
    """How many cores it tries to keep busy."""

    @property
    def component(self) -> str:
        return self.burn


class FloodFault(Model):
    """Let a component write to its log, evenly, up to a total."""

    verb: ClassVar[str] = "flood"
    flood: Name
    lines_per_s: int = Field(ge=1, le=100_000)
    lines: int = Field(ge=1, le=10**8)
    """In all; then it stops by itself."""

    @property
    def component(self) -> str:
        return self.flood


class FillFault(Model):
    """Fill the disk that a component has for itself."""

    verb: ClassVar[str] = "fill"
    fill: Name

    @property
    def component(self) -> str:
        return self.fill


class ExhaustFault(Model):
    """A client takes every connection that a database has and each that becomes free, and keeps them."""

    verb: ClassVar[str] = "exhaust"
    exhaust: Name

    @property
    def component(self) -> str:
        return self.exhaust


class FlushFault(Model):
    """A client empties a cache again and again."""

    verb: ClassVar[str] = "flush"
    flush: Name
    every: PositiveDuration

    @property
    def component(self) -> str:
        return self.flush


class DestroyFault(Model):
    """Kill a database and remove its data directory; backup and archive stay."""

    verb: ClassVar[str] = "destroy"
    destroy: Name

    @property
    def component(self) -> str:
        return self.destroy


class DeployFault(Model):
    """Roll out another version of a component, one that its environment names."""

    verb: ClassVar[str] = "deploy"
    deploy: Name
    version: Name

    @property
    def component(self) -> str:
        return self.deploy


AnyFault = (
    KillFault
    | PauseFault
    | PartitionFault
    | DelayFault
    | ThrottleFault
    | LoseFault
    | DegradeFault
    | LeakFault
    | BurnFault
    | FloodFault
    | FillFault
    | ExhaustFault
    | FlushFault
    | DestroyFault
    | DeployFault
)
_FAULT = ByVerb(*get_args(AnyFault))
Fault = Annotated[
    Annotated[KillFault, Tag("KillFault")]
    | Annotated[PauseFault, Tag("PauseFault")]
    | Annotated[PartitionFault, Tag("PartitionFault")]
    | Annotated[DelayFault, Tag("DelayFault")]
    | Annotated[ThrottleFault, Tag("ThrottleFault")]
    | Annotated[LoseFault, Tag("LoseFault")]
    | Annotated[DegradeFault, Tag("DegradeFault")]
    | Annotated[LeakFault, Tag("LeakFault")]
    | Annotated[BurnFault, Tag("BurnFault")]
    | Annotated[FloodFault, Tag("FloodFault")]
    | Annotated[FillFault, Tag("FillFault")]
    | Annotated[ExhaustFault, Tag("ExhaustFault")]
    | Annotated[FlushFault, Tag("FlushFault")]
    | Annotated[DestroyFault, Tag("DestroyFault")]
    | Annotated[DeployFault, Tag("DeployFault")],
    _FAULT.discriminator,
    _FAULT.exactly_one,
]
