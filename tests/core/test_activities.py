"""What Chaos Toolkit calls, with a session beside it: the order in which things are armed, broken and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.abilities import AbleTarget, able_environment
from core.plays import recorded
from core.test_session import nothing_is_left
from core.worlds import fake_control, fake_environment, fake_project, fake_scenario
from gameday import activities
from gameday.errors import TargetError
from gameday.link import LocalLink
from gameday.project import Project
from gameday.record import DrillRecord
from gameday.scenario import Scenario
from gameday.session import Session
from gameday.timeline import Event, Kind
from gameday.verdict import Outcome

FAULT = "fault: {kill: database, signal: SIGKILL}"
PAUSED = "during: {fault: {pause: api}, impact: {probe: api-answers, fails_within: 2s}}"
TWO = ("max_targets: 1", "max_targets: 3")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("gameday.plan.PREFLIGHT_S", 1.0)
    monkeypatch.setattr("gameday.plan.STEADY_MAX_S", 0.06)
    return fake_project(tmp_path)


class Drill:
    """The activities of one drill, called as the engine calls them."""

    def __init__(self, project: Project, scenario: Scenario, *, disarmed: bool = False) -> None:
        self.session = Session(project, fake_environment(), "fake", scenario, disarmed=disarmed)
        self.link = LocalLink(self.session)
        activities.work_for(self.link)  # type: ignore[arg-type]
        able = able_environment().components
        environment = fake_environment()
        components = {**environment.components, "api": able["api"], "cache": able["cache"]}
        self.target = AbleTarget(environment.model_copy(update={"components": components}), "fake", project)
        activities._join({}).target = self.target
        self.session.target = self.target

    @property
    def record(self) -> DrillRecord:
        return recorded(self.session)

    def events(self, kind: Kind) -> tuple[Event, ...]:
        return self.session.timeline.timeline.all(kind)

    def ends(self, activity: Callable[[], Any]) -> str:
        """Why it ended the experiment; the drill is over then."""
        with pytest.raises(SystemExit) as caught:
            activity()
        assert caught.value.code == activities.CHAOS_TOOLKIT_EXIT
        return self.record.verdict.reasons[0] if self.record.verdict.reasons else ""


MakeDrill = Callable[..., Drill]


@pytest.fixture
def drill(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDrill]:
    monkeypatch.setattr(activities, "_drill", None)
    monkeypatch.setattr(activities, "_runner", None)
    made: list[Drill] = []

    def make(*changes: tuple[str, str], **settings: Any) -> Drill:
        made.append(Drill(project, fake_scenario(*changes), **settings))
        return made[-1]

    yield make
    for one in made:
        one.link.close()


def undos(drill: Drill, kind: Kind) -> list[str]:
    return [f"{event.data['operation']} {event.data['component']}" for event in drill.events(kind)]


RESETS = ["request api", "request cache"]


def test_what_must_be_in_force_is_armed_broken_and_proven_before_the_fault(drill: MakeDrill) -> None:
    one = drill((FAULT, f"{PAUSED}\n{FAULT}"), TWO)
    activities.preflight()
    assert activities.inject() == "database: up -> down"
    assert activities.effective()
    order = {
        Kind.UNDO_RECORDED, Kind.DURING_INJECTING, Kind.DURING_INJECTED, Kind.DURING_EFFECTIVE, Kind.FAULT_INJECTING,
        Kind.FAULT_INJECTED, Kind.FAULT_EFFECTIVE,
    }  # fmt: skip
    assert [event.kind for event in one.session.timeline.timeline if event.kind in order] == [
        Kind.UNDO_RECORDED, Kind.UNDO_RECORDED, Kind.UNDO_RECORDED,
        Kind.DURING_INJECTING, Kind.DURING_INJECTED, Kind.DURING_EFFECTIVE,
        Kind.UNDO_RECORDED, Kind.FAULT_INJECTING, Kind.FAULT_INJECTED, Kind.FAULT_EFFECTIVE,
    ]  # fmt: skip
    assert one.events(Kind.DURING_INJECTING)[0].data == {"fault": "pause api"}
    effective = one.events(Kind.DURING_EFFECTIVE)[0].data
    assert (effective["probe"], effective["detail"]) == ("api-answers", "paused")
    assert one.events(Kind.FAULT_INJECTING)[0].data["targets"] == ["fake database"]


def test_everything_is_put_back_last_in_first_out_and_what_operators_switched_last_of_all(
    drill: MakeDrill,
) -> None:
    one = drill((FAULT, f"{PAUSED}\nfault: [{{kill: database}}, {{fill: api}}]"), TWO)
    activities.preflight()
    activities.inject()
    recorded_ = [*RESETS, "resume api", "unfill api", "start database"]
    assert undos(one, Kind.UNDO_RECORDED) == recorded_
    assert activities.undo()
    assert undos(one, Kind.UNDO_STARTED) == recorded_[::-1]
    assert one.target.does.calls == [
        ("fill", "api"),
        ("unfill", "api"),
        ("request", "cache", "POST /calm", None),
        ("request", "api", "DELETE /admin/overrides", None),
    ]
    one.link.close()
    nothing_is_left(one.session)


def test_a_list_of_faults_strikes_in_its_order_and_each_is_told(drill: MakeDrill) -> None:
    one = drill((FAULT, "fault: [{pause: api}, {kill: database}, {pause: cache}]"), TWO)
    activities.preflight()
    assert activities.inject() == "api: up -> paused; database: up -> down; cache: up -> paused"
    injecting = one.events(Kind.FAULT_INJECTING)[0].data
    assert injecting["fault"] == "pause api; kill database with SIGKILL; pause cache"
    assert injecting["targets"] == ["fake api", "fake database", "fake cache"]


def test_what_was_not_in_force_before_the_fault_is_inconclusive_and_the_fault_never_strikes(
    drill: MakeDrill,
) -> None:
    never = PAUSED.replace("pause: api", "pause: cache").replace("2s", "200ms")
    one = drill((FAULT, f"{never}\n{FAULT}"), TWO)
    activities.preflight()
    one.ends(activities.inject)
    verdict = one.record.verdict
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INCONCLUSIVE, 3)
    assert (
        "Fault took effect: probe api-answers did not fail: what must be in force before the fault was not"
        in verdict.reasons
    )
    assert one.record.timeline.first(Kind.FAULT_INJECTING) is None
    assert undos(one, Kind.UNDO_ENDED) == ["resume cache", "request cache", "request api"]
    nothing_is_left(one.session)


def test_an_alert_that_tells_of_what_came_before_the_fault_proves_nothing(drill: MakeDrill) -> None:
    """The alert watches the database, which is paused before the API is killed."""
    before = "during: {fault: {pause: database}, impact: {probe: answers, fails_within: 2s}}"
    one = drill((FAULT, f"{before}\nfault: {{kill: api}}"), TWO)
    activities.preflight()
    reason = one.ends(activities.inject)
    assert reason == (
        "Preflight: refused, before the fault under test struck: alert: it_is_down is firing already; "
        "an alert that is not quiet proves nothing"
    )
    assert one.record.verdict.exit_code == 3
    assert one.record.timeline.first(Kind.FAULT_INJECTING) is None
    nothing_is_left(one.session)


def test_a_disarmed_drill_breaks_nothing_and_is_inconclusive_with_its_undo_recorded(drill: MakeDrill) -> None:
    one = drill(("fails_within: 2s", "fails_within: 200ms"), disarmed=True)
    activities.preflight()
    assert activities.inject() == "disarmed: the fault was not applied"
    one.ends(activities.effective)
    verdict = one.record.verdict
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INCONCLUSIVE, 3)
    assert "Fault took effect: probe answers did not fail within 200ms: nothing was proven" in verdict.reasons
    assert undos(one, Kind.UNDO_RECORDED) == [*RESETS, "start database"]
    assert len(one.record.timeline.all(Kind.DEADMAN_ARMED)) == 3
    assert undos(one, Kind.UNDO_ENDED) == ["start database", "request cache", "request api"]
    assert all(sample.ok for sample in one.record.samples["answers"])
    nothing_is_left(one.session)


def test_a_disarmed_drill_does_not_even_bring_about_what_comes_before_the_fault(drill: MakeDrill) -> None:
    one = drill((FAULT, f"{PAUSED.replace('2s', '200ms')}\n{FAULT}"), TWO, disarmed=True)
    activities.preflight()
    one.ends(activities.inject)
    assert one.events(Kind.DURING_INJECTED)[0].data == {"detail": "disarmed: the fault was not applied"}
    assert one.record.verdict.outcome is Outcome.INCONCLUSIVE
    assert all(sample.ok for sample in one.record.samples["api-answers"])


def test_the_second_of_two_faults_that_fails_has_the_first_put_back(drill: MakeDrill) -> None:
    one = drill((FAULT, "fault: [{kill: database}, {fill: api}]"), TWO)
    activities.preflight()

    def full(component: str, timeout_s: float) -> str:
        raise TargetError("fill api: no such mount")

    one.target.fill = full  # type: ignore[method-assign]
    one.ends(activities.inject)
    assert one.record.verdict.outcome is Outcome.INCONCLUSIVE
    assert undos(one, Kind.UNDO_ENDED) == ["start database", "unfill api", "request cache", "request api"]
    nothing_is_left(one.session)


def test_a_fault_that_cannot_be_had_here_is_refused_in_preflight(project: Project, drill: MakeDrill) -> None:
    one = drill((FAULT, "fault: {flush: database, every: 1s}"))
    reason = one.ends(activities.preflight)
    assert reason == (
        "Preflight: refused, nothing was touched: fault: database cannot be troubled by a client that would flush it"
    )
    assert one.record.timeline.first(Kind.UNDO_RECORDED) is None
    checked = [event.data["check"] for event in one.record.timeline.all(Kind.PREFLIGHT_CHECKED)]
    assert checked == ["steady state", "leftovers", "targets", "fault"]


def test_preflight_tells_the_fault_and_what_puts_it_back(drill: MakeDrill) -> None:
    one = drill((FAULT, f"{PAUSED}\nfault: [{{kill: database}}, {{fill: api}}]"), TWO)
    activities.preflight()
    told = {event.data["check"]: event.data["detail"] for event in one.events(Kind.PREFLIGHT_CHECKED)}
    assert told["targets"] == "pause api; kill database; fill api hits fake api, fake database"
    assert told["fault"] == (
        "pause api; kill database with SIGKILL; fill the disk of api: put back by resume api, start database, "
        "unfill api"
    )


def test_the_watch_of_a_control_answers_what_it_saw(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities, "_drill", None)
    monkeypatch.setattr(activities, "_runner", None)
    one = Drill(project, fake_control())
    activities.preflight()
    assert activities.watch() == "quiet"
    one.link.close()
    assert one.record.verdict.outcome is Outcome.PASS


def test_what_both_processes_asked_of_the_target_is_one_sum(drill: MakeDrill) -> None:
    one = drill()
    activities.preflight()
    one.session.target = Busy(one.session.environment, one.session.instance, one.session.project)
    one.target.does.calls += [("run", "api")] * 3
    one.link.call("ended", asked=activities.asked())
    one.link.close()
    assert one.events(Kind.TARGET_ASKED)[0].data == {"requests": {"call": 5, "look": 1}}


def test_what_an_engine_that_was_killed_had_asked_nobody_knows(drill: MakeDrill) -> None:
    one = drill()
    activities.preflight()
    one.link.close()
    assert one.events(Kind.TARGET_ASKED) == ()


class Busy(AbleTarget):
    def asked(self) -> dict[str, int]:
        return {"call": 2, "look": 1}
