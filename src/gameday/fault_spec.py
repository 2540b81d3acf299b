"""What can break, as a scenario writes it: one small model for each fault, told apart by its verb.

The verb is the field that names the component. Which target can do what is not decided here: a fault that an
environment cannot apply is refused at preflight.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, Tag, field_validator, model_validator

from gameday.counted import Counted
from gameday.fields import ByVerb, Duration, Misfit, Model, Name, PositiveDuration, Size, Text, shown


def _share(value: object) -> object:
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0.01 <= value <= 1024
    ):
        return float(value)
    raise ValueError(f"expected a number of processors from 0.01 to 1024, found {shown(value)}")


Share = Annotated[float, BeforeValidator(_share)]


class KillFault(Counted):
    """End every process of a component at once; it stays down until a runbook or the undo starts it."""

    verb: ClassVar[str] = "kill"
    kill: Name
    """The component to kill."""
    signal: Literal["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"] = "SIGKILL"
    """The signal to send."""

    @property
    def component(self) -> str:
        return self.kill


class StopFault(Counted):
    """Stop a component in an orderly way, as a wrong command would; it stays down until somebody starts it."""

    verb: ClassVar[str] = "stop"
    stop: Name
    """The component to stop."""

    @property
    def component(self) -> str:
        return self.stop


class RemoveFault(Counted):
    """Kill a component's containers and remove them. Their volumes stay; what they wrote elsewhere is lost."""

    verb: ClassVar[str] = "remove"
    remove: Name
    """The component whose containers are removed."""

    @property
    def component(self) -> str:
        return self.remove


class PauseFault(Counted):
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
    dns: Literal["kept", "cut"] = "kept"
    """Whether what is cut from everybody may still look names up."""

    @field_validator("dns")
    @classmethod
    def _names_are_for_everybody(cls, dns: str, info: Any) -> str:
        if dns == "cut" and info.data.get("client") is not None:
            raise ValueError("is for a partition from everybody, not from one client")
        return dns

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


class DisconnectFault(Counted):
    """Take a component off its networks, or off one of them."""

    verb: ClassVar[str] = "disconnect"
    disconnect: Name
    """The component that is taken off."""
    network: Text | None = None
    """The network, by its name or its key in the compose file; absent: all that it is on."""

    @property
    def component(self) -> str:
        return self.disconnect


class LimitFault(Counted):
    """Give a component less than it has: memory, processor time, processes."""

    verb: ClassVar[str] = "limit"
    limit: Name
    """The component whose limits are lowered."""
    memory: Annotated[Size, Field(ge=6 * 2**20, le=2**40)] | None = None
    """Bytes, swap included; what exceeds them is killed by the kernel."""
    cpus: Share | None = None
    """Processors, such as 0.1."""
    pids: int | None = Field(default=None, ge=1, le=10**6)
    """Processes and threads."""

    @model_validator(mode="after")
    def _limits_something(self) -> LimitFault:
        if self.memory is None and self.cpus is None and self.pids is None:
            raise Misfit((("limit",), "limits nothing; expected memory, cpus or pids beside it"))
        return self

    @property
    def component(self) -> str:
        return self.limit


class DrainFault(Model):
    """Cordon the nodes on which a component runs, and evict what the environment has there."""

    verb: ClassVar[str] = "drain"
    drain: Name
    """The component whose nodes are drained."""

    @property
    def component(self) -> str:
        return self.drain


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
    | StopFault
    | RemoveFault
    | PauseFault
    | DisconnectFault
    | LimitFault
    | DrainFault
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
    | Annotated[StopFault, Tag("StopFault")]
    | Annotated[RemoveFault, Tag("RemoveFault")]
    | Annotated[PauseFault, Tag("PauseFault")]
    | Annotated[DisconnectFault, Tag("DisconnectFault")]
    | Annotated[LimitFault, Tag("LimitFault")]
    | Annotated[DrainFault, Tag("DrainFault")]
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
