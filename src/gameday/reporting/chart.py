"""The drawn timeline as geometry: what lies where, without a word of SVG.

Horizontal positions are percent of the drill, so that the drawing follows the width of a screen or a page while
its text keeps its size. States differ by shape as well as by colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from gameday.clock import Instant
from gameday.fields import format_duration
from gameday.record import DrillRecord, Sample
from gameday.reporting.summary import MINUS, Moment, effect, moments, origin, steps
from gameday.text import one_line
from gameday.timeline import Event, Kind, Phase

MAX_BINS = 1000
MAX_OTHER_ALERTS = 20
_BADGE_GAP = 7.0  # percent: a badge's width on a phone
_TICK_STEPS_S = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    43200,
    86400,
)
_PHASES = tuple(Phase)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a lane. `kind` names its look, `note` is its tooltip, `label` stands in it where it fits."""

    x: float
    width: float
    kind: str
    note: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of the drawing."""

    title: str
    kind: str
    spans: tuple[Span, ...]
    deadline: Span | None = None
    """The latest time that the objective allows, where the drill lasted that long."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant, drawn through all lanes. `level` keeps neighbouring badges apart."""

    number: int
    x: float
    level: int
    moment: Moment


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws."""

    phases: tuple[Span, ...]
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    unseen_alerts: int

    @property
    def levels(self) -> int:
        return max((mark.level for mark in self.marks), default=-1) + 1


@dataclass(frozen=True, slots=True)
class _Scale:
    """Instants to percent."""

    start_ns: int
    end_ns: int

    @classmethod
    def of(cls, record: DrillRecord) -> _Scale:
        start = record.started.mono_ns
        return cls(start, max(start + 1_000_000, *(event.at.mono_ns for event in record.timeline)))

    def x(self, mono_ns: int) -> float:
        share = (mono_ns - self.start_ns) / (self.end_ns - self.start_ns)
        return round(100 * min(max(share, 0.0), 1.0), 3)

    def span(self, start_ns: int, end_ns: int, kind: str, note: str, label: str = "") -> Span:
        x = self.x(start_ns)
        return Span(x, round(max(self.x(end_ns) - x, 0.0), 3), kind, one_line(note, 300), one_line(label, 60))


def chart(record: DrillRecord) -> Chart:
    """The drawing of one drill."""
    scale = _Scale.of(record)
    others = _other_alerts(record)
    lanes = [] if record.scenario.control else [_expected_lane(record, scale)]
    lanes += [_alert_lane(record, scale, name, "other alert") for name in others[:MAX_OTHER_ALERTS]]
    recovered, rto_s = record.scenario.recovered, record.scenario.rto_s
    must_hold = _deadline(record, scale, rto_s, "the service must be back (RTO)") if rto_s else None
    back = recovered.probes if recovered else ()
    for name, rows in sorted(record.samples.items()):
        lane = _probe_lane(scale, origin(record), name, rows)
        lanes.append(replace(lane, deadline=must_hold if name in back else None))
    runbook = _steps_lane(record, scale)
    if runbook.spans:
        lanes.append(runbook)
    return Chart(
        phases=_phases(record, scale),
        lanes=tuple(lanes),
        marks=_marks(record, scale),
        ticks=_ticks(record, scale),
        unseen_alerts=max(0, len(others) - MAX_OTHER_ALERTS),
    )


def _expected_lane(record: DrillRecord, scale: _Scale) -> Lane:
    expected = record.scenario.expected
    must_fire = _deadline(record, scale, expected.fires_within, "the alert must fire")
    return replace(_alert_lane(record, scale, expected.alert, "expected alert"), deadline=must_fire)


def _deadline(record: DrillRecord, scale: _Scale, within_s: float, what: str) -> Span | None:
    effective = effect(record)
    if effective is None or effective.plus(within_s).mono_ns > scale.end_ns:
        return None
    at = effective.plus(within_s).mono_ns
    return scale.span(at, at, "deadline", f"{what} within {format_duration(round(within_s, 3))}")


def _phases(record: DrillRecord, scale: _Scale) -> tuple[Span, ...]:
    begins = record.timeline.all(Kind.PHASE_STARTED)
    ends = [*(event.at.mono_ns for event in begins), scale.end_ns][1:]
    return tuple(
        scale.span(
            event.at.mono_ns,
            end,
            event.phase.value,
            f"{_number(event.phase)} {event.phase.value}: {_seconds(end - event.at.mono_ns)}",
            f"{_number(event.phase)} {event.phase.value}",
        )
        for event, end in zip(begins, ends, strict=True)
    )


def _number(phase: Phase) -> int:
    return _PHASES.index(phase) + 1


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.2f} s"


# --- alerts ---------------------------------------------------------------------------------------------------

_STATES = {
    Kind.ALERT_PENDING: "pending",
    Kind.ALERT_FIRING: "firing",
    Kind.ALERT_RESOLVED: "resolved",
    Kind.ALERT_LAPSED: "inactive",
}


def _other_alerts(record: DrillRecord) -> list[str]:
    """Alerts that did something, by time of their first event."""
    events = sorted(
        (event for event in record.timeline if event.kind in _STATES), key=lambda event: event.at.mono_ns
    )
    names = dict.fromkeys(str(event.data.get("alert")) for event in events)
    return [name for name in names if name != record.scenario.alert]


def _alert_lane(record: DrillRecord, scale: _Scale, name: str, kind: str) -> Lane:
    """States of an alert over all its label sets: firing if any fires, else pending if any is pending."""
    changes = sorted(
        (
            event
            for event in record.timeline
            if event.kind in _STATES and str(event.data.get("alert")) == name
        ),
        key=lambda event: (event.at.mono_ns, event.seq),
    )
    points = [(scale.start_ns, "inactive"), *_states(changes)]
    ends = [at for at, _ in points[1:]] + [scale.end_ns]
    spans = [
        scale.span(at, end, state, f"{state} for {_seconds(end - at)}", state)
        for (at, state), end in zip(points, ends, strict=True)
        if at < end
    ]
    return Lane(f"{kind} {one_line(name, 120)}", "alert", (*spans, *_blind(record, scale)))


def _states(changes: Iterable[Event]) -> list[tuple[int, str]]:
    """When the state over all label sets changed, and to what."""
    each: dict[str, str] = {}
    points: list[tuple[int, str]] = []
    current = "inactive"
    for event in changes:
        each[repr(sorted((event.data.get("labels") or {}).items()))] = _STATES[event.kind]
        found = set(each.values())
        state = next(state for state in ("firing", "pending", "resolved", "inactive") if state in found)
        if state != current:
            points.append((event.at.mono_ns, state))
            current = state
    return points


def _blind(record: DrillRecord, scale: _Scale) -> tuple[Span, ...]:
    """Stretches in which the detector could not tell: drawn over every alert, for nothing is known there."""
    spans: list[Span] = []
    since: Event | None = None
    for event in record.timeline.all(Kind.DETECTOR_HEALTH):
        if not event.data.get("ok"):
            since = since or event
        elif since is not None:
            spans.append(_unknown(scale, since, event.at.mono_ns))
            since = None
    if since is not None:
        spans.append(_unknown(scale, since, scale.end_ns))
    return tuple(spans)


def _unknown(scale: _Scale, since: Event, end_ns: int) -> Span:
    note = f"detector blind: {since.data.get('detail', '')}"
    return scale.span(since.at.mono_ns, end_ns, "unknown", note, "unknown")


# --- probes -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """Neighbouring samples that are drawn as one."""

    start_ns: int
    end_ns: int
    count: int = 0
    failed: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        if not self.failed:
            return "holds"
        return "fails" if self.failed == self.count else "mixed"


def _probe_lane(scale: _Scale, zero: Instant, name: str, samples: Sequence[Sample]) -> Lane:
    failed = sum(1 for sample in samples if not sample.ok)
    title = f"probe {one_line(name, 80)}: {failed:,} of {len(samples):,} failed"
    runs = _merged(_binned(scale, samples), _usual_gap_ns(samples))
    spans = (scale.span(run.start_ns, run.end_ns, run.kind, _note(run, zero)) for run in runs)
    return Lane(title, "probe", tuple(spans))


def _binned(scale: _Scale, samples: Sequence[Sample]) -> list[_Run]:
    """At most `MAX_BINS` runs: a bin with one failed sample is drawn as failing, however many others held."""
    bins: dict[int, _Run] = {}
    width = (scale.end_ns - scale.start_ns) / MAX_BINS
    for sample in samples:
        index = min(max(int((sample.started_ns - scale.start_ns) / width), 0), MAX_BINS - 1)
        run = bins.setdefault(index, _Run(sample.started_ns, sample.ended_ns))
        run.start_ns = min(run.start_ns, sample.started_ns)
        run.end_ns = max(run.end_ns, sample.ended_ns)
        run.count += 1
        if not sample.ok:
            run.failed += 1
            if sample.detail and not run.details:
                run.details.append(sample.detail)
    return [bins[index] for index in sorted(bins)]


def _merged(runs: Iterable[_Run], gap_ns: int) -> list[_Run]:
    """Neighbours of one kind as one; a run lasts until the next begins unless samples are missing between."""
    result: list[_Run] = []
    for run in runs:
        last = result[-1] if result else None
        if last is not None and run.start_ns - last.end_ns <= gap_ns:
            last.end_ns = run.start_ns
            if last.kind == run.kind:
                last.end_ns = max(last.end_ns, run.end_ns)
                last.count += run.count
                last.failed += run.failed
                continue
        result.append(run)
    return result


def _usual_gap_ns(samples: Sequence[Sample]) -> int:
    """What is longer is a hole and not a held state: three times the gap that nearly all samples keep.

    Not the median: a drill samples faster while it waits for recovery.
    """
    gaps = sorted(max(b.started_ns - a.ended_ns, 0) for a, b in pairwise(samples))
    return 3 * gaps[len(gaps) * 95 // 100] if gaps else 0


def _note(run: _Run, zero: Instant) -> str:
    start, end = (run.start_ns - zero.mono_ns) / 1e9, (run.end_ns - zero.mono_ns) / 1e9
    detail = f": {run.details[0]}" if run.details else ""
    return f"{start:+.2f} s to {end:+.2f} s: {run.failed} of {run.count} samples failed{detail}"


# --- runbook, instants, axis --------------------------------------------------------------------------------------


def _steps_lane(record: DrillRecord, scale: _Scale) -> Lane:
    spans = []
    for step in steps(record):
        end = step.ended.mono_ns if step.ended else scale.end_ns
        kind = "late" if step.over_budget else "step" if step.outcome == "done" else "failed"
        budget = format_duration(round(step.budget_s, 3))
        note = f"step {step.number} {step.heading}: {step.outcome}, {_seconds(end - step.started.mono_ns)} of {budget}"
        spans.append(scale.span(step.started.mono_ns, end, kind, note, str(step.number)))
    return Lane(f"steps of runbook {one_line(record.scenario.runbook or '', 80)}", "steps", tuple(spans))


def _marks(record: DrillRecord, scale: _Scale) -> tuple[Mark, ...]:
    """Each badge on the lowest level where it touches none."""
    ends: list[float] = []
    found: list[Mark] = []
    for number, moment in enumerate(moments(record), 1):
        x = scale.x(moment.at.mono_ns)
        level = next((level for level, end in enumerate(ends) if end <= x), len(ends))
        ends[level : level + 1] = [x + _BADGE_GAP]
        found.append(Mark(number, x, level, moment))
    return tuple(found)


def _ticks(record: DrillRecord, scale: _Scale) -> tuple[Tick, ...]:
    """Round times around the effect, about six of them."""
    zero = origin(record).mono_ns
    length_s = (scale.end_ns - scale.start_ns) / 1e9
    step_s = next((step for step in _TICK_STEPS_S if length_s / step <= 7), _TICK_STEPS_S[-1])
    step_ns = round(step_s * 1e9)
    first = -((zero - scale.start_ns) // step_ns)
    ticks = []
    for number in range(first, (scale.end_ns - zero) // step_ns + 1):
        x = scale.x(zero + number * step_ns)
        sign = "" if number == 0 else "+" if number > 0 else MINUS
        label = f"{sign}{format_duration(round(abs(number) * step_s, 3))}" if number else "0"
        ticks.append(Tick(x, label, "start" if x < 4 else "end" if x > 96 else "middle"))
    return tuple(ticks)
