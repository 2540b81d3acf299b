"""Severity levels of five teams in one table, by rank: 1 is the worst.

The teams call them by different names and ask for different times; each entry names the document that it is from.
Where they differ, the shortest time counts (`strictest`): whoever keeps that one keeps them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_MIN, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
RANKS = (1, 2, 3, 4)


class Source(StrEnum):
    """The documents."""

    PLAYBOOK = "SMARTEROS Incident Response Playbook"
    PROCEDURES = "SmartBeak Incident Response Procedures"
    GUIDE = "P019 Incident Response & Recovery Guide"
    CLOUD_OPS = "SmartCloudOps AI Incident Response Procedures"
    PLAN = "Incident Response Plan"


class Duty(StrEnum):
    """What a team owes once an incident is known; each counts from its detection, or from its resolution."""

    RESPOND = "respond"
    TELL_TEAM = "alert the team"
    TELL_MANAGEMENT = "tell management"
    TELL_CUSTOMERS = "tell customers"
    STATUS_PAGE = "update the status page"
    EVERY = "update again every"
    RESOLVE = "resolve"
    TELL_RESOLVED = "tell that it is resolved"
    MONITOR = "watch the fix for"
    DRAFT = "draft the post-mortem"
    REVIEW = "meet about the post-mortem"
    PUBLISH = "complete the post-mortem"
    PLAN = "plan the action items"
    FOLLOW_UP = "follow up on the action items"


AFTER_RESOLUTION = frozenset(
    {Duty.TELL_RESOLVED, Duty.MONITOR, Duty.DRAFT, Duty.REVIEW, Duty.PUBLISH, Duty.PLAN, Duty.FOLLOW_UP}
)
"""The rest counts from detection."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of one team."""

    source: Source
    rank: int
    name: str
    definition: str
    examples: str = ""
    share: str = ""
    """The share of users affected, where the document has one."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one document asks of a rank. `within_s` is None where it gives no number; `words` then says what it says."""

    source: Source
    duty: Duty
    rank: int
    within_s: float | None
    words: str = ""


_BOOK, _BEAK, _P019, _OPS, _IRP = (
    Source.PLAYBOOK,
    Source.PROCEDURES,
    Source.GUIDE,
    Source.CLOUD_OPS,
    Source.PLAN,
)

LEVELS: tuple[Level, ...] = (
    Level(_BOOK, 1, "SEV-1", "Service completely down, several tenants affected"),
    Level(_BOOK, 2, "SEV-2", "Critical functionality degraded"),
    Level(_BOOK, 3, "SEV-3", "Minor functionality affected"),
    Level(
        _BEAK,
        1,
        "SEV-1",
        "Complete outage, data loss or corruption, data exposed, revenue-critical part broken",
    ),
    Level(_BEAK, 2, "SEV-2", "Major functionality degraded, painful workaround, data partly unavailable"),
    Level(_BEAK, 3, "SEV-3", "Minor functionality, limited user impact, workaround available"),
    Level(_BEAK, 4, "SEV-4", "Cosmetic, a single user, minimal impact"),
    Level(_P019, 1, "SEV1", "Complete outage", "complete outage, data loss"),
    Level(_P019, 2, "SEV2", "Degraded service", "degraded performance, partial outage"),
    Level(_P019, 3, "SEV3", "Minor issues", "minor bugs, isolated failures"),
    Level(_P019, 4, "SEV4", "Informational", "planned maintenance"),
    Level(
        _OPS,
        1,
        "P0",
        "Complete outage or severe breach",
        "total unavailability, complete database failure",
        ">75%",
    ),
    Level(
        _OPS, 2, "P1", "Major functionality impaired", "core features down, corruption for several", "25-75%"
    ),
    Level(_OPS, 3, "P2", "Minor functionality affected", "non-critical feature out", "5-25%"),
    Level(_OPS, 4, "P3", "Cosmetic, minimal user impact", "non-critical monitoring alerts", "<5%"),
    Level(_IRP, 1, "SEV-1", "Critical system-wide failure", "entire API down, data loss"),
    Level(_IRP, 2, "SEV-2", "Major functionality degraded", "payment service failing, many errors"),
    Level(_IRP, 3, "SEV-3", "Minor issue with low user impact", "one endpoint slow"),
    Level(_IRP, 4, "SEV-4", "Cosmetic, user interface, logging", "a typo, log spam"),
)


def _row(source: Source, duty: Duty, *times: float | str | None) -> tuple[Ask, ...]:
    """One time for each rank from 1 on: seconds, or words where there is no number, or None where it asks nothing."""
    return tuple(
        Ask(
            source, duty, rank, None if isinstance(time, str) else time, time if isinstance(time, str) else ""
        )
        for rank, time in enumerate(times, 1)
        if time is not None
    )


