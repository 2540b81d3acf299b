"""The history as one self-contained page: no script, no font, no request.

Everything is decided here and drawn by the template, which escapes: names come from files and databases of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Template

from gameday.coverage import Coverage
from gameday.metrics import Report
from gameday.reporting import coverage_texts
from gameday.reporting import history_texts as texts
from gameday.reporting.history_charts import Chart, charts
from gameday.reporting.page import page_template
from gameday.text import one_line
from gameday.trends import Interval, Month, Series, Standing, Tally, heat_map, months_of, series, standing

MOST_SCENARIOS = 100
"""So many have their trends drawn, those with the newest drills; and so many rows the heat map has."""
MOST_SERIES = 4
"""Of one scenario: its environments and speeds, those with the newest drills."""
_SHADES = (0.1, 0.25, 0.5)
_OPEN = 4
"""So many scenarios are unfolded."""


@dataclass(frozen=True, slots=True)
class Latest:
    """One of the newest drills. `link` leads to its report, from where the page is; None where that is not there."""

    started: datetime
    drill: str
    scenario: str
    environment: str
    verdict: str
    speed: float
    mttd_s: float | None
    time_to_recover_s: float | None
    data_loss_s: float | None
    restored_by: str | None
    link: str | None


@dataclass(frozen=True, slots=True)
class Trends:
    """Everything that the page and its other forms are made of."""

    made: datetime
    since: datetime
    environment: str | None
    scenario: str | None
    tallies: Sequence[Tally]
    left_out: bool
    """Whether there are more tallies than fit: the oldest are absent."""
    months: Sequence[Report]
    quarters: Sequence[Report]
    latest: Sequence[Latest]
    coverage: Coverage | None
    why_no_coverage: str = ""

    @property
    def standing(self) -> Standing:
        return sum(map(standing, self.tallies), Standing())

    @property
    def rehearsals(self) -> int:
        return sum(tally.drills for tally in self.tallies if tally.rehearsal)

    @property
    def title(self) -> str:
        parts = ["Drill history"]
        if self.scenario:
            parts.append(f"of {texts.name(self.scenario)}")
        if self.environment:
            parts.append(f"in {texts.name(self.environment)}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class _Panel:
    """One series, drawn."""

    where: str
    standing: str
    charts: tuple[Chart, ...]
    rows: tuple[tuple[str, ...], ...]
    """Month, verdicts and the three intervals as text."""


@dataclass(frozen=True, slots=True)
class _Scenario:
    name: str
    tone: str
    standing: str
    panels: tuple[_Panel, ...]
    more: int


def basis(found: Trends) -> tuple[str, ...]:
    """What the figures rest on, and what they leave out."""
    words = texts.standing_words(found.standing)
    made = f"made {found.made:%Y-%m-%d %H:%M} UTC"
    rows = [f"{found.standing.drills} drills since {found.since:%Y-%m-%d} ({words}); {made}"]
    if found.rehearsals:
        rows.append(
            f"{found.rehearsals} of them were rehearsals at another speed: their trends stand apart, and metrics and "
            "goals leave them out"
        )
    if found.left_out:
        rows.append("There are more scenarios and months than fit here: the oldest months are left out")
    return tuple(rows)


def to_html(found: Trends) -> str:
    """The whole page."""
    months = months_of(found.tallies)
    heat = heat_map(found.tallies)
    scenarios = _scenarios(found.tallies, months)
    covered = found.coverage
    return _template().render(
        found=found,
        title=found.title,
        tone={"pass": "pass", "fail": "fail"}.get(found.standing.tone, "inconclusive"),
        basis=basis(found),
        goals=texts.goals(found.months, found.quarters),
        reports=[
            (texts.severity_title(month.severity), (("By month", month), ("By quarter", quarter)))
            for month, quarter in zip(found.months, found.quarters, strict=True)
        ],
        scenarios=scenarios[:MOST_SCENARIOS],
        more_scenarios=max(len(scenarios) - MOST_SCENARIOS, 0),
        unfolded=_OPEN,
        first_month=months[0] if months else "",
        last_month=months[-1] if months else "",
        months=heat.months,
        heat=[
            (
                texts.name(row.scenario),
                [(_shade(cell), texts.standing_text(cell), texts.standing_words(cell)) for cell in row.cells],
            )
            for row in heat.rows[:MOST_SCENARIOS]
        ],
        coverage=covered,
        coverage_rows=[]
        if covered is None
        else [(rule, coverage_texts.columns(rule), coverage_texts.tone(rule)) for rule in covered.rules],
        head=coverage_texts.HEAD,
        numbers=coverage_texts.NUMBERS,
        recall="" if covered is None else coverage_texts.recall(covered.total),
        precision="" if covered is None else coverage_texts.precision(covered.total),
        gaps=() if covered is None else coverage_texts.gaps(covered),
    )


def _shade(cell: Standing) -> str:
    """`pass`, `unknown`, `none`, or `fail-1` to `fail-4` for any, a tenth, a quarter or half that failed."""
    if not cell.failed:
        return cell.tone
    return f"fail-{1 + sum(cell.failed / cell.drills >= share for share in _SHADES)}"


def _scenarios(tallies: Sequence[Tally], months: Sequence[Month]) -> list[_Scenario]:
    """In the order of their newest drills."""
    found: dict[str, list[Series]] = {}
    for one in series(tallies):
        found.setdefault(one.scenario, []).append(one)
    return [
        _scenario(scenario, rows, months if number < MOST_SCENARIOS else ())
        for number, (scenario, rows) in enumerate(found.items())
    ]


def _scenario(scenario: str, rows: Sequence[Series], months: Sequence[Month]) -> _Scenario:
    whole = sum((one.standing for one in rows), Standing())
    shown = rows[:MOST_SERIES] if months else ()
    return _Scenario(
        texts.name(scenario),
        whole.tone,
        texts.standing_words(whole),
        tuple(map(lambda one: _panel(one, months), shown)),  # noqa: C417
        max(len(rows) - MOST_SERIES, 0),
    )


def _panel(one: Series, months: Sequence[Month]) -> _Panel:
    drawn = charts(one, months)
    return _Panel(
        texts.where(one.environment, one.speed),
        texts.standing_words(one.standing),
        drawn,
        tuple(
            (
                tally.month,
                texts.standing_text(standing(tally)),
                *(texts.sum_text(tally.sum(interval), interval) for interval in Interval),
            )
            for tally in one.tallies
        ),
    )


def prepare() -> None:
    """Compile the template now, while others are still counting."""
    _template()


@cache
def _template() -> Template:
    return page_template(
        "history.html.j2",
        signs={**texts.STANDING_SIGNS, "PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?"},
        one_line=lambda text: one_line(text, 500),
        name=texts.name,
        span=texts.span,
        value_text=texts.value_text,
        value_tone=texts.tone,
        value_sign=texts.sign,
        where=lambda one: texts.where(one.environment, one.speed),
    )
