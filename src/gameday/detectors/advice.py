"""Advice on alert rules: what an expression cannot see, or sees wrongly, in sentences for who is on call.

Every check is one function over the structure of the expression (`promql_shapes`), never over names of rules.
A check that is not sure says nothing: advice that is wrong once is not read a second time. An `error` makes the
alert come late, wrongly or never in a case that the text names; a `note` is a choice that somebody should have
made on purpose. The flaws are those of `examples/hotel/rules/original.yaml`; each is argued in corrected.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from gameday.detectors.advice_window import dilution
from gameday.detectors.base import RuleInfo
from gameday.detectors.promql_shapes import (
    Aggregate,
    Binary,
    Call,
    Condition,
    Groups,
    Node,
    Selector,
    chain,
    conditions,
    parse_shape,
    selectors,
    walk,
)
from gameday.fields import format_duration

_ABSENCE = frozenset({"absent", "absent_over_time"})
_COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")
# labels that say whose series they are; a matcher on another label picks single series
_TARGET_LABELS = frozenset({"job", "service", "app", "namespace", "cluster", "env", "environment", "region"})
# aggregations that give the same for the same series
_SAME_FOR_SAME = frozenset({"sum", "avg", "min", "max", "count"})

Level: TypeAlias = Literal["error", "note"]


@dataclass(frozen=True, slots=True)
class Advice:
    """One finding. `code` is stable; `explanation` says what goes wrong and `instead` what to write."""

    code: str
    title: str
    explanation: str
    instead: str
    level: Level = "error"


@dataclass(frozen=True, slots=True)
class Survey:
    """What the rules of a file know together: whose absence is reported, and which numbers are compared with."""

    watched: frozenset[str] = frozenset()
    compared: frozenset[tuple[str, float]] = frozenset()

    @classmethod
    def of(cls, rules: Iterable[RuleInfo]) -> Survey:
        """Over all rules whose expression is known. Raises UsageError for one that is no PromQL."""
        trees = [parse_shape(rule.expr) for rule in rules if rule.expr]
        calls = [node for tree in trees for node in walk(tree) if isinstance(node, Call)]
        absences = (call for call in calls if call.function in _ABSENCE)
        watched = frozenset(series.name for call in absences for series in selectors(call) if series.name)
        return cls(watched, frozenset(pair for tree in trees for pair in _compared(tree)))


@dataclass(frozen=True, slots=True)
class _Case:
    """One rule as the checks see it. Times in seconds, as written in the file (not divided by the speed)."""

    rule: RuleInfo
    tree: Node
    groups: Groups
    for_s: float
    speed: float
    interval_s: float | None
    among: Survey

    @property
    def leading(self) -> Iterator[Condition]:
        """The first condition of each group; what `and` adds is usually a gate, not what is watched."""
        return (group[0] for group in self.groups)


_Check = Callable[[_Case], Iterable[Advice]]


def advise(
    rule: RuleInfo, *, among: Survey | None = None, interval_s: float | None = None, speed: float = 1.0
) -> tuple[Advice, ...]:
    """What is wrong with one rule, by code; empty for a good rule, and for one whose `expr` is not known.

    `among` is the survey of all rules of the file: an absent() of another rule covers this one too. `interval_s`
    is the time between two scrapes, `speed` what `rule.for_s` was divided by.

    Raises:
        UsageError: the expression is no PromQL.
    """
    if not rule.expr:
        return ()
    tree = parse_shape(rule.expr)
    known = Survey.of([rule]) if among is None else among
    case = _Case(rule, tree, conditions(tree), rule.for_s * speed, speed, interval_s, known)
    return tuple(found for check in _CHECKS for found in _first(check(case)))


def _divided_by_itself(case: _Case) -> Iterator[Advice]:
    for node in walk(case.tree):
        metric = _own_quotient(node)
        if metric is None:
            continue
        explanation = (
            f"A division pairs series whose labels are all equal. Both sides read {metric}, so each series is "
            "divided by itself: the result is 1 as soon as it counts any event, whatever share of all events it "
            "is. The alert fires for 1 % of errors as for 100 %."
        )
        instead = (
            "Add up both sides before the division: sum(rate(…)) / sum(rate(…)). A by() must be the same on both "
            "sides and must not name the label that tells them apart."
        )
        yield Advice("AL001", "Series are divided by themselves", explanation, instead)


def _own_quotient(node: Node) -> str | None:
    """The metric of a division whose left side is narrower than the right, where only equal series meet."""
    if not (isinstance(node, Binary) and node.operator == "/" and node.plain):
        return None
    left, right = node.left, node.right
    merged: Aggregate | None = None
    if isinstance(left, Aggregate) and isinstance(right, Aggregate):
        if replace(left, expression=right.expression) != right or left.operator not in _SAME_FOR_SAME:
            return None
        merged = left
        left, right = left.expression, right.expression
    if isinstance(left, Call) and isinstance(right, Call) and left.function == right.function:
        if len(left.arguments) != 1 or len(right.arguments) != 1:
            return None
        left, right = left.arguments[0], right.arguments[0]
    if not (isinstance(left, Selector) and isinstance(right, Selector) and right.matchers < left.matchers):
        return None
    if replace(left, matchers=right.matchers) != right:
        return None
    narrowed = {label for label, _, _ in left.matchers - right.matchers}
    return left.name if merged is None or all(map(merged.keeps, narrowed)) else None


def _silent_when_gone(case: _Case) -> Iterator[Advice]:
    if any(
        (isinstance(node, Call) and node.function in _ABSENCE)
        or (isinstance(node, Binary) and node.operator == "or")
        for node in walk(case.tree)
    ):
        return
    for condition in case.leading:
        subject = condition.subject
        series = subject.expression if isinstance(subject, Aggregate) else subject
        if (
            not isinstance(series, Selector)
            or series.window_s
            or series.name in {None, "up", *case.among.watched}
        ):
            continue
        name = str(series.name)
        low = (condition.operator, condition.threshold) in {("<", 1), ("==", 0), ("<=", 0), ("!=", 1)}
        if not low or name.endswith(_COUNTER_SUFFIXES):
            continue
        explanation = (
            f"A comparison needs a series to compare. When {name} vanishes (its exporter or service is dead, or no "
            "longer exports it), nothing is left below the threshold and the alert stays silent; if it was firing, "
            "it resolves."
        )
        # `up` has the labels of the target only, and without a job the targets that have nothing but `up` match
        target = {matcher for matcher in series.matchers if matcher[0] in {"job", "instance"}}
        target |= set() if any(label == "job" for label, _, _ in target) else {("job", "=", "…")}
        both = Selector(None, frozenset({("__name__", "=~", f"up|{name}"), *target}))
        instead = f"Let the absence count too: … or absent({series})."
        if name.endswith("_up"):
            instead += (
                f" Where {name} is 0 or 1 and every target of the job exports it, this says the same without "
                f"absent(): sum by (job, instance) ({both}) == 1."
            )
        level: Level = "error" if name.endswith("_up") else "note"
        yield Advice("AL002", "Silent when the series vanishes", explanation, instead, level)


def _long_window(case: _Case) -> Iterator[Advice]:
    for group in case.groups:
        found = dilution(group, case.for_s, case.interval_s)
        if found is None:
            continue
        explanation = found.explanation
        if next(iter(_divided_by_itself(case)), None):
            explanation = f"Also once AL001 is corrected: {explanation}"
        level: Level = "error" if found.window_s >= case.for_s else "note"
        yield Advice("AL003", "A long window and `for` as well", explanation, found.instead, level)


def _one_bad_state(case: _Case) -> Iterator[Advice]:
    for condition in case.leading:
        series = condition.subject
        if not isinstance(series, Selector) or not (series.name or "").endswith("_state") or not case.for_s:
            continue
        name = str(series.name)
        # a series for each state, told apart by a label, is 0 or 1; other values in use are watched by somebody
        by_label = any("state" in label or "status" in label for label, _, _ in series.matchers)
        others = any(metric == name and value != 1 for metric, value in case.among.compared)
        if condition.operator != "==" or condition.threshold != 1 or by_label or others:
            continue
        explanation = (
            f"{name} may have bad states other than 1 (a circuit breaker is half-open between two trials). Every "
            f"evaluation that sees one of them ends the pending alert, and `for: {format_duration(case.for_s)}` "
            "starts anew: the alert comes late or never."
        )
        instead = f"Compare with the good state; where that is 0: {series} > 0."
        yield Advice("AL004", "Only one of the bad states counts", explanation, instead)


def _whose_process(case: _Case) -> Iterator[Advice]:
    for group in case.groups:
        series = chain(group[0].subject)
        if series is None or series.matchers or len(group) > 1 or group[0].threshold is None:
            continue
        name = series.name or ""
        if name == "up":
            explanation = (
                "up exists for every target that is scraped. Without a label the alert fires for each of them, "
                "tools and stand-ins as well, and calls the same people."
            )
            instead = 'Name the target: up{job="…"}, or route by the alert\'s `job` label on purpose.'
            yield Advice("AL005", "`up` of every target", explanation, instead, "note")
        elif name.startswith("process_") and name != "process_start_time_seconds":
            explanation = (
                f"{name} is a standard series that nearly every process exports. Without a target label the same "
                "threshold holds for all of them, and the alert may be about a process that is not the service."
            )
            instead = f'Name the target: {name}{{job="…"}}.'
            yield Advice("AL005", "Every process matches, not only the service", explanation, instead)


def _quantile_of_each(case: _Case) -> Iterator[Advice]:
    for node in walk(case.tree):
        if not (
            isinstance(node, Call) and node.function == "histogram_quantile" and len(node.arguments) == 2
        ):
            continue
        buckets = node.arguments[1]
        instead = "Merge the buckets first: histogram_quantile(…, sum by (le) (rate(…_bucket[…])))."
        if isinstance(buckets, Aggregate):
            found = next(selectors(buckets), None)
            if buckets.keeps("le") or found is None or not (found.name or "").endswith("_bucket"):
                continue
            explanation = (
                "The aggregation drops the label `le`, which says how far each bucket reaches. Without it no "
                "quantile can be computed: the result is empty and the alert never fires."
            )
            yield Advice("AL006", "A quantile without `le`", explanation, instead)
        elif isinstance(buckets, Call) and isinstance(chain(buckets), Selector):
            series = next(selectors(buckets))
            if any(op == "=" and label not in _TARGET_LABELS for label, op, _ in series.matchers):
                continue
            explanation = (
                "Without sum by (le) the quantile is computed for each set of labels by itself (each path, each "
                "instance). One rare, slow path fires for the whole service, and a service that is slow on "
                "several instances is never seen as one."
            )
            yield Advice("AL006", "A quantile of each series by itself", explanation, instead)


def _nothing_divided_by_nothing(case: _Case) -> Iterator[Advice]:
    for group in case.groups:
        ratio = group[0].subject
        if len(group) > 1 or group[0].operator not in {"<", "<="} or group[0].threshold is None:
            continue
        if not isinstance(ratio, Binary) or ratio.operator != "/" or not _may_be_zero(ratio.right):
            continue
        apart = not any(isinstance(node, Aggregate) for node in walk(ratio.right))
        explanation = (
            "The denominator is 0 while there are no events; 0 / 0 is NaN, which is below no threshold. When "
            "everything has stopped, the alert is silent"
            + (", and so it is for each idle instance." if apart else ".")
        )
        instead = "Where no events at all is an incident as well, add an alert for it: sum(rate(…[…])) == 0."
        if apart:
            instead += " Add up both sides, so that idle instances do not count: sum(…) / sum(…)."
        yield Advice("AL007", "Silent without any event", explanation, instead, "note")


def _may_be_zero(node: Node) -> bool:
    """True for sums of rates of counters without anything that keeps them above zero."""
    if isinstance(node, Call):
        return node.function in {"rate", "increase", "irate"}
    if isinstance(node, Aggregate):
        return node.operator == "sum" and _may_be_zero(node.expression)
    if isinstance(node, Binary):
        return node.operator == "+" and _may_be_zero(node.left) and _may_be_zero(node.right)
    return False


def _shorter_than_a_scrape(case: _Case) -> Iterator[Advice]:
    if case.interval_s is None or not 0 < case.rule.for_s < case.interval_s:
        return
    at_speed = f" ({format_duration(case.rule.for_s)} at speed {case.speed:g})" if case.speed != 1 else ""
    explanation = (
        f"`for: {format_duration(case.for_s)}`{at_speed} is shorter than the {format_duration(case.interval_s)} "
        "between two scrapes. One bad sample counts until the next one replaces it, so a single bad scrape fires."
    )
    instead = f"Make `for` at least two scrapes ({format_duration(2 * case.interval_s)}), or leave it out on purpose."
    yield Advice("AL008", "`for` is shorter than a scrape", explanation, instead)


def _no_severity(case: _Case) -> Iterator[Advice]:
    if case.rule.severity is None:
        explanation = (
            "The rule has no label `severity`: nothing says whether to wake somebody for this alert."
        )
        yield Advice("AL009", "No severity", explanation, "Add labels: {severity: …}.", "note")


def _no_runbook(case: _Case) -> Iterator[Advice]:
    if not case.rule.runbook_url:
        explanation = (
            "The rule has no annotation `runbook_url`: who is called has to search, and no drill can tell which "
            "runbook to prove."
        )
        yield Advice("AL010", "No runbook", explanation, "Add annotations: {runbook_url: …}.", "note")


_CHECKS: tuple[_Check, ...] = (
    _divided_by_itself,
    _silent_when_gone,
    _long_window,
    _one_bad_state,
    _whose_process,
    _quantile_of_each,
    _nothing_divided_by_nothing,
    _shorter_than_a_scrape,
    _no_severity,
    _no_runbook,
)


def _first(found: Iterable[Advice]) -> tuple[Advice, ...]:
    """One finding of a code is enough for a rule."""
    return next(((advice,) for advice in found), ())


def _compared(tree: Node) -> Iterator[tuple[str, float]]:
    """Metrics with the numbers that they are compared with."""
    for condition in (condition for group in conditions(tree) for condition in group):
        series = condition.subject
        if isinstance(series, Selector) and series.name is not None and condition.threshold is not None:
            yield series.name, condition.threshold
