"""Stop conditions: what they say of literal readings, and what a drill does with them. They fail closed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.good_files import ENVIRONMENT, FAKE_ENVIRONMENT, SCENARIO, broken, complaints
from core.plays import begin, play, recorded
from core.test_activities import Drill, MakeDrill, drill  # noqa: F401 - a fixture
from core.test_session import fake_target_of, nothing_is_left, run
from core.test_watchers import answer, folded
from core.timelines import ZERO
from core.worlds import fake_control, fake_environment, fake_project, fake_scenario
from gameday import activities
from gameday.detectors.base import Sample
from gameday.detectors.presence import presence
from gameday.environment import Environment, load_environment
from gameday.errors import Aborted, DetectorError, Refused, UsageError
from gameday.fields import parse
from gameday.preflight import check_names
from gameday.project import Project
from gameday.scenario import load_scenario
from gameday.session import Session
from gameday.stop_spec import ProbeStop, QueryStop, stop_misfits
from gameday.stopping import Limit, Met, ProbeWatch, QueryWatch, read
from gameday.striking import in_s
from gameday.timeline import Kind, Phase
from gameday.verdict import Outcome

HIGH = (Sample({"job": "api", "status": "500"}, 73.25),)
SAFETY = "max_targets: 1}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("gameday.plan.PREFLIGHT_S", 1.0)
    monkeypatch.setattr("gameday.plan.STEADY_MAX_S", 0.06)
    return fake_project(tmp_path)


def stop_when(*conditions: str) -> tuple[str, str]:
    """The change of the good scenario that gives it these conditions."""
    return SAFETY, f"max_targets: 1, stop_when: [{', '.join(conditions)}]}}"


# --- literal readings ---------------------------------------------------------------------------------------


def query(**fields: Any) -> QueryWatch:
    spec = parse(QueryStop, {"promql": "errors > 5", "holds_for": "10s", "grace": "15s", **fields})
    return QueryWatch(Limit("scenario", spec), spec, ZERO)


def outcome(met: Met | None) -> tuple[str, float] | None:
    return None if met is None else (met.outcome, round(met.since - ZERO, 3))


def test_an_expression_must_hold_at_every_reading_for_its_time() -> None:
    watch = query()
    for at_s, found in ((1, HIGH), (5, ()), (6, HIGH), (15.9, HIGH)):
        watch.took(ZERO.plus(at_s), found)
        assert watch.met(ZERO.plus(at_s)) is None
    assert watch.met(ZERO.plus(20)) is None, "only a reading says that it still holds"
    watch.took(ZERO.plus(16), HIGH)
    met = watch.met(ZERO.plus(16.1))
    assert outcome(met) == ("holds", 6)
    assert met is not None
    assert met.reason(ZERO.plus(16.1)) == (
        "stop condition of the scenario: `errors > 5` holds for 10s; it does since "
        f'{ZERO.plus(6).utc:%H:%M:%S} UTC (10.1 s): {{job="api", status="500"}} 73.25'
    )


def test_a_reading_that_failed_does_not_end_what_held() -> None:
    watch = query()
    watch.took(ZERO.plus(1), HIGH)
    watch.failed("no answer")
    watch.took(ZERO.plus(11), HIGH)
    assert outcome(watch.met(ZERO.plus(11))) == ("holds", 1)


def test_without_a_time_one_reading_is_enough() -> None:
    watch = query(holds_for="0s")
    watch.took(ZERO.plus(1), HIGH)
    assert outcome(watch.met(ZERO.plus(1))) == ("holds", 1)


def test_readings_that_fail_for_longer_than_the_grace_end_the_drill_and_one_that_succeeds_saves_it() -> None:
    watch = query()
    watch.took(ZERO.plus(1), ())
    watch.failed("status 503")
    assert watch.met(ZERO.plus(16)) is None
    watch.took(ZERO.plus(16), ())
    watch.failed("status 503")
    assert watch.met(ZERO.plus(31)) is None
    met = watch.met(ZERO.plus(31.01))
    assert outcome(met) == ("unread", 16)
    assert met is not None
    assert met.reason(ZERO.plus(31.01)).endswith("(15.0 s, grace 15s): status 503")


def test_an_expression_that_was_never_read_ends_the_drill_too() -> None:
    assert query().met(ZERO.plus(15)) is None
    assert outcome(query().met(ZERO.plus(15.1))) == ("unread", 0)


def probe(*answers: Any) -> ProbeWatch:
    spec = ProbeStop(probe="p", fails_for="3s", grace="5s")  # type: ignore[arg-type]
    return ProbeWatch(Limit("environment", spec), spec, folded(*answers), ZERO)


def test_a_probe_must_fail_for_its_time_without_a_good_answer_between() -> None:
    failed = [answer(second, second + 0.5, ok=False, detail="status 503") for second in range(1, 5)]
    assert probe(*failed[:3]).met(ZERO.plus(3.6)) is None
    met = probe(*failed).met(ZERO.plus(4.5))
    assert outcome(met) == ("holds", 1)
    assert met is not None
    assert met.detail == "status 503"
    assert probe(failed[0], answer(2, 2.1, ok=True), *failed[2:]).met(ZERO.plus(4.5)) is None


def test_a_probe_without_any_answer_for_longer_than_the_grace_ends_the_drill() -> None:
    good = answer(1, 1.1, ok=True)
    assert probe(good).met(ZERO.plus(6.1)) is None
    assert outcome(probe(good).met(ZERO.plus(6.2))) == ("unread", 1.1)
    assert outcome(probe().met(ZERO.plus(5.1))) == ("unread", 0)


# --- what is absent -----------------------------------------------------------------------------------------


class Known:
    """Answers queries from a table."""

    def __init__(self, **answers: tuple[Sample, ...]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def query(self, expr: str) -> tuple[Sample, ...]:
        self.asked.append(expr)
        return self.answers.get(expr, ())


def test_each_selector_can_be_asked_for_its_series() -> None:
    text = 'sum(rate(errors{job="api"}[1m])) / up > 0.5 or absent(queue offset 5m)'
    assert presence(text) == {
        'errors{job="api"}[1m]': 'count(rate(errors{job="api"}[1m]))',
        "up{}": "count(up{})",
        "queue{} offset 5m": "count(queue{} offset 5m)",
    }


def test_series_that_are_not_there_are_quiet_or_cannot_be_read_as_the_condition_says() -> None:
    quiet = query(promql="errors > 5").spec
    unread = query(promql="errors > 5", absent_is="unread").spec
    there = {"count(errors{})": HIGH}
    assert asyncio.run(read(quiet, Known())) == ()
    assert asyncio.run(read(unread, Known(**there))) == ()
    with pytest.raises(DetectorError, match=r"there is no series errors\{\}"):
        asyncio.run(read(unread, Known()))
    holds = Known(**{"errors > 5": HIGH})
    assert asyncio.run(read(unread, holds)) == HIGH
    assert holds.asked == ["errors > 5"], "what holds was read"


# --- files --------------------------------------------------------------------------------------------------

RIGHT = (
    "a condition is an instant vector, such as sum(rate(errors_total[1m])) > 5, and holds while there is a "
    "sample in it"
)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("{promql: 'sum('}", "[0].promql: is not valid PromQL: unclosed left parenthesis"),
        ("{promql: 'errors >'}", "[0].promql: is not valid PromQL: invalid promql query"),
        ("{promql: '2 * (time())'}", f"[0].promql: is a scalar; {RIGHT}"),
        ("{promql: 'errors[5m]'}", f"[0].promql: is a range vector; {RIGHT}"),
        ("{promql: '\"down\"'}", f"[0].promql: is a string; {RIGHT}"),
        ("{promql: ''}", "[0].promql: must not be empty"),
        ("{promql: up, every: 5s, grace: 5s}", "[0].grace: is 5s, which is not longer than every (5s)"),
        ("{promql: up, every: 20s}", "[0].grace: is 15s, which is not longer than every (20s)"),
        (
            "{promql: up, absent_is: fine}",
            "[0].absent_is: 'fine' is not allowed; expected 'quiet' or 'unread'",
        ),
        ("{probe: answers}", "[0].fails_for: is required and absent"),
        ("{query: up}", "[0]: expected exactly one of probe, promql; found query"),
    ],
)
def test_a_condition_that_is_none_is_an_error_of_its_line(
    tmp_path: Path, condition: str, message: str
) -> None:
    text = broken(SCENARIO, *stop_when(condition))
    found = complaints(load_scenario, tmp_path / "demo.yaml", text)
    assert found == [f"19: safety.stop_when{message}"]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("{probe: mail, fails_for: 1s}", "[0].probe: no probe 'mail'; probes here: answers, books, pings"),
        (
            "{probe: answers, fails_for: 1s, grace: 1s}",
            "[0].grace: is not longer than an answer of answers may take (1.1s: every and timeout)",
        ),
    ],
)
def test_a_condition_that_does_not_fit_its_environment(tmp_path: Path, condition: str, message: str) -> None:
    text = broken(ENVIRONMENT, "canary:\n", f"stop_when: [{condition}]\ncanary:\n")
    (found,) = complaints(load_environment, tmp_path / "demo.yaml", text)
    assert found.split(" ", 1)[1] == f"stop_when{message}"


def test_a_detector_that_evaluates_no_promql_is_refused_in_either_file(tmp_path: Path) -> None:
    said = "cannot be read here: detector fake evaluates no PromQL"
    text = f"{FAKE_ENVIRONMENT}stop_when: [{{promql: up == 0}}]\n"
    assert complaints(load_environment, tmp_path / "fake.yaml", text)[0].endswith(
        f"stop_when[0].promql: {said}"
    )
    scenario = fake_scenario(stop_when("{promql: up == 0}"))
    with pytest.raises(UsageError) as caught:
        check_names(scenario, fake_environment())
    assert str(caught.value) == f"scenario demo: safety.stop_when[0].promql: {said} (environment fake)"


@pytest.mark.parametrize("kind", ["alertmanager", "webhook", "fake"])
def test_only_detectors_that_evaluate_promql_are_asked_for_it(kind: str) -> None:
    by_promql = parse(QueryStop, {"promql": "up == 0"})
    said = f"cannot be read here: detector {kind} evaluates no PromQL"
    assert list(stop_misfits((by_promql,), {}, kind)) == [((0, "promql"), said)]
    assert [list(stop_misfits((by_promql,), {}, able)) for able in ("embedded", "prometheus")] == [[], []]


def test_a_scenario_is_checked_against_the_environment_it_is_drilled_in() -> None:
    environment = parse(Environment, yaml.safe_load(ENVIRONMENT))
    unknown = fake_scenario(stop_when("{probe: mail, fails_for: 1s}"))
    with pytest.raises(UsageError, match="no probe 'mail' in environment demo"):
        check_names(unknown, environment)
    beyond = fake_scenario(stop_when("{promql: 'avg_over_time(up[1m]) < 1'}"))
    with pytest.raises(UsageError, match=r"uses `avg_over_time\(\)`, which the embedded detector cannot"):
        check_names(beyond, environment)
    check_names(fake_scenario(stop_when("{promql: 'up < 1'}")), environment)


def test_what_a_condition_may_last_is_divided_by_the_speed_and_how_it_is_read_is_not() -> None:
    conditions = (
        "{probe: answers, fails_for: 30s, grace: 20s}",
        "{promql: up == 0, holds_for: 10s, every: 2s, grace: 5s}",
    )
    first, second = fake_scenario(stop_when(*conditions)).at_speed(10).safety.stop_when
    assert isinstance(first, ProbeStop)
    assert (first.fails_for, first.grace) == (3.0, 20.0)
    assert isinstance(second, QueryStop)
    assert (second.holds_for, second.every, second.grace) == (1.0, 2.0, 5.0)


def test_the_probes_of_conditions_are_probes_of_the_scenario() -> None:
    assert fake_scenario(stop_when("{probe: api-answers, fails_for: 1s}")).probes == (
        "answers",
        "api-answers",
    )


# --- drills -------------------------------------------------------------------------------------------------


async def held(session: Session) -> None:
    """A drill in which nobody brings the database back."""
    await begin(session)
    await session.effective()
    with pytest.raises(Aborted):
        await session.until(lambda: False, in_s(5))


def ended_by(session: Session) -> dict[str, Any]:
    """What the timeline says of the condition that ended the drill; everything was put back."""
    record = recorded(session)
    assert (record.verdict.outcome, record.verdict.exit_code) == (Outcome.INCONCLUSIVE, 4)
    (event,) = record.timeline.all(Kind.STOP_CONDITION)
    (aborted,) = record.timeline.all(Kind.DRILL_ABORTED)
    assert record.verdict.reasons[0] == f"aborted: {aborted.data['reason']}"
    assert event.seq + 1 == aborted.seq
    assert event.data["condition"] in str(aborted.data["reason"])
    nothing_is_left(session)
    return dict(event.data)


def test_a_probe_that_fails_for_too_long_ends_the_drill_and_everything_is_put_back(project: Project) -> None:
    scenario = fake_scenario(stop_when("{probe: answers, fails_for: 300ms, grace: 5s}"))
    session = run(Session(project, fake_environment(), "fake", scenario), held)
    told = ended_by(session)
    assert (told["of"], told["outcome"], told["detail"]) == ("scenario", "holds", "down")
    assert 0.3 <= told["for_s"] < 0.8
    checked = recorded(session).timeline.first(
        Kind.PREFLIGHT_CHECKED, lambda event: event.data["check"] == "stop conditions"
    )
    assert checked is not None
    assert checked.data["detail"] == "can be read, and none holds: probe answers fails for 300ms"


def test_the_conditions_of_an_environment_hold_for_every_drill_there(project: Project) -> None:
    stop = ProbeStop(probe="api-answers", fails_for="200ms", grace="5s")  # type: ignore[arg-type]
    environment = fake_environment().model_copy(update={"stop_when": (stop,)})

    async def act(session: Session) -> None:
        await session.preflight()
        fake_target_of(session).kill("api", "SIGKILL", 1)
        with pytest.raises(Aborted):
            await session.watch()
        fake_target_of(session).start("api", 1)

    session = Session(project, environment, "fake", fake_control(("300ms", "5s")), speed=2)
    told = ended_by(run(session, act))
    assert (told["of"], told["condition"]) == ("environment", "probe api-answers fails for 100ms")


def test_a_probe_that_is_answered_no_more_ends_the_drill_after_the_grace_and_not_before(
    project: Project,
) -> None:
    scenario = fake_scenario(stop_when("{probe: api-answers, fails_for: 100ms, grace: 1500ms}"))

    async def act(session: Session) -> None:
        await begin(session)
        sampler = next(one for one in session._samplers if one.name == "api-answers")
        assert sampler._loop is not None
        sampler._loop.cancel()
        await held_from(session)

    async def held_from(session: Session) -> None:
        with pytest.raises(Aborted, match="no sample of the probe was answered"):
            await session.until(lambda: False, in_s(6))

    told = ended_by(run(Session(project, fake_environment(), "fake", scenario), act))
    assert told["outcome"] == "unread"
    assert 1.5 <= told["for_s"] < 2.2


def test_a_probe_that_fails_already_refuses_the_drill(project: Project) -> None:
    probes = {**fake_environment().probes}
    probes["cache-is-down"] = probes["answers"].model_copy(update={"component": "cache", "state": "down"})
    environment = fake_environment().model_copy(update={"probes": probes})
    scenario = fake_scenario(stop_when("{probe: cache-is-down, fails_for: 1m}"))
    session = Session(project, environment, "fake", scenario)
    with pytest.raises(Refused):
        run(session, begin)
    record = recorded(session)
    assert record.verdict.exit_code == 3
    assert record.verdict.reasons[0] == (
        "Preflight: refused, nothing was touched: stop conditions: "
        "probe cache-is-down fails for 1m: it fails already: up"
    )
    assert record.timeline.first(Kind.UNDO_RECORDED) is None
    nothing_is_left(session)


def test_nothing_ends_an_undo_and_a_drill_within_its_limits_passes(project: Project) -> None:
    scenario = fake_scenario(stop_when("{probe: api-answers, fails_for: 100ms, grace: 5s}"))

    async def act(session: Session) -> None:
        await play(session)
        fake_target_of(session).kill("api", "SIGKILL", 1)
        await asyncio.sleep(0.4)
        fake_target_of(session).start("api", 1)

    record = recorded(run(Session(project, fake_environment(), "fake", scenario), act))
    assert record.verdict.outcome is Outcome.PASS
    assert [sample for sample in record.samples["api-answers"] if not sample.ok]


def test_a_watch_that_dies_ends_the_drill(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = fake_scenario(stop_when("{probe: api-answers, fails_for: 10s}"))

    async def act(session: Session) -> None:
        await begin(session)
        monkeypatch.setattr(ProbeWatch, "met", lambda *_: 1 / 0)
        with pytest.raises(Aborted, match="the watch over stop conditions failed: ZeroDivisionError"):
            await session.until(lambda: False, in_s(5))

    session = run(Session(project, fake_environment(), "fake", scenario), act)
    assert recorded(session).verdict.exit_code == 4
    nothing_is_left(session)


def test_an_end_that_cannot_be_written_down_is_one_all_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    scenario = fake_scenario(stop_when("{probe: answers, fails_for: 100ms, grace: 5s}"))

    async def act(session: Session) -> None:
        session.on_abort = lambda: ended.append(session.timeline.phase)
        await begin(session)
        record_ = session.timeline.record

        def full(kind: Kind, /, *_: Any, **data: Any) -> Any:
            if kind in (Kind.STOP_CONDITION, Kind.DRILL_ABORTED):
                raise OSError(28, "No space left on device")
            return record_(kind, *_, **data)

        monkeypatch.setattr(session.timeline, "record", full)
        with pytest.raises(Aborted, match="probe answers fails"):
            await session.until(lambda: False, in_s(5))

    nothing_is_left(run(Session(project, fake_environment(), "fake", scenario), act))
    assert ended == [Phase.INJECT]


# --- under Chaos Toolkit alone, where the session is on a thread beside the activities ------------------------


def stopped(one: Drill) -> None:
    """Wait until the session has ended the drill."""
    for _ in range(200):
        if one.session.aborted is not None:
            return
        asyncio.run(asyncio.sleep(0.02))
    raise AssertionError("not stopped")


@pytest.mark.parametrize("activity", [activities.detect, activities.respond, activities.recover])
def test_whatever_activity_comes_next_ends_the_experiment_and_puts_everything_back(
    drill: MakeDrill,  # noqa: F811
    activity: Any,
) -> None:
    one = drill(stop_when("{probe: answers, fails_for: 200ms, grace: 5s}"))
    activities.preflight()
    activities.inject()
    assert activities.effective()
    stopped(one)
    assert one.ends(activity).startswith("aborted: stop condition of the scenario: probe answers fails")
    assert one.events(Kind.RUNBOOK_STARTED) == ()
    assert activities._aborted(activities._join({}))
