"""What makes a drill safe: each undo on disk before its fault, the dead-man switch armed, all of it reverted."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gameday.deadman import DeadManSwitch
from gameday.environment import Environment
from gameday.errors import Refused, TargetError, UndoError
from gameday.evidence import Evidence
from gameday.journal import Holder, Recorded, Undo, UndoLog
from gameday.project import Project
from gameday.targets.base import Running, Target
from gameday.targets.safety import DeadMan, Mirror, Mirroring, Switch
from gameday.timeline import Kind, TimelineWriter
from gameday.undo import Reverted, revert_all


class Safeguard:
    """The undo log and the dead-man switch of one drill, and their events."""

    timeline: TimelineWriter
    """Set as soon as there is one; the lock is taken before there is evidence."""

    def __init__(self, project: Project, evidence: Evidence, header: Mapping[str, Any]) -> None:
        self._folder = project.state / "undo"
        self._evidence = evidence
        self._header = {
            **header,
            "project": str(project.root),
            "evidence": str(evidence.folder.resolve()),
            "host": socket.gethostname(),
        }
        self._mirror: Mirror | None = None
        self._log: UndoLog | None = None
        self._switch: Switch | None = None
        self._held: Switch | None = None
        self._done = False

    @property
    def armed(self) -> bool:
        return self._log is not None

    @property
    def log(self) -> Path:
        """Where the log of undos will be."""
        return self._folder / f"{self._evidence.drill}.jsonl"

    async def take(self, target: DeadMan, scenario: str) -> None:
        """Have the target's own switch, which locks its environment until `close`.

        Raises:
            LockHeld: another drill has it.
        """
        output = self._evidence.folder / "deadman.log"
        self._held = await asyncio.to_thread(target.dead_man_switch, self.log, output, scenario)
        self._switch = self._held
        if isinstance(target, Mirroring):
            self._header["identity"] = await asyncio.to_thread(target.identity)
            self._mirror = target.mirror(self._evidence.drill, output)

    def confirm(self) -> str:
        """The target's own switch is there; in words. Raises UndoError when it is not."""
        if self._held is None:
            return "a process, when it is armed"
        self._held.confirm()
        return f"stands ready as {self._held.where}, and locks the environment"

    def lost(self) -> str | None:
        """Why nobody stands behind this drill any more, though something may be left to revert."""
        return None if self._switch is None or self._done else self._switch.lost()

    async def close(self) -> None:
        """Let the target's own switch go, and with it the lock."""
        self._done = True
        if self._held is not None:
            await asyncio.to_thread(self._held.disarm)
            self._held = self._switch = None

    async def arm(self, undo: Undo, ttl_s: float) -> None:
        """Put `undo` on disk and the switch behind it.

        Raises:
            UndoError: one of the two could not be had; the fault must not be applied.
        """
        if self._log is None:
            header = {**self._header, "holder": asdict(Holder.me())}
            self._log = UndoLog.create(self._folder, self._evidence.drill, header, self._mirror)
        if self._switch is None:
            self._switch = DeadManSwitch(self._log.path, self._evidence.folder / "deadman.log")
        recorded = await asyncio.to_thread(self._log.record, undo, ttl_s)
        self.timeline.record(Kind.UNDO_RECORDED, **_named(recorded), ttl_s=ttl_s)
        await asyncio.to_thread(self._switch.arm, recorded.deadline_ns)
        self.timeline.record(Kind.DEADMAN_ARMED, pid=self._switch.pid, ttl_s=ttl_s)

    async def revert(self, target: Target) -> bool:
        """Revert all that is pending, prove that nothing is left, and let the switch go."""
        if self._log is None:
            return True
        ok, _ = await revert_and_prove(self._log, target, self.timeline, "runner")
        self._done = True
        if self._switch is not None and self._switch is not self._held:
            await asyncio.to_thread(self._switch.disarm)
            self._switch = None
        if ok:
            try:
                await asyncio.to_thread(self._log.remove)
            except TargetError as error:  # it says that all is reverted
                print(f"warning: {error}", file=sys.stderr)
        self._log = None
        return ok


def operator_resets(environment: Environment) -> tuple[Undo, ...]:
    """The undos of what a runbook may have switched in this environment: the same for every drill."""
    operators = {name: getattr(found, "operator", None) for name, found in environment.components.items()}
    return tuple(
        Undo("request", name, {"http": operator.reset})
        for name, operator in operators.items()
        if operator is not None and operator.reset is not None and environment.concerns(name)
    )


async def revert_and_prove(
    log: UndoLog, target: Target, timeline: TimelineWriter, by: str
) -> tuple[bool, str]:
    """Revert what is pending in `log`, with its events; whether nothing is left, and in words what was found."""
    loop = asyncio.get_running_loop()

    def started(recorded: Recorded) -> None:
        loop.call_soon_threadsafe(lambda: timeline.record(Kind.UNDO_STARTED, **_named(recorded)))

    def ended(result: Reverted) -> None:
        data = {**_named(result.recorded), "ok": result.ok, "detail": result.detail, "by": by}
        loop.call_soon_threadsafe(lambda: timeline.record(Kind.UNDO_ENDED, **data))

    try:
        await asyncio.to_thread(revert_all, log, target, by, started, ended)
        problem = "; ".join(f"{left.undo.operation} {left.undo.component}" for left in log.pending())
    except (UndoError, Refused) as error:
        problem = str(error)
    await asyncio.sleep(0)  # the events of the last undo
    if problem:
        ok, detail = False, f"not reverted: {problem}"
    else:
        _mark_done_elsewhere(timeline)
        ok, detail = await asyncio.to_thread(_all_up, target)
    timeline.record(Kind.LEFTOVERS_CHECKED, ok=ok, detail=detail)
    return ok, detail


def _mark_done_elsewhere(timeline: TimelineWriter) -> None:
    """What another process reverted (the dead-man switch) is in the log, and must be in the timeline too."""
    events = timeline.timeline
    ended = {event.data["id"] for event in events.all(Kind.UNDO_ENDED) if event.data["ok"]}
    for event in events.all(Kind.UNDO_RECORDED, lambda event: event.data["id"] not in ended):
        names = {name: event.data[name] for name in ("id", "operation", "component")}
        timeline.record(Kind.UNDO_ENDED, **names, ok=True, detail="reverted before", by="another process")


def _all_up(target: Target) -> tuple[bool, str]:
    """Every component of the environment runs again."""
    status = target.status()
    down = [
        f"{name} is {found.running.value}"
        for name, found in status.items()
        if found.running is not Running.UP
    ]
    if down:
        return False, f"after the undo: {', '.join(down)}"
    return True, f"all {len(status)} components are up, and nothing is left to revert"


def _named(recorded: Recorded) -> dict[str, Any]:
    undo = recorded.undo
    return {"id": recorded.id, "operation": undo.operation, "component": undo.component}
