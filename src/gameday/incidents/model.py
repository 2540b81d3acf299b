"""What is written of an incident: the record that others' tools read, and what gameday knows beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from gameday.fields import Model

ID_PATTERN = r"^INC-[0-9]{8}-[0-9]{3,}$"
NOT_MEASURED = "not measured"


def utc_text(instant: datetime) -> str:
    """`2025-11-23T10:00:00Z`."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone; expected one such as 2025-11-23T10:00:00Z")
    return instant.astimezone(UTC)


def _second(instant: datetime) -> datetime:
    return _aware(instant).replace(microsecond=0)


def _exact(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


Instant = Annotated[
    datetime,
    AfterValidator(_second),
    PlainSerializer(utc_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": "Z$"}),
]
"""To the second, as the record has it."""
Exact = Annotated[
    datetime, AfterValidator(_aware), PlainSerializer(_exact, return_type=str, when_used="json")
]
Id = Annotated[str, Field(pattern=ID_PATTERN)]
SeverityName = Literal["SEV-1", "SEV-2", "SEV-3", "SEV-4"]


class Incident(Model):
    """The record, with the fields of the SMARTEROS playbook's incident log, in their order, and no others."""

    model_config = ConfigDict(title="Incident")

    incident_id: Id
    severity: SeverityName
    title: str = Field(min_length=1)
    detected_at: Instant | None
    """When the expected alert fired; null where it did not."""
    resolved_at: Instant | None
    """When the service was back by itself or by the runbook; null where only the drill's undo brought it back."""
    affected_tenants: int | None = Field(ge=0)
    """Null where it was not counted: a drill measures the share of users, not who they are."""
    root_cause: str = Field(min_length=1)
    resolution: str = Field(min_length=1)
    preventive_measures: tuple[str, ...]


class ProbeImpact(Model):
    probe: str
    asked: int
    failed: int


class ImpactNote(Model):
    """What was measured; null where it was not."""

    users_share: float | None
    """0 to 1."""
    probes: tuple[ProbeImpact, ...]
    recovered_after_s: float | None
    lasted_s: float | None
    """As `recovered_after_s`, or as long as it was watched."""
    records_lost: int | None
    data_loss_s: float | None


class SeverityNote(Model):
    rank: int = Field(ge=1, le=4)
    because: tuple[str, ...]
    measured: bool
    declared: str
    """What the scenario says."""
    called: dict[str, str]
    """What each team of the table calls it, by its document."""


class PhaseNote(Model):
    """A phase of the lifecycle; `at` is null where its instant was not measured."""

    phase: str
    at: Exact | None
    detail: str


class DeadlineNote(Model):
    """Something owed. `due` is null where it counts from something that did not happen, or the rule has no number."""

    duty: str
    within_s: float | None
    words: str
    source: str
    due: Exact | None
    done: Exact | None
    result: Literal["met", "missed", "not measured"]


class ActionNote(Model):
    action: str
    owner: str
    due: Exact
    priority: Literal["High", "Medium"]
    status: Literal["Open", "Done"] = "Open"
    done_at: Exact | None = None
    done_by: str | None = None


class LogNote(Model):
    """What people say that they did: a drill does not see it."""

    what: str
    """A duty, or `classify`."""
    at: Exact
    by: str | None = None
    severity: SeverityName | None = None
    """What they took it for; of `classify` alone."""
    note: str | None = None


class Response(Model):
    """Everything that gameday knows of an incident beside its record: `response.json`."""

    incident_id: Id
    drill: str
    scenario: str
    environment: str
    verdict: str
    rehearsal: str | None
    owner: str
    alert: str | None
    runbook: str | None
    evidence: str
    """The drill's folder, relative to that of the incident."""
    impact: ImpactNote
    severity: SeverityNote
    lifecycle: tuple[PhaseNote, ...]
    deadlines: tuple[DeadlineNote, ...]
    action_items: tuple[ActionNote, ...]
    log: tuple[LogNote, ...] = ()
