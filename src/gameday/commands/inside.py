"""One drill of a job, as its pod carries it out: the pod's exit code is the verdict's.

What the drill was goes into the pod's termination message, for whoever waits for the job. Evidence that is to go into a
database must get there now, since it ends with the pod, so one that is away is waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gameday.commands.interrupts import Interrupts
from gameday.commands.run import Options, load, run
from gameday.commands.submission import ANSWERS
from gameday.errors import Aborted, GamedayError, UsageError
from gameday.project import Project
from gameday.targets.kubernetes.drill_job import SUBMISSION

INDEX = "JOB_COMPLETION_INDEX"
MESSAGE = Path("/dev/termination-log")
STORED_WITHIN_S = 300.0
_AGAIN_S = 5.0
_MESSAGE_LIMIT = 3500
_REASONS = 3
_REASON = 300


def carry_out() -> int:
    """The drill of this pod's index; its exit code."""
    project = Project.find()
    try:
        with (
            Interrupts() as interrupts
        ):  # the first process of a pod ignores every signal that it has no answer to
            scenario, options = _asked(project)
            try:
                code = run(scenario, options)
            except KeyboardInterrupt as error:
                raise Aborted(f"{error} received before the drill began; nothing was broken") from error
            interrupts.hold()
            _finish(project, code)
    except GamedayError as error:
        _tell({"exit_code": error.exit_code, "reasons": [str(error)[:_REASON]]})
        raise
    return code


def _asked(project: Project) -> tuple[str, Options]:
    path = project.root / SUBMISSION
    try:
        submission = json.loads(path.read_text(encoding="utf-8"))
        scenario = submission["scenarios"][int(os.environ[INDEX])]
        environment, wait_s, speed = (
            submission["environment"],
            float(submission["wait_s"]),
            float(submission["speed"]),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(
            f"this is for pods that `gameday submit` makes: {path} or {INDEX} does not say what to do "
            f"({type(error).__name__}: {error})"
        ) from error
    answers = project.root / ANSWERS
    options = Options(
        environment,
        speed=speed,
        yes=True,
        answers=answers if answers.exists() else None,
        wait_s=wait_s,
        part=True,
    )
    if load(scenario, options).scenario.safety.alone:
        options = replace(options, part=False)  # it locks the environment as a whole
    return scenario, options


def _finish(project: Project, code: int) -> None:
    """Tell what it was, and see that the evidence is stored where it is to be."""
    from gameday.record import load_record

    folders = sorted(path.parent for path in project.reports.glob("*/timeline.jsonl"))
    if not folders:
        _tell({"exit_code": code})
        return
    record = load_record(folders[-1], with_samples=False)
    verdict = record.verdict
    figures = {name: verdict.interval(name) for name in ("mttd", "time_to_recover")}
    told: dict[str, Any] = {
        "drill": record.drill,
        "verdict": verdict.outcome.value,
        "exit_code": code,
        "reasons": [reason[:_REASON] for reason in verdict.reasons[:_REASONS]],
        "restored_by": verdict.restored_by,
        **{name: [found.value_s, found.resolution_s] if found else None for name, found in figures.items()},
    }
    _tell(told)  # before what may take long
    told["stored"] = _stored(project, folders[-1])
    _tell(told)


def _stored(project: Project, folder: Path) -> bool | None:
    """Whether the evidence is in the history; None where there is none for it."""
    from gameday.history import URL_VARIABLE, History
    from gameday.record import load_record

    if not os.environ.get(URL_VARIABLE):
        return None
    until = time.monotonic() + STORED_WITHIN_S
    record = load_record(folder, with_samples=False)
    while True:
        try:
            with History.open(project) as history:
                if not history.files(record.drill):
                    history.add(record)
            return True
        except GamedayError as error:
            problem = error
        if time.monotonic() > until:
            print(f"warning: its evidence is lost with this pod: {problem}", file=sys.stderr, flush=True)
            with contextlib.suppress(OSError):
                print((folder / "report.md").read_text(encoding="utf-8"))
            return False
        time.sleep(_AGAIN_S)


def _tell(what: Mapping[str, Any]) -> None:
    """To whoever waits for the job. The kubelet reads so much of it."""
    text = json.dumps(what, ensure_ascii=False)
    if len(text.encode()) > _MESSAGE_LIMIT:
        text = json.dumps({name: value for name, value in what.items() if name != "reasons"})
    with contextlib.suppress(OSError):  # the exit code says the verdict even so
        MESSAGE.write_text(text, encoding="utf-8")
