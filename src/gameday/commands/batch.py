"""`gameday run` with several scenarios: each drill in an environment of its own, some at once.

A drill is a child process, an ordinary `gameday run --up` of one scenario, so that nothing can go wrong in one
drill that another would notice. Where there is only one environment (a namespace), they take turns in it. The parent
validates everything first, starts, waits, and looks after what a child may leave: it recovers what a killed runner has
not put back and takes its environment down. Children have sessions of their own; Ctrl-C reaches the parent alone, which
tells them once and waits for all of them. A parent that is killed takes nobody along by surprise: the kernel sends its
children SIGTERM, and they put everything back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gameday.commands.batch_jobs import DOWN_S, Job, confirm, read_answers, read_jobs
from gameday.commands.run import Options
from gameday.errors import GamedayError, UsageError
from gameday.plan import GRACE_S, UNDO_S
from gameday.record import DrillRecord, load_record
from gameday.reporting.batch import DrillResult, RunSummary, summary_document, worst, write_summary
from gameday.reporting.batch_view import BatchConsole
from gameday.reporting.document import json_text
from gameday.text import one_line

if TYPE_CHECKING:
    from gameday.drill import Request
    from gameday.runbook.manual import Prepared
    from gameday.runbook.model import Runbook

ENDS_WITHIN_S = UNDO_S + GRACE_S + DOWN_S
"""What a drill that was told to end has for putting everything back, before it is killed and recovered."""
TICK_S = 0.5


def run_several(scenarios: Sequence[str], options: Options, *, parallel: int, fail_fast: bool) -> int:
    """Every drill, then one summary; returns the worst exit code.

    Raises:
        UsageError: with every problem of every file; nothing was touched.
    """
    options.files.clear()
    jobs = read_jobs(scenarios, options)
    answers = read_answers(jobs, options)
    if not options.yes:
        confirm(jobs)
    project = jobs[0].request.project
    folder = _new_folder(project.reports)
    stream = sys.stderr if options.as_json else sys.stdout
    if jobs[0].request.environment.single:
        parallel = 1
    batch = Batch(jobs, options, folder, parallel, fail_fast=fail_fast, answers=answers, stream=stream)
    run = asyncio.run(batch.run())
    try:
        write_summary(run)
    except OSError as error:
        print(f"warning: the summary is not complete: {error}", file=sys.stderr)
    options.files.write(run)
    batch.console.finish(run)
    if options.as_json:
        print(json_text(summary_document(run)), end="")
    return run.exit_code


def _new_folder(reports: Path) -> Path:
    """`<utc>-run`, with a number where another run began in the same second."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-run"
    for number in range(1, 1000):
        folder = reports / (name if number == 1 else f"{name}-{number}")
        try:
            (folder / "logs").mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"cannot write reports to {folder}: {error}") from error
        return folder
    raise UsageError(f"cannot find a free name like {name} in {reports}")


