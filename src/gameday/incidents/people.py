"""What people did about an incident, in the words of its lifecycle: classify, tell others, hold the post-mortem, finish
an action item. Pure.

A drill cannot see any of it, so that it is "not measured" until somebody says so, and then stands as what was said and
by whom. What a drill does measure (detection, response, resolution) cannot be said by anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gameday.incidents.lifecycle import Phase
from gameday.incidents.model import ActionNote, DeadlineNote, LogNote, PhaseNote, Response, utc_text
from gameday.incidents.severities import Duty, named

CLASSIFY = Phase.CLASSIFY.value
TELLING = (Duty.TELL_MANAGEMENT, Duty.TELL_CUSTOMERS, Duty.STATUS_PAGE, Duty.TELL_RESOLVED)
AFTERMATH = (Duty.REVIEW, Duty.PUBLISH, Duty.PLAN, Duty.FOLLOW_UP)
SAYABLE = (CLASSIFY, *(duty.value for duty in (*TELLING, *AFTERMATH)))
"""What people may say that they did."""


def with_entry(response: Response, entry: LogNote, now: datetime) -> Response:
    """The same, with what somebody did. Of two who say the same, the first in time counts.

    Raises:
        ValueError: nobody can have done that then; the message says what would be right.
    """
    if entry.what not in SAYABLE:
        raise ValueError(f"{entry.what!r} is measured; people can say: {', '.join(SAYABLE)}")
    _check_instant(response, entry.at, now)
    log = tuple(sorted((*response.log, entry), key=lambda one: one.at))
    changed = response.model_copy(update={"log": log})
    if entry.what == CLASSIFY:
        return _passed(changed, Phase.CLASSIFY, entry.at, _classified(response, entry))
    if entry.what in {duty.value for duty in TELLING}:
        changed = _passed(changed, Phase.COMMUNICATE, entry.at, f"{entry.what}{_by(entry)}")
    return _kept(changed, Duty(entry.what), entry.at)


def with_draft(response: Response, at: datetime) -> Response:
    """The same, with a post-mortem that was drafted at `at`; a later draft changes nothing."""
    return _kept(_passed(response, Phase.POST_MORTEM, at, "draft written"), Duty.DRAFT, at)


def with_done(response: Response, number: int, at: datetime, by: str | None, now: datetime) -> Response:
    """The same, with an action item that is done; what was done before stays as it was. Items count from 1.

    Raises:
        ValueError: there is no such item, or nobody can have done it then; the message says what would be right.
    """
    items = response.action_items
    if not 1 <= number <= len(items):
        there = f"1 to {len(items)}" if items else "none"
        raise ValueError(f"no action item {number}; there are {there}")
    _check_instant(response, at, now)
    if items[number - 1].status == "Done":
        return response
    done = items[number - 1].model_copy(update={"status": "Done", "done_at": at, "done_by": by})
    return response.model_copy(update={"action_items": (*items[: number - 1], done, *items[number:])})


def open_items(response: Response) -> Iterator[tuple[int, ActionNote]]:
    """What is still to be done, with its number."""
    for number, item in enumerate(response.action_items, 1):
        if item.status == "Open":
            yield number, item


def _check_instant(response: Response, at: datetime, now: datetime) -> None:
    if at > now:
        raise ValueError(f"{utc_text(at)} is still to come")
    known = min((one.at for one in response.lifecycle if one.at is not None), default=None)
    if known is not None and at < known:
        raise ValueError(
            f"{utc_text(at)} is before anything was known of the incident, which was {utc_text(known)}"
        )


def _classified(response: Response, entry: LogNote) -> str:
    measured = named(response.severity.rank)
    if entry.severity is None:
        return f"severity decided{_by(entry)}"
    same = "as" if entry.severity == measured else "but"
    what = "measured" if response.severity.measured else "declared by the scenario"
    return f"{entry.severity}{_by(entry)}, {same} {measured} was {what}"


def _by(entry: LogNote) -> str:
    return f", said by {entry.by}" if entry.by else ", as somebody said"


def _passed(response: Response, phase: Phase, at: datetime, detail: str) -> Response:
    def changed(one: PhaseNote) -> PhaseNote:
        if one.phase != phase.value or (one.at is not None and one.at <= at):
            return one
        return PhaseNote(phase=one.phase, at=at, detail=detail)

    return response.model_copy(update={"lifecycle": tuple(map(changed, response.lifecycle))})


def _kept(response: Response, duty: Duty, at: datetime) -> Response:
    def changed(one: DeadlineNote) -> DeadlineNote:
        if one.duty != duty.value or (one.done is not None and one.done <= at):
            return one
        result = one.result if one.due is None else "met" if at <= one.due else "missed"
        return one.model_copy(update={"done": at, "result": result})

    return response.model_copy(update={"deadlines": tuple(map(changed, response.deadlines))})
