"""One drill in one process, against a target and a detector made of nothing: what it leaves is read from disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from core.plays import PHASES, adopted, begin, play, recorded, session_of
from core.worlds import FailingTarget, fake_environment, fake_project, fake_scenario, fake_target
from gameday.detectors.fake import FakeDetector
from gameday.errors import Aborted, LockHeld, Refused, UsageError
from gameday.intervals import Result
from gameday.journal import Holder, UndoLog
from gameday.lock import DrillLock
from gameday.project import Project
from gameday.recovery import recover_log
from gameday.session import Session
from gameday.targets.base import Running
from gameday.targets.fake import FakeTarget
from gameday.timeline import Kind, Phase
from gameday.verdict import Outcome


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Waiting that must end in a refusal ends soon."""
    monkeypatch.setattr("gameday.plan.PREFLIGHT_S", 1.0)
    return fake_project(tmp_path)


def run(session: Session, act: Callable[[Session], Awaitable[object]]) -> Session:
    async def go() -> Session:
        async with session:
            await act(session)
        return session

    return asyncio.run(go())


def nothing_is_left(session: Session) -> None:
    """Everything is up, no log of undos, and the next drill can have the lock."""
    assert {status.running for status in fake_target_of(session).status().values()} == {Running.UP}
    assert UndoLog.find(session.project.state / "undo") == ()
    lock = DrillLock(session.project.state, session.instance)
    lock.acquire("next", "next")
    lock.release()


def fake_target_of(session: Session) -> FakeTarget:
    return FakeTarget(session.environment, session.instance, session.project)


# --- the whole drill ----------------------------------------------------------------------------------------


def test_a_drill_that_holds_passes_through_its_phases_in_order_and_leaves_nothing(project: Project) -> None:
    session = run(session_of(project), play)
    record = recorded(session)
    assert [event.phase for event in record.timeline.all(Kind.PHASE_STARTED)] == list(Phase)
    assert (record.verdict.outcome, record.verdict.reasons) == (Outcome.PASS, ())
    assert record.verdict.restored_by == "runbook"
    assert record.complete
    assert [event.seq for event in record.timeline] == list(range(len(record.timeline.events)))
    assert record.timeline.events[-1].kind is Kind.DRILL_ENDED
    nothing_is_left(session)


def test_the_evidence_of_a_drill_is_whole(project: Project) -> None:
    record = recorded(run(session_of(project), play))
    assert record.folder.parent == project.reports
    assert record.scenario == fake_scenario()
    assert record.samples["answers"]
    failed = [sample for sample in record.samples["answers"] if not sample.ok]
    assert failed
    effective = record.timeline.first(Kind.FAULT_EFFECTIVE)
    assert effective is not None
    injecting = record.timeline.first(Kind.FAULT_INJECTING)
    assert injecting is not None
    assert injecting.at.mono_ns <= effective.at.mono_ns <= failed[0].ended_ns
    assert (record.drill, record.environment, record.target) == (record.folder.name, "fake", "fake")
    assert json.loads((record.folder / "experiment.json").read_text())["title"] == "The database dies"


def test_the_undo_is_on_disk_and_the_switch_armed_before_anything_is_broken(project: Project) -> None:
    record = recorded(run(session_of(project), play))
    kinds = [event.kind for event in record.timeline]
    order = [
        Kind.UNDO_RECORDED,
        Kind.DEADMAN_ARMED,
        Kind.FAULT_INJECTING,
        Kind.FAULT_EFFECTIVE,
        Kind.UNDO_STARTED,
    ]
    assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)


# --- refused, nothing touched -------------------------------------------------------------------------------


def refused(session: Session, act: Callable[[Session], Awaitable[object]] = Session.preflight) -> str:
    """The reason, which is in the timeline too; nothing was touched."""
    with pytest.raises(Refused) as caught:
        run(session, act)
    record = recorded(session)
    checks = [event for event in record.timeline.all(Kind.PREFLIGHT_CHECKED) if not event.data["ok"]]
    assert len(checks) == 1
    assert checks[0].data["detail"] in str(caught.value)
    assert (record.verdict.outcome, record.verdict.exit_code) == (Outcome.INCONCLUSIVE, 3)
    assert record.timeline.first(Kind.UNDO_RECORDED) is None
    assert record.complete
    return str(caught.value)


def test_a_drill_of_what_is_down_already_is_refused(project: Project) -> None:
    session = session_of(project)
    fake_target_of(session).kill("database", "SIGKILL", 1)
    assert refused(session) == "answers does not hold: down"