# --- the run ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Batch:
    """One run of several drills."""

    jobs: list[Job]
    options: Options
    folder: Path
    parallel: int
    fail_fast: bool
    answers: dict[str, Prepared]
    stream: IO[str]
    console: BatchConsole = field(init=False)
    _stop: asyncio.Event = field(init=False)
    _interrupted: str | None = None
    _no_more: str | None = None
    _running: int = 0
    _up: bool = True
    """Whether each drill brings its environment up, and down again."""

    def __post_init__(self) -> None:
        self.console = BatchConsole(self.stream, [job.scenario for job in self.jobs])

    async def run(self) -> RunSummary:
        """Every drill, at most `parallel` at once; with everything put back."""
        started = datetime.now(UTC)
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupt, signal.Signals(number).name)
        ticking = asyncio.create_task(self._tick())
        try:
            # none may end the waiting for the others, not even by a defect
            async with _the_only_one(self.jobs[0].request, self.console.say) as self._up:
                done = await self._take_all(alone=False, slots=self.parallel)
                done += await self._take_all(alone=True, slots=1)
        finally:
            ticking.cancel()
            self.console.close()
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        request = self.jobs[0].request
        return RunSummary(
            folder=self.folder,
            environment=request.instance,
            speed=request.speed,
            parallel=self.parallel,
            started=started,
            ended=datetime.now(UTC),
            drills=tuple(job.result for job in self.jobs if job.result),
            interrupted=self._interrupted,
            rules=str(self.options.rules) if self.options.rules else None,
            disarmed=self.options.disarmed,
        )

    def _interrupt(self, name: str) -> None:
        if self._interrupted is None:
            self._interrupted = f"{name} received"
            self._no_more = self._interrupted
            self._stop.set()
        self.console.say(f"{name} received: {self._running} drills put everything back; please wait")

    async def _tick(self) -> None:
        while True:
            self.console.tick()
            await asyncio.sleep(TICK_S)

    async def _take_all(self, *, alone: bool, slots: int) -> list[BaseException | None]:
        free = asyncio.Semaphore(slots)
        jobs = [job for job in self.jobs if job.request.scenario.safety.alone is alone]
        return await asyncio.gather(*(self._take(job, free) for job in jobs), return_exceptions=True)

    async def _take(self, job: Job, slots: asyncio.Semaphore) -> None:
        async with slots:
            if self._no_more is not None:
                reasons = (f"not started: {self._no_more}",)
                job.result = DrillResult(
                    job.scenario, job.request.scenario.title, job.instance, None, reasons
                )
            else:
                self._running += 1
                job.result = await self._carry_out(job)
                self._running -= 1
            self.console.ended(job.result)
            if self.fail_fast and job.result.exit_code not in (None, 0, 3) and self._no_more is None:
                self._no_more = f"{job.scenario} ended as {job.result.outcome} and --fail-fast was given"

    async def _carry_out(self, job: Job) -> DrillResult:
        begun = time.monotonic()
        log = self.folder / "logs" / f"{job.scenario}.log"
        self.console.started(job.scenario, job.instance, log)
        trouble: list[str] = []
        code: int | None = None
        try:
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    *self._command(job),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )
            code = await self._wait(process, job, trouble)
        except OSError as error:
            trouble.append(f"could not be started: {error}")
        left = await asyncio.to_thread(_put_back, job, trouble)
        record = await asyncio.to_thread(_evidence, job, self.folder, trouble)
        return _result(
            job,
            code,
            record,
            log,
            trouble,
            left=left,
            interrupted=self._interrupted,
            took_s=time.monotonic() - begun,
        )

    def _command(self, job: Job) -> list[str]:
        options = self.options
        command = [sys.executable, "-m", "gameday", "run", "--yes", "--parent", str(os.getpid())]
        command += ["--up"] if self._up else []
        command += ["--environment", job.instance, "--speed", repr(options.speed)]
        if options.rules is not None:
            command += ["--rules", str(options.rules)]
        if options.disarmed:
            command.append("--disarmed")
        if job.runbook is not None and any(map(job.runbook.step, self.answers)):
            command += ["--answers", str(self._answers_file(job, job.runbook))]
        return [*command, str(job.file)]

    def _answers_file(self, job: Job, runbook: Runbook) -> Path:
        """What was answered in this drill, beside its log; JSON, which is YAML."""
        from gameday.runbook.manual import answers_for

        path = self.folder / "logs" / f"{job.scenario}.answers.yaml"
        path.write_text(json.dumps(answers_for(self.answers, runbook), indent=2) + "\n", encoding="utf-8")
        return path

    async def _wait(self, process: asyncio.subprocess.Process, job: Job, trouble: list[str]) -> int:
        """Its exit code. Told to end when the run is interrupted or its time is over; killed if it does not."""
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({ending, stopping}, timeout=job.limit_s, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            if not stopping.done():
                trouble.append(
                    f"not over after {job.limit_s:.0f} s, which is set-up and its plan: it was ended"
                )
            process.send_signal(signal.SIGINT)
            await asyncio.wait({ending}, timeout=ENDS_WITHIN_S)
        if not ending.done():
            trouble.append(
                f"did not end within {ENDS_WITHIN_S:.0f} s of being told to: its runner was killed"
            )
            process.kill()
        stopping.cancel()
        return await ending


@contextlib.asynccontextmanager
async def _the_only_one(request: Request, say: Callable[[str], None]) -> AsyncIterator[bool]:
    """Whether drills bring their environment up. One of which there is only one stays up if it is, and is down
    afterwards if it was: a runner that was killed has not done it."""
    from gameday.targets import open_target
    from gameday.targets.base import Running

    if not request.environment.single:
        yield True
        return
    target = open_target(request.environment, request.instance, request.project)
    up = [found.running is Running.UP for found in (await asyncio.to_thread(target.status)).values()]
    try:
        yield not all(up)
    finally:
        try:
            stopped = () if any(up) else await asyncio.to_thread(target.down)
        except GamedayError as error:
            say(f"{request.instance} may still be up: {error}")
        else:
            if stopped:
                say(f"{request.instance} was still up and was taken down: {', '.join(stopped)}")


# --- after a drill ------------------------------------------------------------------------------------------


def _put_back(job: Job, trouble: list[str]) -> bool:
    """Finish what the drill's own process has left. True when something is left even so."""
    import shutil

    from gameday.commands.recover import recover
    from gameday.journal import UndoLog
    from gameday.targets import open_target

    request = job.request
    state = request.project.state
    left = False
    try:
        if any(
            UndoLog(found.path).header.get("instance") == job.instance
            for found in UndoLog.find(state / "undo")
        ):
            reason = "the drill's runner died; put back by the run that had started it"
            left = recover(job.instance, None, "gameday recover", reason, trouble.append) != 0
        own = not request.environment.single
        stopped = own and open_target(request.environment, job.instance, request.project).down()
        if stopped:
            trouble.append(f"its environment was still up and was taken down: {', '.join(stopped)}")
    except GamedayError as error:
        trouble.append(f"left behind in {job.instance}: {error}")
        return True
    if own and not left:  # nobody will use this instance again
        shutil.rmtree(state / "locks" / job.instance, ignore_errors=True)
        for suffix in ("lock", "json"):
            (state / "locks" / f"{job.instance}.{suffix}").unlink(missing_ok=True)
    return left


def _evidence(job: Job, run: Path, trouble: list[str]) -> DrillRecord | None:
    """The drill that ran in the job's instance, which is nobody else's."""
    stamp = run.name.partition("-")[0]
    for path in sorted(run.parent.glob(f"*-{job.scenario}-*/timeline.jsonl"), reverse=True):
        if path.parent.name < stamp:
            break
        try:
            with path.open(encoding="utf-8") as file:
                first = json.loads(file.readline())
            if first["data"]["instance"] == job.instance:
                return load_record(path.parent, with_samples=False)
        except (OSError, ValueError, KeyError, TypeError, GamedayError) as error:
            trouble.append(f"its evidence cannot be read: {error}")
    return None


def _result(
    job: Job,
    code: int | None,
    record: DrillRecord | None,
    log: Path,
    trouble: Sequence[str],
    *,
    left: bool,
    interrupted: str | None,
    took_s: float,
) -> DrillResult:
    """The drill's exit code is its verdict's. What its process says besides can only make it worse."""
    reasons = [*trouble]
    if record is not None:
        reasons = [*record.verdict.reasons, *reasons]
        final = record.verdict.exit_code
        if code != final:
            reasons.append(f"its runner ended with exit code {code}; see {log.name}")
            final = worst((final, code if code in (4, 5) else 3))
    else:
        final = code if code in (2, 3, 4, 5) else 3
        if interrupted is not None:
            final = worst((final, 4))
            reasons.append(f"{interrupted} before the drill began")
        else:
            reasons.append(f"no drill took place: {_last_line(log)}")
    if left:
        final = 5
    return DrillResult(
        job.scenario, job.request.scenario.title, job.instance, final, tuple(reasons), record, log, took_s
    )


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        return str(error)
    said = [line for line in lines if line.startswith("gameday: ")] or [
        line for line in lines if line.strip()
    ]
    return one_line(said[-1].removeprefix("gameday: "), 500) if said else "its process said nothing"
