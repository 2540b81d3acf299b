"""`--since` and `--at`: a day, an instant, a time of the day, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from gameday.errors import UsageError


def parse_since(text: str, now: datetime, option: str = "--since") -> datetime:
    """The instant that `2026-03-01`, `2026-03-01T09:00Z`, `09:00` (the last one) or `30d` (before `now`) means; without
    a zone, UTC.

    Raises:
        UsageError: it is none of them.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return _time_of_day(text.strip(), now) or now - _ago(text.strip(), option)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _time_of_day(text: str, now: datetime) -> datetime | None:
    if ":" not in text:
        return None
    try:
        of_day = time.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return None
    if of_day.tzinfo is not None:
        return None  # of which day it is there depends on the zone
    found = datetime.combine(now.astimezone(UTC), of_day, UTC)
    return found if found <= now else found - timedelta(days=1)


def _ago(text: str, option: str) -> timedelta:
    from gameday.fields import parse_duration_s  # with pydantic, which the list does without

    try:
        return timedelta(seconds=parse_duration_s(text))
    except ValueError as error:
        longer = "longer than a year" in str(error)
        right = (
            "name its day"
            if longer
            else "expected a day such as 2026-03-01, a time such as 09:00, or how long ago such as 30d or 12h"
        )
        raise UsageError(
            f"{option} {text[:80]!r}: {'more than a year ago; ' if longer else ''}{right}"
        ) from error
