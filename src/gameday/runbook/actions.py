"""What a step of a runbook can do: the fields of a `yaml step` block.

An operation is one small class: its verb is the field that names the component, its other fields are the
arguments. A new one (roll back, reset a breaker, clear a disk) is a class here, its entry in `AnyOperation`,
and a method where `Operations.perform` is implemented; the parser, the executor and lint need no change.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, Tag, model_validator

from gameday.fields import REQUEST_PATTERN, ByVerb, Duration, Model, Name, PositiveDuration, Text

Mitigation = Literal["rollback", "failover", "fix-forward", "workaround", "degraded-mode"]
MITIGATIONS: tuple[str, ...] = get_args(Mitigation)
"""In the order of preference: the first that applies is tried first."""


class Operation(Model):
    """Base of everything that `do` can name."""

    verb: ClassVar[str]
    changes: ClassVar[bool] = True
    """False for what only looks; Investigation and Validation allow nothing else."""

    @property
    def component(self) -> str:
        return str(getattr(self, self.verb))

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Plain data beside the component."""
        return self.model_dump(exclude={self.verb})

    def __str__(self) -> str:
        given = [f"{name}={getattr(self, name)}" for name in sorted(self.model_fields_set - {self.verb})]
        return " ".join([self.verb, self.component, *given])


class Start(Operation):
    """Start a component and wait until it is ready; one that is up stays as it is."""

    verb: ClassVar[str] = "start"
    start: Name


class Stop(Operation):
    """Stop a component in an orderly way."""

    verb: ClassVar[str] = "stop"
    stop: Name


class Restart(Operation):
    """Stop a component, then start it."""

    verb: ClassVar[str] = "restart"
    restart: Name


class Kill(Operation):
    """End every process of a component that no longer listens to an orderly stop."""

    verb: ClassVar[str] = "kill"
    kill: Name
    signal: Literal["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"] = "SIGKILL"


class Pause(Operation):
    """Freeze every process of a component."""

    verb: ClassVar[str] = "pause"
    pause: Name


class Resume(Operation):
    """Let frozen processes go on."""

    verb: ClassVar[str] = "resume"
    resume: Name


class Restore(Operation):
    """Replace a component's data by its latest backup."""

    verb: ClassVar[str] = "restore"
    restore: Name
    to: Literal["latest", "backup"] = "latest"
    """`latest` replays what was archived since the backup; `backup` is for when the archive is lost too."""


class Rollback(Operation):
    """Return to the version before the last deployment; an error where nothing was deployed."""

    verb: ClassVar[str] = "rollback"
    rollback: Name


class Reconnect(Operation):
    """Remove what cuts or slows the network paths to a component; a path that is well stays as it is."""

    verb: ClassVar[str] = "reconnect"
    reconnect: Name


class Uncordon(Operation):
    """Let pods onto the nodes again that were cordoned under a component; none that is cordoned is no error."""

    verb: ClassVar[str] = "uncordon"
    uncordon: Name


class Disconnect(Operation):
    """End the sessions of a database's or cache's clients, except those named."""

    verb: ClassVar[str] = "disconnect"
    disconnect: Name
    keep: tuple[Text, ...] = ()
    """Clients that stay, by the name they gave: `application_name`, or the client name of a cache."""


class Reclaim(Operation):
    """Delete what is disposable on a component's disk: rotated logs, core dumps; the environment lists them."""

    verb: ClassVar[str] = "reclaim"
    reclaim: Name


class Request(Operation):
    """An operator's HTTP request to a component; an answer of 400 or above is a failure."""

    verb: ClassVar[str] = "request"
    request: Name
    http: str = Field(pattern=REQUEST_PATTERN)
    """Method and path, such as `POST /admin/circuit-breaker/reset`."""
    body: dict[str, Any] | None = None
    """Sent as JSON."""

    def __str__(self) -> str:
        return f"request {self.http} of {self.request}"


class Status(Operation):
    """Say what a component is doing."""

    verb: ClassVar[str] = "status"
    changes: ClassVar[bool] = False
    status: Name


class Logs(Operation):
    """Return the last lines that a component wrote to its log."""

    verb: ClassVar[str] = "logs"
    changes: ClassVar[bool] = False
    logs: Name
    lines: int = Field(default=50, ge=1, le=1000)


_OPERATION = ByVerb(
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Resume,
    Restore,
    Rollback,
    Reconnect,
    Uncordon,
    Disconnect,
    Reclaim,
    Request,
    Status,
    Logs,
)
VERBS: tuple[str, ...] = tuple(_OPERATION.verbs)
AnyOperation = Annotated[
    Annotated[Start, Tag("Start")]
    | Annotated[Stop, Tag("Stop")]
    | Annotated[Restart, Tag("Restart")]
    | Annotated[Kill, Tag("Kill")]
    | Annotated[Pause, Tag("Pause")]
    | Annotated[Resume, Tag("Resume")]
    | Annotated[Restore, Tag("Restore")]
    | Annotated[Rollback, Tag("Rollback")]
    | Annotated[Reconnect, Tag("Reconnect")]
    | Annotated[Uncordon, Tag("Uncordon")]
    | Annotated[Disconnect, Tag("Disconnect")]
    | Annotated[Reclaim, Tag("Reclaim")]
    | Annotated[Request, Tag("Request")]
    | Annotated[Status, Tag("Status")]
    | Annotated[Logs, Tag("Logs")],
    _OPERATION.discriminator,
    _OPERATION.exactly_one,
]


class Command(Model):
    """A command that is run where the component lives; any exit code but 0 is a failure."""

    component: Name
    command: tuple[Text, ...] = Field(min_length=1, max_length=100)
    """Program and arguments; no shell takes part."""

    def __str__(self) -> str:
        return f"run {shlex.join(self.command)} on {self.component}"


class Question(Model):
    """A question to a person; the answer `no` is a failure, and so is none within the budget."""

    text: Text

    def __str__(self) -> str:
        return f"ask {self.text}"


Action = Operation | Command | Question


class Check(Model):
    """What must hold after the action for the step to be done."""

    probe: Name
    """A probe of the environment."""
    within: PositiveDuration
    """Time, from the end of the action, for the probe to succeed."""
    steady_for: Duration = 0.0
    """How long it must then go on succeeding, for what fails only now and then; `0s`: once is enough."""


class StepBlock(Model):
    """The content of one `yaml step` block."""

    do: AnyOperation | None = None
    """An operation on a component, such as `{start: database}`."""
    run: Command | None = None
    """A command where a component lives."""
    ask: Text | None = None
    """A question to the person who leads the game day."""
    budget: PositiveDuration
    """Time for the whole step. The action is given up when it takes longer."""
    check: Check | None = None
    otherwise: Text | None = None
    """Heading of the step to take when this one fails."""
    then: Text | None = None
    """Heading of the step that follows this one, for a fallback of several steps."""
    mitigation: Mitigation | None = None
    """Which kind of mitigation this step is."""

    @model_validator(mode="after")
    def _one_action(self) -> StepBlock:
        given = [name for name in ("do", "run", "ask") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"expected one of do, run, ask; found {' and '.join(given)}")
        if not given and self.check is None:
            raise ValueError("expected one of do, run, ask, or a check alone; found none of them")
        return self

    @property
    def action(self) -> Action | None:
        if self.ask is not None:
            return Question(text=self.ask)
        return self.do or self.run
