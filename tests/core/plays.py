"""What the activities of a drill do, one after the other, without Chaos Toolkit between them and the session."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from core.worlds import fake_environment, fake_scenario
from gameday import faults
from gameday.clock import Instant
from gameday.journal import Holder, UndoLog
from gameday.project import Project
from gameday.record import DrillRecord, load_record
from gameday.session import Session
from gameday.targets.fake import FakeTarget
from gameday.timeline import Phase

PHASES = [
    Phase.PREFLIGHT, Phase.ARM, Phase.INJECT, Phase.DETECT, Phase.RESPOND, Phase.RECOVER, Phase.ACCOUNT,
]  # fmt: skip
TTL_S = 20.0
STEP = {"heading": "Start it again", "section": "Resolution Steps", "budget_s": 60.0, "acts": True}


def session_of(project: Project, *changes: tuple[str, str], instance: str = "fake") -> Session:
    session = Session(project, fake_environment(), instance, fake_scenario(*changes))
    if instance != "fake":
        session.target.up()
    return session


def recorded(session: Session) -> DrillRecord:
    """The drill as it lies on disk."""
    return load_record(session.evidence.folder)


async def begin(session: Session, *, apply: bool = True, abort: bool = False) -> None:
    """Preflight, arm, inject. Not `apply`: the fault is disarmed; `abort`: somebody does, before the arming."""
    await session.preflight()
    if abort:
        session.abort("SIGINT received")
    parts = [faults.build(fault, session.target, TTL_S) for fault in session.scenario.fault]
    await session.arm([part.prepare().to_json() for part in parts])
    await session.injecting("; ".join(part.describe() for part in parts), Instant.now().to_json())
    begun = Instant.now().to_json()
    detail = "; ".join(part.apply() for part in parts) if apply else "disarmed"
    await session.injected(detail, begun, Instant.now().to_json())


async def answered(session: Session, act: Callable[[], object]) -> None:
    """A runbook of one step, which does that."""
    await session.responding("01-demo", "Demo")
    await session.step_started(Instant.now().to_json(), action="act", **STEP)
    act()
    ended = {"outcome": "done", "over_budget": False, "duration_s": 0.1, "output": ""}
    await session.step_ended(Instant.now().to_json(), **STEP, **ended)
    await session.responded(completed=True, reason="")


async def play(session: Session, abort_in: Phase | None = None) -> None:
    """The whole drill with a runbook that starts the database; `abort_in` a phase, just before it waits."""

    def now(phase: Phase) -> None:
        if phase is abort_in:
            session.abort("SIGINT received")

    now(Phase.PREFLIGHT)
    await begin(session, abort=abort_in is Phase.ARM)
    now(Phase.INJECT)
    await session.effective()
    now(Phase.DETECT)
    await session.detect()
    await session.responding("01-demo", "Demo")
    await session.step_started(Instant.now().to_json(), action="start database", **STEP)
    now(Phase.RESPOND)
    FakeTarget(session.environment, session.instance, session.project).start("database", 1)
    met, _ = await session.wait_for_probe("answers", 2.0)
    ended = {"outcome": "done" if met else "failed", "over_budget": False, "duration_s": 0.1, "output": ""}
    await session.step_ended(Instant.now().to_json(), **STEP, **ended)
    await session.responded(completed=met, reason="")
    now(Phase.RECOVER)
    await session.recover()
    now(Phase.ACCOUNT)
    await session.account()
    await session.undo()


def adopted(log: UndoLog, holder: Holder) -> None:
    """Say that another process holds the log."""
    first, rest = log.path.read_text().split("\n", 1)
    header = {**json.loads(first), "holder": asdict(holder)}
    log.path.write_text(f"{json.dumps(header)}\n{rest}")