ASKS: tuple[Ask, ...] = (
    *_row(_BOOK, Duty.RESPOND, 15 * _MIN, _HOUR, 4 * _HOUR),
    *_row(_BEAK, Duty.RESPOND, "immediately, all hands", 15 * _MIN, _HOUR, 24 * _HOUR),
    *_row(_P019, Duty.RESPOND, 15 * _MIN, 30 * _MIN, _HOUR, "next business day"),
    *_row(_OPS, Duty.RESPOND, 15 * _MIN, _HOUR, 4 * _HOUR, "next business day"),
    *_row(_BEAK, Duty.TELL_TEAM, 5 * _MIN, 15 * _MIN, 30 * _MIN, _HOUR),
    *_row(_P019, Duty.TELL_TEAM, 10 * _MIN, 30 * _MIN, _HOUR),
    *_row(_BEAK, Duty.TELL_MANAGEMENT, 15 * _MIN, 30 * _MIN),
    *_row(_P019, Duty.TELL_MANAGEMENT, 15 * _MIN, 30 * _MIN, "daily summary"),
    *_row(_OPS, Duty.TELL_MANAGEMENT, 15 * _MIN),
    *_row(_BOOK, Duty.TELL_CUSTOMERS, "immediately"),
    *_row(_P019, Duty.TELL_CUSTOMERS, 30 * _MIN, "after resolution", "after resolution"),
    *_row(_OPS, Duty.TELL_CUSTOMERS, "immediately", 2 * _HOUR),
    *_row(_BEAK, Duty.STATUS_PAGE, "immediately", 15 * _MIN, _HOUR, "optional"),
    *_row(_P019, Duty.STATUS_PAGE, 15 * _MIN, 30 * _MIN),
    *_row(_BEAK, Duty.EVERY, 15 * _MIN, 30 * _MIN, 4 * _HOUR, _DAY),
    *_row(_P019, Duty.EVERY, 30 * _MIN, _HOUR, "on change", 7 * _DAY),
    *_row(_OPS, Duty.EVERY, 15 * _MIN, 30 * _MIN),
    # it names one time, of the status page, which rank 4 does not need (SmartBeak: optional)
    *_row(_IRP, Duty.EVERY, 30 * _MIN, 30 * _MIN, 30 * _MIN),
    *_row(_BOOK, Duty.RESOLVE, 2 * _HOUR, 8 * _HOUR, 48 * _HOUR),
    *_row(_BEAK, Duty.RESOLVE, _HOUR, 4 * _HOUR),
    *_row(_BEAK, Duty.TELL_RESOLVED, "immediately", 15 * _MIN, _HOUR, 4 * _HOUR),
    *_row(_P019, Duty.TELL_RESOLVED, 2 * _HOUR, 4 * _HOUR),
    *_row(_BOOK, Duty.MONITOR, _HOUR, _HOUR, _HOUR),
    *_row(_P019, Duty.DRAFT, 24 * _HOUR, 24 * _HOUR, 24 * _HOUR, 24 * _HOUR),
    *_row(_BEAK, Duty.DRAFT, 24 * _HOUR, 24 * _HOUR, 24 * _HOUR, 24 * _HOUR),
    *_row(_OPS, Duty.DRAFT, 24 * _HOUR, 24 * _HOUR, 24 * _HOUR, 24 * _HOUR),
    *_row(_P019, Duty.REVIEW, 72 * _HOUR, 72 * _HOUR, 72 * _HOUR, 72 * _HOUR),
    *_row(_BOOK, Duty.PUBLISH, 48 * _HOUR, 48 * _HOUR),
    *_row(_IRP, Duty.PUBLISH, 48 * _HOUR, 48 * _HOUR, 48 * _HOUR, 48 * _HOUR),
    *_row(_OPS, Duty.PUBLISH, 72 * _HOUR, 72 * _HOUR, 72 * _HOUR, 72 * _HOUR),
    *_row(_P019, Duty.PUBLISH, 7 * _DAY, 7 * _DAY, 7 * _DAY, 7 * _DAY),
    *_row(_BEAK, Duty.PUBLISH, 7 * _DAY, 7 * _DAY, 7 * _DAY, 7 * _DAY),
    *_row(_OPS, Duty.PLAN, 7 * _DAY, 7 * _DAY, 7 * _DAY, 7 * _DAY),
    *_row(_OPS, Duty.FOLLOW_UP, 14 * _DAY, 14 * _DAY, 14 * _DAY, 14 * _DAY),
)


def levels(rank: int) -> tuple[Level, ...]:
    """What each team calls a rank; a team that has no such level is absent."""
    return tuple(level for level in LEVELS if level.rank == rank)


def asks(rank: int, duty: Duty) -> tuple[Ask, ...]:
    """Everything that is asked of a rank, in the order of the documents."""
    return tuple(ask for ask in ASKS if ask.rank == rank and ask.duty is duty)


def strictest(rank: int, duty: Duty) -> Ask | None:
    """The shortest time; words only where nobody gives a number; None where nothing is asked.

    How long a fix is watched is the longest time, not the shortest; there is one.
    """
    found = asks(rank, duty)
    numbers = [ask for ask in found if ask.within_s is not None]
    if numbers:
        return min(numbers, key=lambda ask: ask.within_s or 0.0)
    return found[0] if found else None


def named(rank: int) -> str:
    """As the record has it: `SEV-1`."""
    return f"SEV-{rank}"


def rank_of(severity: str) -> int:
    """Of `SEV2`, `SEV-2` or `P1`."""
    number = int(severity[-1])
    return number + 1 if severity.startswith("P") else number
