"""`gameday run --junit FILE --summary FILE`: what a CI job reads, at places that it knows beforehand.

One drill or several write the same two files. What an earlier run has left there is removed first, so that a run that
writes nothing (an invalid file) is never taken for the one before it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.errors import GamedayError, UsageError

if TYPE_CHECKING:
    from gameday.drill import Request
    from gameday.reporting.batch import DrillResult, RunSummary


@dataclass(frozen=True, slots=True)
class CiFiles:
    """Where they go; None: not wanted."""

    junit: Path | None = None
    summary: Path | None = None

    def clear(self) -> None:
        """Remove what is there, and see that something can be written there.

        Raises:
            UsageError: it cannot.
        """
        for file in filter(None, (self.junit, self.summary)):
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.unlink(missing_ok=True)
            except OSError as error:
                raise UsageError(f"cannot write {file}: {error}") from error

    def write(self, run: RunSummary) -> None:
        """Both of them. What cannot be written is told, and spoils no drill."""
        from gameday.reporting.batch import for_elsewhere, to_junit

        self._write(self.junit, to_junit, run)
        self._write(self.summary, for_elsewhere, run)

    def of_drill(self, request: Request, folder: Path, rules: Path | None) -> None:
        """Of one drill that left evidence."""
        from gameday.record import load_record
        from gameday.reporting.batch import DrillResult

        if self.junit is None and self.summary is None:
            return
        record = load_record(folder, with_samples=False)
        verdict = record.verdict
        result = DrillResult(
            record.scenario.scenario,
            record.scenario.title,
            request.instance,
            verdict.exit_code,
            verdict.reasons,
            record,
            duration_s=record.ended - record.started,
        )
        run = _alone(result, folder, request.speed, record.started.utc)
        self.write(replace(run, disarmed=request.disarmed, rules=str(rules) if rules else None))

    @contextlib.contextmanager
    def of_refusal(self, scenario: str, instance: str, speed: float) -> Iterator[None]:
        """Of one drill that did not take place: refused, aborted before it began, an environment that did not come up.
        A call that cannot be carried out as written is none."""
        begun = datetime.now(UTC)
        try:
            yield
        except UsageError:
            raise
        except GamedayError as error:
            from gameday.reporting.batch import DrillResult

            name = Path(scenario).stem
            result = DrillResult(name, name, instance, error.exit_code, (str(error),))
            self.write(_alone(result, Path("reports", "none"), speed, begun))
            raise

    def _write(self, file: Path | None, text: Callable[[RunSummary], str], run: RunSummary) -> None:
        from gameday.reporting.whole_file import write_text

        if file is None:
            return
        try:
            write_text(file, text(run))
        except OSError as error:
            print(f"warning: {file} could not be written: {error}", file=sys.stderr)


def _alone(result: DrillResult, folder: Path, speed: float, started: datetime) -> RunSummary:
    """One drill as a run of one."""
    from gameday.reporting.batch import RunSummary

    return RunSummary(
        folder=folder,
        environment=result.instance,
        speed=speed,
        parallel=1,
        started=started,
        ended=datetime.now(UTC),
        drills=(result,),
    )