def test_a_drill_while_another_component_is_down_is_refused(project: Project) -> None:
    session = session_of(project)
    fake_target_of(session).pause("cache", 1)
    assert refused(session) == "targets: not everything runs before the drill: cache is paused"


def test_a_drill_of_an_alert_that_fires_already_is_refused(project: Project) -> None:
    session = session_of(project)
    elsewhere = fake_target(project.root / "elsewhere")
    elsewhere.kill("database", "SIGKILL", 1)
    watch(session, elsewhere.path)
    assert refused(session) == "it_is_down is firing already; an alert that is not quiet proves nothing"


def test_a_drill_with_a_detector_that_cannot_tell_is_refused(project: Project) -> None:
    session = session_of(project)
    broken = project.root / "broken.json"
    broken.write_text("[]")
    watch(session, broken)
    assert refused(session).startswith(
        f"what the detector says of it_is_down is not known: {broken} is not the state"
    )


def watch(session: Session, path: Path) -> None:
    """Let the detector look at another file than the target's."""
    session.detector = FakeDetector(
        "it_is_down", "database", path, on_transition=session._on_transition, on_health=session._on_health
    )


def test_a_drill_after_one_that_left_something_is_refused(project: Project) -> None:
    UndoLog.create(project.state / "undo", "older", {"instance": "elsewhere"})
    log = UndoLog.create(project.state / "undo", "old", {"instance": "fake"})
    message = "leftovers: drill old has not put everything back; run `gameday recover`"
    assert refused(session_of(project)) == message
    log.remove()
    run(session_of(project), Session.preflight)


def test_nothing_is_armed_without_a_passed_preflight(project: Project) -> None:
    async def hurry(session: Session) -> None:
        with pytest.raises(Refused, match="preflight was not passed; nothing may be touched"):
            await session.arm([{"operation": "start", "component": "database", "arguments": {}}])

    session = run(session_of(project), hurry)
    assert recorded(session).timeline.first(Kind.UNDO_RECORDED) is None


def test_a_drill_whose_runbook_is_absent_is_refused(project: Project) -> None:
    (project.root / "runbooks" / "01-demo.md").rename(project.root / "runbooks" / "02-other.md")
    assert refused(session_of(project)).endswith("01-demo.md does not exist; runbooks here: 02-other")


def test_an_environment_that_does_not_allow_drills_is_refused_before_anything_exists(
    project: Project,
) -> None:
    environment = fake_environment().model_copy(update={"drills": "refused"})
    with pytest.raises(
        UsageError, match="environment fake does not allow drills; its file must say `drills: allowed`"
    ):
        Session(project, environment, "fake", fake_scenario())
    assert not project.reports.exists()


def test_a_second_drill_of_the_same_environment_is_refused_and_the_first_goes_on(project: Project) -> None:
    async def interfere(session: Session) -> None:
        with pytest.raises(
            LockHeld, match=f"fake is being drilled: scenario demo, drill {session.evidence.drill}"
        ):
            async with session_of(project):
                pytest.fail("both hold the lock")
        async with session_of(project, instance="fake@blue"):
            pass
        await play(session)

    session = run(session_of(project), interfere)
    assert recorded(session).verdict.outcome is Outcome.PASS
    nothing_is_left(session)


# --- what goes wrong on the way -----------------------------------------------------------------------------


def test_a_fault_without_effect_is_inconclusive_and_undone(project: Project) -> None:
    async def disarmed(session: Session) -> None:
        await begin(session, apply=False)
        assert not await session.effective()
        with pytest.raises(Refused, match="the fault had no effect"):
            await session.detect()

    session = run(session_of(project, ("fails_within: 2s", "fails_within: 200ms")), disarmed)
    record = recorded(session)
    assert (record.verdict.outcome, record.verdict.exit_code) == (Outcome.INCONCLUSIVE, 3)
    ineffective = record.timeline.first(Kind.FAULT_INEFFECTIVE)
    assert ineffective is not None
    assert ineffective.data["waited_s"] >= 0.2
    assert record.timeline.first(Kind.UNDO_ENDED) is not None
    nothing_is_left(session)


def test_a_runbook_that_does_nothing_fails_and_the_undo_is_no_recovery(project: Project) -> None:
    async def in_vain(session: Session) -> None:
        await begin(session)
        await session.effective()
        assert await session.detect() == "firing"
        await session.responding("01-demo", "Demo")
        await session.responded(completed=True, reason="")
        assert not await session.recover()
        await session.account()
        await session.undo()
        await asyncio.sleep(0.2)  # longer than the service must be stable

    record = recorded(run(session_of(project, ("rto: 5s", "rto: 400ms")), in_vain))
    assert record.timeline.first(Kind.SERVICE_RECOVERED) is None
    verdict = record.verdict
    assert (verdict.outcome, verdict.restored_by) == (Outcome.FAIL, "undo")
    results = {check.name: check.result for check in verdict.checks}
    assert (results["recovered"], results["detected"], results["undone"]) == (
        Result.MISSED,
        Result.MET,
        Result.MET,
    )


