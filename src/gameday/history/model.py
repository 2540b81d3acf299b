"""The rows of the history, and how a drill becomes some.

The index has figures, names and the verdict's reasons: never what a command answered. Whatever the trends and the
coverage matrix (rule x scenario x runbook) will ask is a column from the start. Beside it, in a team's database, are
the files of the evidence themselves, which never hold a secret.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from gameday.coverage import AlertOutcome
from gameday.text import one_line
from gameday.timeline import Kind

if TYPE_CHECKING:
    from gameday.intervals import Measured
    from gameday.record import DrillRecord


_REASON = 2000


class UtcDateTime(TypeDecorator[datetime]):
    """Always aware and UTC in Python; SQLite has no time zones and stores it without."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Tables carry the product's name: a team's database may hold others."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {float: Double}  # whatever SQLAlchemy takes for a float


class DrillRow(Base):
    """One drill. Seconds as measured; objectives as in force, so divided by the speed of a rehearsal."""

    __tablename__ = "gameday_drills"
    __table_args__ = (
        Index("gameday_drills_started", "started"),
        Index("gameday_drills_scenario_started", "scenario", "started"),
        Index("gameday_drills_environment_started", "environment", "started"),
        Index("gameday_drills_verdict_started", "verdict", "started"),
    )

    drill: Mapped[str] = mapped_column(String(255), primary_key=True)
    scenario: Mapped[str] = mapped_column(String(255))
    environment: Mapped[str] = mapped_column(String(255))
    target: Mapped[str] = mapped_column(String(64))
    started: Mapped[datetime] = mapped_column(UtcDateTime)
    ended: Mapped[datetime] = mapped_column(UtcDateTime)
    complete: Mapped[bool]
    verdict: Mapped[str] = mapped_column(String(16))
    exit_code: Mapped[int]
    speed: Mapped[float]
    mttd_s: Mapped[float | None]
    mttd_resolution_s: Mapped[float | None]
    mttd_objective_s: Mapped[float | None]
    """None for a control, which expects no alert; so are the runbook, the expected alert and the RTO."""
    time_to_recover_s: Mapped[float | None]
    time_to_recover_resolution_s: Mapped[float | None]
    rto_s: Mapped[float | None]
    data_loss_s: Mapped[float | None]
    rpo_s: Mapped[float | None]
    restored_by: Mapped[str | None] = mapped_column(String(16))
    folder: Mapped[str] = mapped_column(String(4096))
    """Relative to the project's reports where it lies in them."""
    severity: Mapped[str] = mapped_column(String(16))
    tier: Mapped[int]
    owner: Mapped[str] = mapped_column(String(2000))
    expected_alert: Mapped[str | None] = mapped_column(String(255))
    runbook: Mapped[str | None] = mapped_column(String(255))
    rules: Mapped[str | None] = mapped_column(String(4096))
    """The rules file that judged; None where the detector has rules of its own."""
    counted: Mapped[bool]
    """Whether it says something of alerts: its fault took effect, or it is a control, and nobody broke it off."""
    reasons: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Why the verdict is what it is; None of a drill that an older gameday stored."""
    detected_result: Mapped[str | None] = mapped_column(String(16))
    """Whether the expected alert fired in time: one of `intervals.Result`; None where that was no question, or where
    an older gameday stored it."""
    recovered_result: Mapped[str | None] = mapped_column(String(16))
    """The same of the RTO."""
    data_loss_result: Mapped[str | None] = mapped_column(String(16))
    """The same of the RPO."""
    alerts: Mapped[list[AlertRow]] = relationship(order_by="AlertRow.alert", viewonly=True)

    @property
    def rehearsal(self) -> str | None:
        """The words that every output of a drill at speed must carry."""
        return None if self.speed == 1 else f"rehearsal at {self.speed:g} times speed"


class AlertRow(Base):
    """An alert that a drill expected, allowed or saw fire. `mttd_s` counts from the fault's effect."""

    __tablename__ = "gameday_drill_alerts"
    __table_args__ = (Index("gameday_drill_alerts_alert", "alert"),)

    drill: Mapped[str] = mapped_column(
        String(255), ForeignKey("gameday_drills.drill", ondelete="CASCADE"), primary_key=True
    )
    alert: Mapped[str] = mapped_column(String(512), primary_key=True)
    expected: Mapped[bool]
    collateral: Mapped[bool]
    """The scenario names it as one that may fire beside the expected one."""
    fired: Mapped[bool]
    outcome: Mapped[str] = mapped_column(String(16))
    """One of `coverage.AlertOutcome`."""
    mttd_s: Mapped[float | None]


