"""What surrounds a fault in one drill: controls, what is in force before it, what must hold after the undo."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from core.plays import answered, begin, recorded, session_of
from core.test_session import fake_target_of, nothing_is_left, run, watch
from core.worlds import fake_control, fake_environment, fake_project, fake_target
from gameday.clock import Instant
from gameday.errors import Aborted, Refused
from gameday.intervals import Result
from gameday.probes import Answer
from gameday.project import Project
from gameday.record import DrillRecord
from gameday.session import Session
from gameday.striking import in_s
from gameday.timeline import Event, Kind, Phase
from gameday.verdict import Check, Outcome


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Waiting that must end in a refusal ends soon, and what is steady is so soon."""
    monkeypatch.setattr("gameday.plan.PREFLIGHT_S", 1.0)
    monkeypatch.setattr("gameday.plan.STEADY_MAX_S", 0.06)
    return fake_project(tmp_path)


def check_of(record: DrillRecord, name: str) -> Check:
    return next(check for check in record.verdict.checks if check.name == name)


def on(session: Session, kind: Kind, act: Callable[[], object]) -> None:
    """Do that as soon as the first event of `kind` is on disk."""
    before = session._on_event

    def sink(event: Event) -> None:
        nonlocal act
        if before is not None:
            before(event)
        if event.kind is kind:
            once, act = act, lambda: None
            once()

    session._on_event = sink


# --- controls -----------------------------------------------------------------------------------------------


def control(project: Project, *changes: tuple[str, str]) -> Session:
    return Session(project, fake_environment(), "fake", fake_control(*changes))


async def watched(session: Session) -> None:
    await session.preflight()
    await session.watch()


STRUCK = (
    "safety:",
    "fault: {pause: api}\nimpact: {probe: api-answers, fails_within: 2s}\nsafety:",
)


async def struck(session: Session) -> None:
    await begin(session)
    await session.effective()
    await session.watch()


def test_a_control_in_which_all_stays_quiet_passes_and_touched_nothing(project: Project) -> None:
    record = recorded(run(control(project), watched))
    assert (record.verdict.outcome, record.verdict.exit_code, record.verdict.reasons) == (Outcome.PASS, 0, ())
    assert {check.name for check in record.verdict.checks} == {"preflight", "quiet", "undone"}
    assert check_of(record, "quiet").detail == "every alert stayed quiet for 300ms"
    assert check_of(record, "undone").detail == "nothing was touched"
    ended = record.timeline.last(Kind.WATCH_ENDED)
    assert ended is not None
    assert (ended.data["outcome"], ended.data["alerts"]) == ("quiet", [])
    assert ended.data["watched_s"] >= 0.3
    assert [event.phase for event in record.timeline.all(Kind.PHASE_STARTED)] == [
        Phase.PREFLIGHT, Phase.DETECT, Phase.JUDGE,
    ]  # fmt: skip


def test_a_control_watches_to_its_end_and_fails_by_the_alert_that_fired(project: Project) -> None:
    session = control(project)
    target = fake_target_of(session)

    async def disturbed(session: Session) -> None:
        await session.preflight()
        asyncio.get_running_loop().call_later(0.05, target.kill, "database", "SIGKILL", 1.0)
        asyncio.get_running_loop().call_later(0.15, target.start, "database", 1.0)
        assert await session.watch() == "fired"

    record = recorded(run(session, disturbed))
    assert (record.verdict.outcome, record.verdict.exit_code) == (Outcome.FAIL, 1)
    assert check_of(record, "quiet").result is Result.MISSED
    assert check_of(record, "quiet").detail == "it_is_down fired"
    ended = record.timeline.last(Kind.WATCH_ENDED)
    assert ended is not None
    assert ended.data["watched_s"] >= 0.3, "one alert is no reason to stop looking for others"
    assert record.verdict.unexpected_alerts == ("it_is_down",)


