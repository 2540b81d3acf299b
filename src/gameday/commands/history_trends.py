"""`gameday history page`, `metrics`, `regressions` and `compare`: what many drills say together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gameday import metrics as metric_sums
from gameday.commands.scheduled import restore_scenarios
from gameday.errors import GamedayError, UsageError
from gameday.history import DrillRow, History, HistoryError, Tallies
from gameday.history import figures as sums
from gameday.history.filters import Wanted
from gameday.project import Project
from gameday.regressions import Candidate, compare_all, count
from gameday.reporting.whole_file import write_text
from gameday.trends import Tally, months_back

if TYPE_CHECKING:
    from gameday.commands.coverage import Files
    from gameday.coverage import Coverage
    from gameday.reporting.history_page import Latest, Trends

MONTHS = 12
"""Of the page, where `--since` names no other time; the current month is the last of them."""
LATEST = 50
REPORT = "report.html"
_SWITCH_S = 0.0002
"""Between threads: a row that the database has takes its turn at once, and not after Python's 5 ms."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the history answers, in one reading of it."""

    tallies: Sequence[Tally]
    left_out: bool
    failures: Sequence[metric_sums.Failures]
    alerts: Sequence[metric_sums.AlertCount]
    latest: Sequence[DrillRow]
    environment: str | None
    """The one asked for, or the one with most drills."""
    judged: Mapping[str | None, Tallies]
    """What the coverage matrix of it is made of."""

    def add_up(self, restores: Collection[str]) -> metric_sums.Buckets:
        return metric_sums.add_up(metric_sums.Facts(self.tallies, self.failures, self.alerts, restores))


def read(project: Project, wanted: Wanted, latest: int = 0) -> Found:
    """What metrics need; with `latest`, what the page needs beside them: so many drills, and what judged alerts.

    Raises:
        HistoryError: it cannot be read.
    """
    with History.open(project) as history:
        with history.reading() as session:
            if session is None:
                return Found((), False, (), (), (), wanted.environment, {})
            # those with few rows first: beside a thread that imports, each row waits for its turn
            failures, alerts = sums.failures(session, wanted), sums.alerts(session, wanted)
            tallies, left_out = sums.tallies(session, wanted)
        environment = wanted.environment or _busiest(tallies)
        if not latest or environment is None:
            return Found(tallies, left_out, failures, alerts, (), environment, {})
        newest = history.drills(latest, wanted.scenario, wanted.environment, wanted.verdict, wanted.since)
        judged = history.tallies(environment, wanted.since)
    return Found(tallies, left_out, failures, alerts, newest, environment, judged)


def page(
    scenario: str | None, environment: str | None, since: datetime | None, form: str, to: Path | None
) -> None:
    """Write the page, or one of its other forms.

    Raises:
        HistoryError: the history cannot be read.
        UsageError: the file cannot be written.
    """
    project, now = Project.find(), datetime.now(UTC)
    target = project.reports / "history.html" if to is None and form == "html" else to
    wanted = Wanted(scenario, environment, since=since or months_back(now, MONTHS))
    found = trends(project, wanted, now, (target or project.reports / "-").absolute().parent)
    text = _form(form)(found)
    if target is None:
        print(text, end="")
        return
    try:
        if to is None:
            target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, text)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error}") from error
    print(target)


def trends(project: Project, wanted: Wanted, now: datetime, beside: Path) -> Trends:
    """Everything that the page shows; links are relative to the folder `beside`."""
    sys.setswitchinterval(_SWITCH_S)
    with ThreadPoolExecutor(1) as pool:
        # the database adds up while this thread reads scenarios and runbooks
        answer = pool.submit(read, project, wanted, LATEST)
        from gameday.commands.coverage import load_files
        from gameday.reporting import history_page

        history_page.prepare()
        files = None
        with suppress(GamedayError):  # whoever measures coverage meets it again, and says it
            files = load_files(project)
        restores = restore_scenarios(project)
        found = answer.result()
    buckets = found.add_up(restores)
    covered, why = _coverage(project, found, files)
    return history_page.Trends(
        made=now,
        since=wanted.since or now,
        environment=wanted.environment,
        scenario=wanted.scenario,
        tallies=found.tallies,
        left_out=found.left_out,
        months=metric_sums.reports(buckets),
        quarters=metric_sums.reports(buckets, metric_sums.Every.QUARTER),
        latest=[_latest(row, project.reports, beside) for row in found.latest],
        coverage=covered,
        why_no_coverage=why,
    )


