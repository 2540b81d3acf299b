"""What an incident did to users, as far as it was measured, and the severity that follows from it. Pure.

The share of users affected is the share of probe answers that failed while the fault was in effect: the probes ask as
guests do, all the time. Only probes that the scenario counts as the service are taken, and of these the ones that ask
it over HTTP, where any does: how the database answers itself is no guest's experience.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.clock import Instant
from gameday.incidents.severities import rank_of
from gameday.intervals import Measured
from gameday.record import DrillRecord, Sample
from gameday.timeline import Kind

_FOR_MACHINES = ("/health", "/ready", "/live", "/metrics")
_ESCALATES_S = 2 * 3600.0
_CLOUD_OPS = "SmartCloudOps AI: impact matrix"


@dataclass(frozen=True, slots=True)
class ProbeShare:
    """What became of one probe's questions during the impact."""

    probe: str
    asked: int
    failed: int

    @property
    def share(self) -> float:
        return self.failed / self.asked


@dataclass(frozen=True, slots=True)
class Impact:
    """What was measured; None where it was not."""

    probes: tuple[ProbeShare, ...]
    duration: Measured | None
    """From the effect to the recovery."""
    lasted_s: float | None
    """The same, or as long as it was watched where it did not recover by itself or by the runbook."""
    records_lost: int | None
    data_loss_s: float | None

    @property
    def share(self) -> float | None:
        """0 to 1: each probe counts the same, however often it asks."""
        return sum(one.share for one in self.probes) / len(self.probes) if self.probes else None


@dataclass(frozen=True, slots=True)
class Severity:
    """A rank, 1 is the worst, and why. `measured` is False where it is only what the scenario declares."""

    rank: int
    because: tuple[str, ...]
    measured: bool


def impact(record: DrillRecord, probes: Mapping[str, Any]) -> Impact:
    """Of a drill with its samples; `probes` is the environment's section of that name, empty where it is not known."""
    duration = record.verdict.interval("time_to_recover")
    since = _since(record)
    if since is None:
        return Impact((), None, None, _lost(record), record.verdict.data_loss_s)
    end = _end(record, since, duration)
    lasted_s = None if record.scenario.control else end - since  # nothing was to be restored
    shares = tuple(
        found
        for name in _users(record, probes)
        if (found := _share(name, record.samples.get(name, ()), since, end)) is not None
    )
    return Impact(shares, duration, lasted_s, _lost(record), record.verdict.data_loss_s)


def _since(record: DrillRecord) -> Instant | None:
    """The fault's effect; of a control without a fault, its start."""
    effective = record.timeline.first(Kind.FAULT_EFFECTIVE)
    if effective is None:
        return None if record.scenario.fault else record.started
    return effective.at


def _lost(record: DrillRecord) -> int | None:
    accounted = record.timeline.last(Kind.CANARY_ACCOUNTED)
    return int(accounted.data["missing"]) if accounted is not None and accounted.data.get("ok") else None


def _end(record: DrillRecord, effective: Instant, duration: Measured | None) -> Instant:
    """Until when the impact was watched: the recovery, else the beginning of the undo."""
    if duration is not None:
        return effective.plus(duration.value_s)
    undo = record.timeline.first(Kind.UNDO_STARTED, lambda event: effective <= event.at)
    return undo.at if undo is not None else record.ended


def _users(record: DrillRecord, probes: Mapping[str, Any]) -> Sequence[str]:
    scenario = record.scenario
    counted = scenario.recovered.probes if scenario.recovered else scenario.steady_state
    guests = [name for name in counted if _asks_as_a_guest(probes.get(name))]
    return guests or counted


def _asks_as_a_guest(probe: object) -> bool:
    request = probe.get("http") if isinstance(probe, Mapping) else None
    if not isinstance(request, str):
        return False
    return not request.partition(" ")[2].startswith(_FOR_MACHINES)


def _share(probe: str, samples: Sequence[Sample], since: Instant, until: Instant) -> ProbeShare | None:
    during = [one for one in samples if since.mono_ns <= one.started_ns < until.mono_ns]
    if not during:
        return None
    return ProbeShare(probe, len(during), sum(not one.ok for one in during))


def classify(found: Impact, declared: str) -> Severity:
    """The severity of a measured impact; `declared` is the scenario's, taken where nothing was measured.

    Lost records are severity 1 (SmartBeak: data loss or corruption; P019 and the Incident Response Plan name it as an
    example). The share of users decides otherwise, in the steps of SmartCloudOps AI: over 75 %, from 25 %, from 5 %,
    less. Severity 2 for more than two hours is 1 (P019, severity matrix: escalation).
    """
    if found.records_lost:
        lost = (
            "1 acknowledged record"
            if found.records_lost == 1
            else f"{found.records_lost} acknowledged records"
        )
        return Severity(1, (f"{lost} lost: data loss (SmartBeak, P019, Incident Response Plan)",), True)
    if found.share is None:
        return Severity(
            rank_of(declared),
            ("the share of users affected was not measured: as the scenario declares",),
            False,
        )
    rank, step = _by_share(found.share)
    because = [f"{found.share:.1%} of users affected: {step} ({_CLOUD_OPS})"]
    if rank == 2 and found.lasted_s is not None and found.lasted_s > _ESCALATES_S:
        rank = 1
        because.append("severity 2 for more than 2 hours escalates (P019: severity matrix)")
    return Severity(rank, tuple(because), True)


def _by_share(share: float) -> tuple[int, str]:
    """A share on the border of two steps is of the worse one: the document gives it to both."""
    if share > 0.75:
        return 1, "over 75 %"
    if share >= 0.25:
        return 2, "25 to 75 %"
    return (3, "5 to 25 %") if share >= 0.05 else (4, "less than 5 %")
