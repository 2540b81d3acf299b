"""When a change happened that another machine made: what is sure, as narrow as it can be said. Pure.

Two looks at the rules bound every change: it was not there when the first was sent, and was when the second was
answered. That is *observed*. Prometheus says more, by its own clock:

* the last evaluation's begin and length: where exactly one evaluation ended between the looks, it made the change
  (*evaluated*);
* `activeAt`, the tick of the evaluation that made an alert pending; the alert fires at the first tick that is at
  least `for` later (`ts.Sub(a.ActiveAt) >= r.holdDuration` in rules/alerting.go), and evaluations of a group come
  every interval. The change was made within one interval after its tick (*derived*).

Both only narrow what was observed. Where they contradict it (a clock was set, an evaluation was missed) they say
nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gameday.clock import Instant
from gameday.detectors.remote_clock import Difference, Span, seconds

# how early the next evaluation may begin, as a share of the interval: they follow a ticker, not each other
_EARLY = 0.05


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a rule: between which instants, and the evaluation it showed (UTC seconds of the server)."""

    sent: Instant
    received: Instant
    evaluated_s: float | None = None
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` is the last instant at which the change can have happened; it happened at most `resolution_s` before."""

    at: Instant
    resolution_s: float
    seen: str


def locate(
    before: Look, now: Look, interval_s: float, difference: Difference | None, tick_s: float | None = None
) -> Moment:
    """When a change happened that `before` did not show and `now` does; `tick_s` is its tick, where it is known."""
    window = Span(seconds(before.sent), seconds(now.received))
    found, seen = window, "observed"
    if difference is not None:
        evaluation = _only_evaluation(before, now, interval_s, difference)
        if evaluation is not None:
            narrowed, how = evaluation.meets(window), "evaluated"
        elif tick_s is not None:
            narrowed, how = difference.span(tick_s, tick_s + interval_s).meets(window), "derived"
        else:
            narrowed, how = None, ""
        if narrowed is not None:
            found, seen = narrowed, how
    return Moment(
        now.received.plus(found.high_s - seconds(now.received)), max(0.0, found.high_s - found.low_s), seen
    )


def _only_evaluation(before: Look, now: Look, interval_s: float, difference: Difference) -> Span | None:
    """The one evaluation that ended between the two looks; None where it may have been another.

    A server answers a look while it evaluates, so both looks must be clear of evaluations: the one that `before`
    showed had ended before it was sent, and the one after that which `now` shows cannot have begun.
    """
    if before.evaluated_s is None or now.evaluated_s is None:
        return None
    if not 0 < now.evaluated_s - before.evaluated_s < (2 - _EARLY) * interval_s:
        return None
    earlier = difference.span(before.evaluated_s, before.evaluated_s + before.took_s)
    later = difference.span(*(2 * [now.evaluated_s + (1 - _EARLY) * interval_s]))
    if earlier.high_s >= seconds(before.sent) or later.low_s <= seconds(now.received):
        return None
    return difference.span(now.evaluated_s, now.evaluated_s + now.took_s)


def firing_tick_s(active_s: float, for_s: float, interval_s: float) -> float:
    """The tick at which an alert that became pending at `active_s` fires, if no evaluation is missed."""
    ticks = math.ceil(for_s / interval_s - 1e-6) if interval_s > 0 else 0
    return active_s + max(0, ticks) * interval_s