def test_a_control_with_a_fault_watches_from_its_effect_and_puts_it_back(project: Project) -> None:
    session = run(control(project, STRUCK), struck)
    record = recorded(session)
    assert (record.verdict.outcome, record.verdict.reasons) == (Outcome.PASS, ())
    effective, ended = record.timeline.first(Kind.FAULT_EFFECTIVE), record.timeline.last(Kind.WATCH_ENDED)
    assert effective is not None
    assert ended is not None
    assert ended.at - effective.at >= 0.3
    nothing_is_left(session)


def test_an_alert_that_fires_before_the_effect_is_proven_is_no_quiet(project: Project) -> None:
    """The alert watches the database, the impact probe the API, which fails later."""

    async def early(session: Session) -> None:
        await session.preflight()
        fake_target_of(session).kill("database", "SIGKILL", 1)
        await session.until(
            lambda: session.timeline.timeline.first(Kind.ALERT_FIRING) is not None, _soon_ns()
        )
        await begin_without_preflight(session)
        await session.effective()
        assert await session.watch() == "fired"
        fake_target_of(session).start("database", 1)

    record = recorded(run(control(project, STRUCK), early))
    assert record.verdict.outcome is Outcome.FAIL
    assert check_of(record, "quiet").detail == "it_is_down fired"


def _soon_ns() -> int:
    return in_s(2.0)


async def begin_without_preflight(session: Session) -> None:
    async def passed() -> None:
        return

    session.preflight = passed  # type: ignore[method-assign]
    await begin(session)


def blinded(session: Session, project: Project) -> Path:
    """The detector reads a file of its own, which can be damaged."""
    elsewhere = fake_target(project.root / "elsewhere")
    watch(session, elsewhere.path)
    return elsewhere.path


@pytest.mark.parametrize("recovers", [False, True])
def test_a_control_whose_detector_was_blind_at_some_time_proves_nothing(
    project: Project, recovers: bool
) -> None:
    session = control(project)
    path = blinded(session, project)
    good = path.read_text()

    async def blind(session: Session) -> None:
        await session.preflight()
        asyncio.get_running_loop().call_later(0.05, path.write_text, "[]")
        if recovers:
            asyncio.get_running_loop().call_later(0.15, path.write_text, good)
        assert await session.watch() == "unknown"

    record = recorded(run(session, blind))
    assert (record.verdict.outcome, record.verdict.exit_code) == (Outcome.INCONCLUSIVE, 3)
    assert check_of(record, "quiet").detail == "not known: the detector was blind meanwhile"


def test_a_control_whose_detector_was_blind_when_it_began_proves_nothing_though_it_sees_again(
    project: Project,
) -> None:
    session = control(project, STRUCK)
    path = blinded(session, project)
    good = path.read_text()

    async def blind(session: Session) -> None:
        await session.preflight()
        path.write_text("[]")
        await session.until(lambda: not session.detector.health().ok, _soon_ns())
        await begin_without_preflight(session)
        await session.effective()
        path.write_text(good)
        assert await session.watch() == "unknown"

    assert recorded(run(session, blind)).verdict.outcome is Outcome.INCONCLUSIVE


def test_a_control_during_which_an_alert_fires_already_is_refused(project: Project) -> None:
    session = control(project)
    elsewhere = fake_target(project.root / "elsewhere")
    elsewhere.kill("database", "SIGKILL", 1)
    watch(session, elsewhere.path)
    with pytest.raises(Refused, match="it_is_down is firing already; an alert that is not quiet proves"):
        run(session, watched)
    assert recorded(session).verdict.exit_code == 3


def test_an_aborted_control_is_inconclusive(project: Project) -> None:
    async def interrupted(session: Session) -> None:
        await session.preflight()
        session.abort("SIGINT received")
        with pytest.raises(Aborted):
            await session.watch()

    record = recorded(run(control(project), interrupted))
    assert (record.verdict.outcome, record.verdict.exit_code) == (Outcome.INCONCLUSIVE, 4)


# --- after the undo -----------------------------------------------------------------------------------------