class FileRow(Base):
    """One file of a drill's evidence, whole."""

    __tablename__ = "gameday_evidence_files"

    drill: Mapped[str] = mapped_column(
        String(255), ForeignKey("gameday_drills.drill", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(1024), primary_key=True)
    """Relative to the folder, such as `samples/bookings.csv`."""
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """Compressed by zlib."""
    size: Mapped[int] = mapped_column("bytes", BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the file, in hexadecimal digits."""


def drill_name(record: DrillRecord) -> str:
    """What a drill is known by in every table."""
    return one_line(record.drill, 200)


def drill_values(record: DrillRecord, folder: str) -> dict[str, Any]:
    """The columns of a drill."""
    verdict, scenario = record.verdict, record.scenario
    return {
        "drill": drill_name(record),
        "scenario": scenario.scenario,
        "environment": one_line(record.environment, 200),
        "target": one_line(record.target, 40),
        "started": record.started.utc,
        "ended": record.ended.utc,
        "complete": record.complete,
        "verdict": verdict.outcome.value,
        "exit_code": verdict.exit_code,
        "speed": record.speed,
        **_measured("mttd", verdict.interval("mttd")),
        "mttd_objective_s": None if scenario.control else scenario.expected.fires_within,
        **_measured("time_to_recover", verdict.interval("time_to_recover")),
        "rto_s": scenario.rto_s,
        "data_loss_s": verdict.data_loss_s,
        "rpo_s": scenario.rpo_s,
        "restored_by": verdict.restored_by,
        "folder": one_line(folder),
        "severity": scenario.severity,
        "tier": scenario.tier,
        "owner": one_line(scenario.owner),
        "expected_alert": scenario.alert,
        "runbook": scenario.runbook,
        "rules": _rules(record),
        "counted": _counted(record),
        "reasons": [one_line(reason, _REASON) for reason in verdict.reasons],
        **_results(record),
    }


def _results(record: DrillRecord) -> dict[str, str | None]:
    found = {check.name: check.result.value for check in record.verdict.checks}
    return {f"{name}_result": found.get(name) for name in ("detected", "recovered", "data_loss")}


def _measured(name: str, value: Measured | None) -> dict[str, float | None]:
    if value is None:
        return {f"{name}_s": None, f"{name}_resolution_s": None}
    return {f"{name}_s": value.value_s, f"{name}_resolution_s": value.resolution_s}


def _rules(record: DrillRecord) -> str | None:
    path = record.detector.get("rules_file")
    return None if path is None else one_line(path, 4000)


def _counted(record: DrillRecord) -> bool:
    from gameday.intervals import Result  # asking for drills must not load what judging needs
    from gameday.verdict import Outcome

    verdict = record.verdict
    if verdict.aborted or not record.complete:
        return False
    if record.scenario.control:
        return verdict.outcome is not Outcome.INCONCLUSIVE
    return any(check.name == "effective" and check.result is Result.MET for check in verdict.checks)


def _outcome(record: DrillRecord, alert: str, fired: bool) -> AlertOutcome:
    """What became of an alert in this drill; of the expected one, as the drill's verdict says."""
    from gameday.intervals import Result

    scenario = record.scenario
    if alert != scenario.alert:
        if alert in scenario.known_alerts:
            return AlertOutcome.COLLATERAL if fired else AlertOutcome.QUIET
        return AlertOutcome.UNEXPECTED
    result = next((check.result for check in record.verdict.checks if check.name == "detected"), None)
    if result is Result.MET:
        return AlertOutcome.FIRED
    if result is Result.MISSED:
        return AlertOutcome.LATE if fired else AlertOutcome.MISSED
    return AlertOutcome.UNKNOWN


def alert_values(record: DrillRecord) -> list[dict[str, Any]]:
    """The expected alert, the allowed ones, and every other that fired."""
    effective = record.timeline.first(Kind.FAULT_EFFECTIVE)
    fired: dict[str, float | None] = {}
    for event in record.timeline.all(Kind.ALERT_FIRING):
        late = effective is not None and effective.at <= event.at
        seconds = event.at - effective.at if effective is not None and late else None
        name = one_line(event.data.get("alert"), 480)
        if fired.get(name) is None:  # the first firing after the effect counts
            fired[name] = seconds
    scenario = record.scenario
    names = dict.fromkeys((*scenario.known_alerts, *fired))
    return [
        {
            "drill": drill_name(record),
            "alert": name,
            "expected": name == scenario.alert,
            "collateral": name in scenario.known_alerts and name != scenario.alert,
            "fired": name in fired,
            "outcome": _outcome(record, name, name in fired).value,
            "mttd_s": fired.get(name),
        }
        for name in names
    ]
