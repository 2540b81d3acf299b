"""How much a long rate window costs: how late a young incident is seen, how long a repaired one still fires.

A rate over a window W that starts from a healthy value is linear in time: after t seconds of an incident with
the steady value v it is v·t/W. It passes a threshold N after W·N/v, and after the repair it falls below N again
after W·(1 - N/v). `for` is waited for on top of the first. A quantile q above a threshold is the statement that
more than the share 1 - q of the observations is; the same formula holds with that share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gameday.detectors.promql_shapes import Binary, Call, Condition, Node, Number, selectors, walk
from gameday.fields import format_duration

SHORTEST_S = 120.0
"""Windows up to this length are never remarked on: four scrapes of 30 s, which a rate needs to bear a lost one."""


@dataclass(frozen=True, slots=True)
class Dilution:
    """A window that costs more than it gives."""

    window_s: float
    explanation: str
    instead: str


def dilution(group: tuple[Condition, ...], for_s: float, interval_s: float | None) -> Dilution | None:
    """The cost of the window of conditions that `and` joins; None where it is short or has its reason.

    A reason is: no `for` (the window alone keeps spikes quiet), a `for` more than twice as long, a second,
    different window (burn rates), an increase() that counts events of a named time, and a threshold of 0.
    """
    windows = {window for condition in group for window in _windows(condition.subject)}
    if len(windows) != 1 or not for_s:
        return None
    window_s = windows.pop()
    shortest_s = max(SHORTEST_S, 4 * (interval_s or 0.0))
    condition = next((c for c in group if _windows(c.subject) and _is_limit(c)), None)
    if condition is None or window_s <= shortest_s or window_s < for_s / 2:
        return None
    window = format_duration(window_s)
    explanation = (
        f"The rate is taken over {window} and `for` asks for {format_duration(for_s)} more; both keep short spikes "
        f"quiet, one after the other. {_cost(condition, window_s, for_s)}"
    )
    wanted = format_duration(max(60.0, 4 * (interval_s or 0.0)))
    instead = f"A shorter window and the same `for`: [{wanted}] instead of [{window}], at least four scrapes."
    if window_s < for_s:
        instead += " Keep it on purpose where a short dip is no incident."
    return Dilution(window_s, explanation, instead)


def _is_limit(condition: Condition) -> bool:
    subject, limit = condition.subject, condition.threshold or 0.0
    if isinstance(subject, Call) and subject.function == "histogram_quantile" and _quantile(subject) is None:
        return False
    return condition.operator in {"<", "<=", ">", ">="} and 0 < limit < math.inf


def _windows(subject: Node) -> set[float]:
    """Windows of rates that average; increase() counts, but not where it is divided or in a quantile."""
    averaged = isinstance(subject, Binary) or _quantile(subject) is not None
    functions = {"rate", "increase"} if averaged else {"rate"}
    calls = (node for node in walk(subject) if isinstance(node, Call) and node.function in functions)
    return {series.window_s for call in calls for series in selectors(call) if series.window_s}


def _quantile(subject: Node) -> float | None:
    if isinstance(subject, Call) and subject.function == "histogram_quantile":
        wanted = subject.arguments[0]
        return wanted.value if isinstance(wanted, Number) and 0 < wanted.value < 1 else None
    return None


def _is_share(condition: Condition) -> bool:
    """True for a part of a whole, a threshold below 1; the mean of a histogram or summary is none."""
    ratio = condition.subject
    if not isinstance(ratio, Binary) or ratio.operator != "/" or not (condition.threshold or 1.0) < 1:
        return False
    return not any(
        (series.name or "").endswith(("_sum", "_seconds_total")) for series in selectors(ratio.left)
    )


def _cost(condition: Condition, window_s: float, for_s: float) -> str:
    """What the window costs in examples, each with the part of the window that passes before it is seen."""
    sentences = []
    for what, part in _examples(condition):
        holds_s, stays_s = round(window_s * part, 1), round(window_s * (1 - part), 1)
        sentences.append(
            f"{what}, the condition holds after {format_duration(holds_s)}, the alert fires after "
            f"{format_duration(holds_s + for_s)}, and it fires on for up to {format_duration(stays_s)} "
            "after the repair."
        )
    if condition.operator in {">", ">="} and not _is_part(condition):
        window = format_duration(window_s)
        sentences.append(
            f"At a value of r it takes {window} * {condition.threshold or 0.0:g} / r until it holds."
        )
        sentences.append(f"The old events stay in the window for up to {window} after the repair.")
    return " ".join(sentences)


def _is_part(condition: Condition) -> bool:
    return _quantile(condition.subject) is not None or _is_share(condition)


def _examples(condition: Condition) -> tuple[tuple[str, float], ...]:
    limit = condition.threshold or 0.0
    quantile = _quantile(condition.subject)
    share = limit if quantile is None else float(f"{1 - quantile:.12g}")
    if condition.operator in {"<", "<="}:
        if _is_share(condition):
            return (("If the share falls from 1 to 0", 1 - limit),)
        return ((f"If the value falls from {2 * limit:g} (twice the threshold) to 0", 0.5),)
    if _is_part(condition):
        every = "all events are bad" if quantile is None else f"all observations are above {limit:g}"
        twice = ((f"If {200 * share:g} % of them are", 0.5),) if 2 * share < 1 else ()
        return ((f"If {every}", share), *twice)
    return (
        (f"At a value of {1.25 * limit:g} (1.25 times the threshold, with 0 before)", 0.8),
        (f"At {5 * limit:g} (five times)", 0.2),
    )