OUT_OF_REACH = (
    ("fault: {kill: database, signal: SIGKILL}", "fault: [{kill: database}, {pause: api}]"),
    ("recovered: {probes: [answers]", "recovered: {probes: [api-answers]"),
    ("max_targets: 1", "max_targets: 2"),
)
"""The database stays down until the undo; the runbook brings the API back, which is what counts."""
AFTERWARDS = ("safety:", "afterwards: {probes: [answers, api-answers], within: 500ms}\nsafety:")
LATE = ("  also:", "  resolves_after: undo\n  also:")


async def out_of_reach(session: Session) -> None:
    await begin(session)
    assert await session.effective()
    assert await session.detect() == "firing"
    assert await session.until(lambda: session.watchers.failing("api-answers") is not None, in_s(5.0))
    await answered(session, lambda: fake_target_of(session).resume("api", 1))
    assert await session.recover()
    await session.account()
    assert await session.undo()


def test_probes_that_never_failed_prove_no_recovery(project: Project) -> None:
    """The database is what dies; that the API answers all the time is no proof that anything came back."""
    changes = (
        ("recovered: {probes: [answers]", "recovered: {probes: [api-answers]"),
        ("rto: 5s", "rto: 300ms"),
    )

    async def useless(session: Session) -> None:
        await begin(session)
        assert await session.effective()
        await session.detect()
        await answered(session, lambda: None)
        assert not await session.recover()
        await session.account()
        assert await session.undo()

    record = recorded(run(session_of(project, *changes), useless))
    check = check_of(record, "recovered")
    assert all(sample.ok for sample in record.samples["api-answers"])
    assert (record.verdict.outcome, check.result) == (Outcome.INCONCLUSIVE, Result.UNKNOWN)
    assert check.detail.startswith(
        "api-answers never failed after the effect, so no recovery could be measured"
    )
    assert record.verdict.restored_by is None
    assert check_of(record, "restored_by").detail == "nothing was seen that had to be restored"


def test_what_must_hold_after_the_undo_holds(project: Project) -> None:
    session = run(session_of(project, *OUT_OF_REACH, AFTERWARDS, LATE), out_of_reach)
    record = recorded(session)
    assert (record.verdict.outcome, record.verdict.reasons) == (Outcome.PASS, ())
    after = check_of(record, "afterwards")
    assert after.detail.startswith("answers, api-answers hold (")
    assert after.measured is not None
    kinds = [event.kind for event in record.timeline]
    order = [Kind.SERVICE_RECOVERED, Kind.LEFTOVERS_CHECKED, Kind.AFTERWARDS_ENDED, Kind.RESOLVE_ENDED]
    assert [kinds.index(kind) for kind in order] == sorted(kinds.index(kind) for kind in order)
    resolve = record.timeline.last(Kind.RESOLVE_ENDED)
    assert resolve is not None
    assert resolve.data == {"outcome": "resolved", "after": "undo"}
    nothing_is_left(session)


def test_an_alert_that_resolves_after_the_undo_is_waited_for_only_then(project: Project) -> None:
    """Waited for after recovery it would not resolve: the database is down until the undo."""
    changes = (*OUT_OF_REACH, ("resolves_within: 2s", "resolves_within: 300ms"))
    early = recorded(run(session_of(project, *changes), out_of_reach))
    assert check_of(early, "resolved").detail == "still firing 300ms after recovery"
    assert early.verdict.outcome is Outcome.FAIL
    late = recorded(run(session_of(project, *changes, LATE), out_of_reach))
    assert late.verdict.outcome is Outcome.PASS
    assert len(late.timeline.all(Kind.RESOLVE_ENDED)) == 1


def test_what_does_not_hold_in_time_after_the_undo_is_a_miss(project: Project) -> None:
    session = session_of(project, *OUT_OF_REACH, AFTERWARDS)
    on(session, Kind.LEFTOVERS_CHECKED, lambda: fake_target_of(session).pause("api", 1))
    record = recorded(run(session, out_of_reach))
    fake_target_of(session).resume("api", 1)
    after = check_of(record, "afterwards")
    assert (after.result, after.objective_s) == (Result.MISSED, 0.5)
    assert after.detail.startswith("api-answers: paused (0.5 s after the undo, objective 500ms")
    assert record.verdict.outcome is Outcome.FAIL