def test_a_service_that_heals_before_a_step_acts_is_restored_by_itself(project: Project) -> None:
    async def heal(session: Session) -> None:
        await begin(session)
        await session.effective()
        await session.detect()
        fake_target_of(session).start("database", 1)
        await session.responding("01-demo", "Demo")
        await session.responded(completed=True, reason="")
        assert await session.recover()
        await session.account()

    verdict = recorded(run(session_of(project), heal)).verdict
    assert (verdict.outcome, verdict.restored_by) == (Outcome.FAIL, "self")


@pytest.mark.parametrize("phase", PHASES)
def test_an_abort_in_any_phase_undoes_at_once_with_exit_code_4(project: Project, phase: Phase) -> None:
    async def interrupted(session: Session) -> None:
        with pytest.raises(Aborted, match="SIGINT received"):
            await play(session, abort_in=phase)

    session = run(session_of(project), interrupted)
    record = recorded(session)
    assert (record.verdict.outcome, record.verdict.exit_code) == (Outcome.INCONCLUSIVE, 4)
    assert record.verdict.reasons[0] == "aborted: SIGINT received"
    assert len(record.timeline.all(Kind.DRILL_ABORTED)) == 1
    if phase in (Phase.PREFLIGHT, Phase.ARM):
        assert record.timeline.first(Kind.UNDO_RECORDED) is None, "nothing may be touched any more"
    nothing_is_left(session)


def test_an_undo_that_fails_is_told_kept_and_finished_by_recover(project: Project) -> None:
    from gameday.errors import TargetError

    async def stuck(session: Session) -> None:
        await begin(session)
        await session.effective()
        errors: dict[str, Exception] = {"database": TargetError("start database: the port is taken")}
        session.target = FailingTarget.on(fake_target_of(session), errors)

    session = run(session_of(project), stuck)
    verdict = recorded(session).verdict
    assert (verdict.left_behind, verdict.exit_code) == (True, 5)
    assert "Everything was put back: not reverted: start database; run `gameday recover`" in verdict.reasons
    undone = recorded(session).timeline.last(Kind.UNDO_ENDED)
    assert undone is not None
    assert undone.data["detail"] == "start database: the port is taken"
    assert fake_target_of(session).status()["database"].running is Running.DOWN

    (log,) = UndoLog.find(project.state / "undo")
    with pytest.raises(Refused, match=r"is running \(pid"):
        recover_log(log.path, "gameday recover", "asked for")
    adopted(log, Holder(log.holder.pid, log.holder.created - 1))
    done = recover_log(log.path, "gameday recover", "asked for")
    assert done is not None
    assert (done.drill, done.clean, done.evidence) == (session.evidence.drill, True, session.evidence.folder)
    assert done.detail == "all 3 components are up, and nothing is left to revert"
    assert recover_log(log.path, "gameday recover", "asked for") is None
    nothing_is_left(session)
    after = recorded(session)
    assert (after.verdict.left_behind, after.complete) == (False, True)
    assert after.timeline.last(Kind.DRILL_ABORTED) is None, "the drill had come to its end"


# --- waiting ------------------------------------------------------------------------------------------------


def test_a_check_of_a_step_wants_a_sample_that_was_asked_after_it(project: Project) -> None:
    async def look(session: Session) -> None:
        await session.holds("answers")
        assert await session.wait_for_probe("answers", 2.0) == (True, "up")
        fake_target_of(session).kill("database", "SIGKILL", 1)
        met, detail = await session.wait_for_probe("answers", 0.2)
        assert (met, detail) == (False, "down")
        with pytest.raises(UsageError, match="no probe 'mail' in this drill; sampled here: answers"):
            await session.wait_for_probe("mail", 1.0)
        fake_target_of(session).start("database", 1)

    run(session_of(project), look)


def test_the_first_reason_to_abort_stands(project: Project) -> None:
    async def twice(session: Session) -> None:
        session.abort("SIGINT received")
        session.abort("SIGTERM received")

    session = run(session_of(project), twice)
    assert [event.data["reason"] for event in recorded(session).timeline.all(Kind.DRILL_ABORTED)] == [
        "SIGINT received"
    ]