def _latest(row: DrillRow, reports: Path, beside: Path) -> Latest:
    from gameday.reporting.history_page import Latest

    report = reports.absolute() / row.folder / REPORT
    return Latest(
        row.started,
        row.drill,
        row.scenario,
        row.environment,
        row.verdict,
        row.speed,
        row.mttd_s,
        row.time_to_recover_s,
        row.data_loss_s,
        row.restored_by,
        _link(report, beside),
    )


def _link(report: Path, beside: Path) -> str | None:
    """Percent-encoded, so that no name can be a scheme or leave its attribute."""
    try:
        if not report.is_file():
            return None
        return quote(os.path.relpath(report, beside))
    except (OSError, ValueError):  # a name that no file can have
        return None


def _coverage(project: Project, found: Found, files: Files | None) -> tuple[Coverage | None, str]:
    """The matrix; or why there is none."""
    from gameday.commands.coverage import measure

    if found.environment is None:
        return None, "there is no drill"
    try:
        return measure(project, found.environment, found.judged, files), ""
    except GamedayError as error:
        return None, str(error)


def _busiest(tallies: Sequence[Tally]) -> str | None:
    counts: dict[str, int] = {}
    for tally in tallies:
        counts[tally.environment] = counts.get(tally.environment, 0) + tally.drills
    return min(counts, key=lambda name: (-counts[name], name)) if counts else None


def _form(form: str) -> Callable[[Trends], str]:
    if form == "html":
        from gameday.reporting.history_page import to_html

        return to_html
    from gameday.reporting import history_forms

    forms = {
        "markdown": history_forms.to_markdown,
        "csv": history_forms.to_csv,
        "json": history_forms.to_json,
    }
    return forms[form]


# --- metrics --------------------------------------------------------------------------------------------------


def metrics(wanted: Wanted, every: str, severity: str | None, form: str) -> None:
    """Print the metrics by period, of all severities or of one.

    Raises:
        HistoryError: the history cannot be read.
    """
    from gameday.reporting import history_forms
    from gameday.reporting.document import json_text
    from gameday.reporting.history_tables import print_metrics

    project = Project.find()
    wanted = replace(wanted, since=wanted.since or months_back(datetime.now(UTC), MONTHS))
    buckets = read(project, wanted).add_up(restore_scenarios(project))
    found = metric_sums.reports(buckets, metric_sums.Every(every))
    if severity is not None:
        found = tuple(report for report in found if report.severity == severity.upper())
    if form == "human":
        print_metrics(found, sys.stdout)
    elif form == "json":
        print(json_text(history_forms.metrics_values(found)), end="")
    else:
        print({"markdown": history_forms.metrics_markdown, "csv": history_forms.metrics_csv}[form](found))


# --- regressions ----------------------------------------------------------------------------------------------


def regressions(wanted: Wanted, last: int, tolerance: float, *, as_json: bool) -> int:
    """Print how the newest drills compare with those before; 1 when one is worse, 3 when nothing could be compared.

    Raises:
        HistoryError: the history cannot be read.
    """
    from gameday.reporting.document import json_text
    from gameday.reporting.history_tables import comparison_values, print_comparisons

    found = compare_all(candidates(Project.find(), wanted, last), last=last, tolerance=tolerance)
    if as_json:
        print(json_text(comparison_values(found)), end="")
    else:
        print_comparisons(found, sys.stdout)
    worse, of = count(found)
    return 1 if worse else 0 if of else 3


def candidates(project: Project, wanted: Wanted, last: int) -> list[Candidate]:
    """Raises HistoryError: it cannot be read."""
    with History.open(project) as history, history.reading() as session:
        return [] if session is None else sums.candidates(session, wanted, last)


# --- two drills side by side ----------------------------------------------------------------------------------


def compare(first: str, second: str, *, as_json: bool) -> None:
    """Print two drills side by side.

    Raises:
        UsageError: there is no such drill.
        HistoryError: it cannot be read from the history.
    """
    from gameday.reporting.document import json_text
    from gameday.reporting.history_compare import compared, compared_values, print_compared

    found = compared(_document(first), _document(second))
    if as_json:
        print(json_text(compared_values(found)), end="")
    else:
        print_compared(found, sys.stdout)


def _document(drill: str) -> dict[str, Any]:
    """As `verdict.json` has it; from the history's row, without checks, where the folder is gone."""
    from gameday.commands.stored import evidence
    from gameday.record import load_record
    from gameday.reporting.document import verdict_document
    from gameday.reporting.history_compare import row_document

    try:
        with evidence(drill) as (folder, _):
            return verdict_document(load_record(folder, with_samples=False))
    except GamedayError as error:
        try:
            with History.open(Project.find()) as history:
                return row_document(history.find(drill))
        except HistoryError:
            raise error from None