def test_what_comes_back_in_time_after_the_undo_holds(project: Project) -> None:
    session = session_of(project, *OUT_OF_REACH, AFTERWARDS, ("within: 500ms", "within: 5s"))
    target = fake_target_of(session)

    def break_for_a_while() -> None:
        target.pause("api", 1)
        asyncio.get_running_loop().call_later(0.2, target.resume, "api", 1.0)

    on(session, Kind.LEFTOVERS_CHECKED, break_for_a_while)
    after = check_of(recorded(run(session, out_of_reach)), "afterwards")
    assert after.result is Result.MET
    assert after.measured is not None
    assert 0.2 <= after.measured.value_s < 5


def test_an_abort_after_the_undo_leaves_unknown_what_was_not_seen_and_nothing_behind(
    project: Project,
) -> None:
    session = session_of(project, *OUT_OF_REACH, AFTERWARDS, LATE)

    def interrupt() -> None:
        fake_target_of(session).pause("api", 1)
        asyncio.get_running_loop().call_later(0.05, session.abort, "SIGINT received")

    on(session, Kind.LEFTOVERS_CHECKED, interrupt)
    record = recorded(run(session, out_of_reach))
    fake_target_of(session).resume("api", 1)
    assert check_of(record, "afterwards").detail == "not observed"
    assert (record.verdict.exit_code, record.complete) == (4, True)
    assert record.timeline.events[-1].kind is Kind.DRILL_ENDED
    nothing_is_left(session)


def test_an_abort_while_the_end_of_a_drill_undoes_is_an_end_too(project: Project) -> None:
    """The engine is gone, so that nobody asked for the undo before the session ends."""

    async def without_undo(session: Session) -> None:
        await begin(session)
        await session.effective()
        await session.detect()
        await answered(session, lambda: fake_target_of(session).resume("api", 1))
        await session.recover()

    session = session_of(project, *OUT_OF_REACH, AFTERWARDS)
    on(session, Kind.LEFTOVERS_CHECKED, lambda: session.abort("SIGINT received"))
    record = recorded(run(session, without_undo))
    assert (record.complete, record.verdict.exit_code) == (True, 4)
    nothing_is_left(session)


# --- a check that must go on succeeding ---------------------------------------------------------------------


def test_a_probe_that_fails_now_and_then_is_not_steady(project: Project) -> None:
    async def look(session: Session) -> None:
        target = fake_target_of(session)
        await session.holds("answers")

        async def flap() -> None:
            while True:
                await asyncio.sleep(0.08)
                target.pause("database", 1)
                await asyncio.sleep(0.04)
                target.resume("database", 1)

        flapping = asyncio.create_task(flap())
        assert (await session.wait_for_probe("answers", 0.4))[0], "once is enough"
        met, _ = await session.wait_for_probe("answers", 0.4, 0.3)
        flapping.cancel()
        target.resume("database", 1)
        assert not met
        assert (await session.wait_for_probe("answers", 0.4, 0.3))[0]

    run(session_of(project), look)


def test_a_steady_probe_is_watched_for_the_whole_time_from_now(project: Project) -> None:
    async def look(session: Session) -> None:
        await session.holds("answers")
        await asyncio.sleep(0.5)  # what it did before does not count
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await session.wait_for_probe("answers", 1.0, 0.3) == (True, "up")
        assert loop.time() - begun >= 0.3

    run(session_of(project), look)


def test_a_single_good_sample_is_enough_where_nothing_else_is_asked_for(project: Project) -> None:
    async def one(session: Session) -> None:
        await session.holds("answers")
        for sampler in session._samplers:
            await sampler.stop()
        waiting = asyncio.create_task(session.wait_for_probe("answers", 5.0))
        await asyncio.sleep(0.05)
        sink = session._answer_sink("answers")
        bad, good = Instant.now(), Instant.now().plus(0.01)
        sink(Answer(bad, bad, False, "down", "k1"))
        sink(Answer(good, good.plus(0.2), True, "up", "k2"))
        assert await asyncio.wait_for(waiting, 1.0) == (True, "up")

    run(session_of(project), one)
