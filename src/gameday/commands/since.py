"""`--since`: a day, an instant, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gameday.errors import UsageError


def parse_since(text: str, now: datetime) -> datetime:
    """The instant that `2026-03-01`, `2026-03-01T09:00Z` or `30d` (before `now`) means; without a zone, UTC.

    Raises:
        UsageError: it is none of them.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return now - _ago(text.strip())
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _ago(text: str) -> timedelta:
    from gameday.fields import parse_duration_s  # with pydantic, which the list does without

    try:
        return timedelta(seconds=parse_duration_s(text))
    except ValueError as error:
        longer = "longer than a year" in str(error)
        right = (
            "name its day"
            if longer
            else "expected a day such as 2026-03-01, or how long ago such as 30d or 12h"
        )
        raise UsageError(
            f"--since {text[:80]!r}: {'more than a year ago; ' if longer else ''}{right}"
        ) from error
