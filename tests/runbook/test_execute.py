"""Executing runbooks against a small service in memory: what is done, in which order, what is recorded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.clock import Instant
from gameday.errors import Aborted
from gameday.runbook.execute import AnsweredManual, Manual, NoManual, Outcome, StepEvent, execute
from gameday.runbook.model import RESOLUTION, Runbook, Section, Step
from gameday.runbook.output import MAX_OUTPUT_BYTES
from runbook.documents import PATH, runbook, step
from runbook.world import World

START = step(
    "Start it",
    "do: {start: database}\nbudget: 2m\ncheck: {probe: answers, within: 30s}\notherwise: Restore it\n"
    "mitigation: fix-forward",
)
BOOKINGS = step("Bookings", "budget: 1m\ncheck: {probe: bookings, within: 10s}")
RESTORE = step(
    "Restore it",
    "do: {restore: database}\nbudget: 5m\ncheck: {probe: answers, within: 1m}\nmitigation: failover",
)
LOOK = step("Look", "do: {status: database}\nbudget: 30s")
VALID = step("Valid", "budget: 1m\ncheck: {probe: bookings, within: 10s}")
USUAL = runbook(investigation=LOOK, resolution_steps=START + BOOKINGS + RESTORE, validation=VALID)


def world(**changes: object) -> World:
    usual = {
        "up": {"database": False, "api": True},
        "probes": {"answers": "database", "bookings": "database", "live": "api"},
    }
    return World(**{**usual, **changes})  # type: ignore[arg-type]


class Trial:
    """One execution with everything that came out of it."""

    def __init__(self, what: Runbook, on: World, *, manual: Manual | None = None, speed: float = 1.0) -> None:
        self.events: list[StepEvent] = []
        self.stop = False
        self._arguments = (what, on, manual or NoManual(), speed)

    def run(self) -> Outcome:
        what, on, manual, speed = self._arguments
        return execute(
            what,
            operations=on,
            manual=manual,
            on_event=self.events.append,
            stop=lambda: self.stop,
            speed=speed,
            clock=on,
        )


def went(outcome: Outcome) -> list[tuple[str, str]]:
    return [(record.heading, record.outcome) for record in outcome.steps]


def test_the_main_path_is_walked_in_order_and_each_step_is_told_when_it_begins_and_ends() -> None:
    trial = Trial(USUAL, world())
    outcome = trial.run()
    assert (outcome.completed, outcome.stopped) == (True, False)
    assert went(outcome) == [(name, "done") for name in ("Look", "Start it", "Bookings", "Valid")]
    assert [(event.kind, event.heading) for event in trial.events] == [
        (kind, heading) for heading, _ in went(outcome) for kind in ("started", "ended")
    ]
    assert [event.record for event in trial.events if event.kind == "ended"] == list(outcome.steps)
    start = outcome.steps[1]
    assert (start.action, start.output, start.duration_s) == ("start database", "as told", 1.5)
    assert start.acted_at - start.started == 0.5
    assert start.check is not None
    assert (start.check.met, start.check.waited_s, start.check.detail) == (True, 1.0, "answered")


def test_recovery_is_owed_to_what_changed_something_not_to_what_looked() -> None:
    outcome = Trial(USUAL, world()).run()
    assert outcome.last_action is not None
    assert outcome.last_action.heading == "Start it"
    assert [record.mitigation for record in outcome.mitigations] == ["fix-forward"]
    only_looks = Trial(runbook(investigation=LOOK), world()).run()
    assert only_looks.completed
    assert only_looks.last_action is None


def test_a_check_that_is_not_met_leads_to_the_fallback_and_then_on() -> None:
    on = world()
    broken_start = runbook(
        resolution_steps=START.replace("start: database", "start: api") + BOOKINGS + RESTORE, validation=VALID
    )
    outcome = Trial(broken_start, on).run()
    assert outcome.completed
    assert went(outcome) == [
        ("Start it", "failed"),
        ("Restore it", "done"),
        ("Bookings", "done"),
        ("Valid", "done"),
    ]
    assert outcome.steps[0].reason == "answers did not hold within 30s: connection refused"
    assert [record.because_of for record in outcome.steps] == [None, "Start it", None, None]
    assert outcome.last_action is not None
    assert outcome.last_action.heading == "Restore it"


def test_a_fallback_of_several_steps_is_walked_by_then() -> None:
    content = (
        step("A", "do: {start: nowhere}\nbudget: 1m\notherwise: F1")
        + step("F1", "do: {stop: api}\nbudget: 1m\nthen: F2")
        + step("F2", "do: {start: database}\nbudget: 1m\nthen: F3")
        + step("F3", "do: {start: api}\nbudget: 1m")
        + step("B", "budget: 1m\ncheck: {probe: live, within: 5s}")
    )
    outcome = Trial(runbook(resolution_steps=content), world()).run()
    assert outcome.completed
    assert [heading for heading, _ in went(outcome)] == ["A", "F1", "F2", "F3", "B"]


def test_a_failure_without_fallback_ends_the_runbook() -> None:
    outcome = Trial(USUAL, world(broken={"start", "restore"})).run()
    assert not outcome.completed
    assert went(outcome) == [("Look", "done"), ("Start it", "failed"), ("Restore it", "failed")]
    assert outcome.reason == "'Restore it' failed: restore database: exit code 1"
    assert outcome.last_action is None  # neither attempt did anything


def test_what_is_given_up_midway_may_still_have_acted() -> None:
    outcome = Trial(USUAL, world(takes_s={"start": 600.0})).run()
    start = outcome.steps[1]
    assert (start.outcome, start.acted, start.duration_s) == ("failed", True, 120.0)
    assert start.reason == "not done within 2m: start database: still not done"


def test_investigation_is_evidence_and_never_fatal_and_waits_no_longer_than_its_budget() -> None:
    investigation = (
        step("Lost", "do: {status: nowhere}\nbudget: 30s\notherwise: Restore it")
        + step(
            "Slow",
            "run: {component: database, command: [df]}\nbudget: 4s\ncheck: {probe: answers, within: 9m}",
        )
        + step(
            "Spent",
            "run: {component: database, command: [ls]}\nbudget: 4s\ncheck: {probe: answers, within: 1s}",
        )
    )
    on = world(takes_s={"df": 1.0, "ls": 60.0}, late=True)
    outcome = Trial(runbook(investigation=investigation, resolution_steps=START + RESTORE), on).run()
    assert outcome.completed
    assert went(outcome) == [
        ("Lost", "failed"),
        ("Slow", "failed"),
        ("Spent", "failed"),
        ("Start it", "done"),
    ]
    assert outcome.steps[1].duration_s == 4.0
    assert outcome.steps[2].reason == "its budget was spent before its check"


def test_a_command_that_ends_with_an_error_has_failed_and_its_output_is_kept() -> None:
    content = step("Fix", "run: {component: database, command: [fix, --now]}\nbudget: 1m")
    failed = Trial(
        runbook(resolution_steps=content), world(exit_code=3, output="no\x1b[31m such\x00 thing")
    ).run()
    (record,) = failed.steps
    assert (record.outcome, record.output, record.acted) == ("failed", "no such thing", False)
    assert record.reason == "run fix --now on database ended with exit code 3"
    assert Trial(runbook(resolution_steps=content), world()).run().steps[0].acted


def test_a_step_that_works_but_late_is_done_and_over_budget() -> None:
    late = Trial(USUAL, world(takes_s={"start": 119.5})).run().steps[1]
    assert (late.outcome, late.over_budget, late.duration_s) == ("done", True, 120.5)
    in_time = Trial(USUAL, world(takes_s={"start": 119.0})).run().steps[1]
    assert (in_time.outcome, in_time.over_budget) == ("done", False)


def test_speed_divides_budgets_and_the_times_of_checks() -> None:
    on = world()
    outcome = Trial(USUAL, on, speed=10).run()
    assert on.seen == [
        ("status database", 3.0),
        ("start database", 12.0),
        ("answers", 3.0),
        ("bookings", 1.0),
        ("bookings", 1.0),
    ]
    assert [record.budget_s for record in outcome.steps] == [3.0, 12.0, 6.0, 6.0]
    with pytest.raises(ValueError, match="speed is 0"):
        Trial(USUAL, on, speed=0).run()


def test_a_check_asks_for_how_long_its_probe_must_go_on_succeeding_and_speed_divides_it() -> None:
    steadily = "budget: 1m\ncheck: {probe: live, within: 10s, steady_for: 30s}"
    what = runbook(resolution_steps=START + step("Steady", steadily) + RESTORE)
    on = world()
    outcome = Trial(what, on).run()
    assert (outcome.completed, on.steady) == (True, [0.0, 30.0])
    assert outcome.steps[1].duration_s == 31.0
    assert outcome.steps[1].over_budget is False
    fast = world()
    Trial(what, fast, speed=10).run()
    assert fast.steady == [0.0, 3.0]


def test_nothing_to_execute_is_not_completed() -> None:
    outcome = Trial(runbook(), world()).run()
    assert (outcome.completed, outcome.steps) == (False, ())
    assert outcome.reason == "the runbook has no step that a drill can execute"


def by_hand(*steps: tuple[str, str, str | None]) -> Runbook:
    """Resolution steps (heading, component to start, otherwise), without the parser's refusals."""
    from gameday.runbook.actions import Start

    made = [Step(h, 1, RESOLUTION, "", Start(start=c), 60.0, otherwise=o) for h, c, o in steps]
    return Runbook("demo", "Demo", PATH, (), "HIGH", 900.0, (Section(RESOLUTION, 1, tuple(made)),))


def test_a_loop_is_refused_even_where_the_parser_could_not_see_it() -> None:
    outcome = Trial(by_hand(("A", "x", "B"), ("B", "x", "C"), ("C", "x", "B")), world()).run()
    assert [heading for heading, _ in went(outcome)] == ["A", "B", "C"]
    assert outcome.reason == "'C' leads to 'B', which was executed already"


def test_a_fallback_shared_by_two_steps_is_taken_once() -> None:
    outcome = Trial(by_hand(("A", "x", "F"), ("B", "x", "F"), ("F", "api", None)), world()).run()
    assert [heading for heading, _ in went(outcome)] == ["A", "F", "B"]
    assert (outcome.completed, outcome.reason) == (False, "'B' leads to 'F', which was executed already")


def test_a_fallback_that_does_not_exist_ends_the_runbook() -> None:
    outcome = Trial(by_hand(("A", "x", "Nowhere")), world()).run()
    assert outcome.reason == "'A' leads to 'Nowhere', which is no step of this runbook"


ASK = step("Provider", 'ask: "Has the provider confirmed?"\nbudget: 1m\notherwise: Restore it') + RESTORE


def test_a_manual_step_in_ci_is_an_error_and_no_reason_to_take_the_fallback() -> None:
    outcome = Trial(runbook(resolution_steps=ASK), world()).run()
    assert went(outcome) == [("Provider", "failed")]
    assert "manual step 'Provider' needs an interactive game day or an answer" in outcome.reason
    unprepared = Trial(runbook(resolution_steps=ASK), world(), manual=AnsweredManual({"Other": "yes"})).run()
    assert "manual step 'Provider' has no prepared answer" in unprepared.reason


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("ticket 4711", [("Provider", "done")]),
        (True, [("Provider", "done")]),
        (False, [("Provider", "failed"), ("Restore it", "done")]),
        ("No", [("Provider", "failed"), ("Restore it", "done")]),
    ],
)
def test_a_prepared_answer_decides(answer: str | bool, expected: list[tuple[str, str]]) -> None:
    outcome = Trial(
        runbook(resolution_steps=ASK), world(), manual=AnsweredManual({" provider": answer})
    ).run()
    assert (outcome.completed, went(outcome)) == (True, expected)
    assert not outcome.steps[0].acted


def test_no_answer_in_time_is_a_failure() -> None:
    class Silent:
        def ask(self, heading: str, question: str, timeout_s: float) -> str | None:  # noqa: ARG002
            return None

    outcome = Trial(runbook(resolution_steps=ASK), world(), manual=Silent()).run()
    assert outcome.steps[0].reason == "no answer within 1m: Has the provider confirmed?"
    assert outcome.completed


def test_a_stop_before_a_step_begins_it_no_more() -> None:
    trial = Trial(USUAL, world())
    trial.stop = True
    outcome = trial.run()
    assert (outcome.completed, outcome.stopped, outcome.steps, trial.events) == (False, True, (), [])


def test_a_stop_during_an_action_ends_the_step_before_its_check() -> None:
    on = world()
    trial = Trial(USUAL, on)

    def during(what: str) -> None:
        trial.stop = trial.stop or what == "start database"

    on.during = during
    outcome = trial.run()
    assert went(outcome) == [("Look", "done"), ("Start it", "stopped")]
    assert (outcome.completed, outcome.stopped, outcome.reason) == (False, True, "stopped")
    assert [what for what, _ in on.seen] == ["status database", "start database"]
    assert outcome.steps[1].acted  # the database was started: whoever judges must know


@pytest.mark.parametrize("at", ["start database", "answers"])
def test_operations_can_end_a_step_at_once(at: str) -> None:
    def during(what: str) -> None:
        if what == at:
            raise Aborted("signal 15")

    outcome = Trial(USUAL, world(during=during)).run()
    assert went(outcome)[1:] == [("Start it", "stopped")]
    assert (outcome.stopped, outcome.steps[1].reason) == (True, "signal 15")


def test_evidence_is_bounded_and_carries_no_secret() -> None:
    content = step("Fix", "run: {component: database, command: [fix, --password=hunter2]}\nbudget: 1m")
    on = world(output="postgresql://hotel:hunter2@db/x\n" + "é" * 20_000 + "\nPGPASSWORD=hunter2")
    trial = Trial(runbook(resolution_steps=content), on)
    (record,) = trial.run().steps
    assert len(record.output.encode()) <= MAX_OUTPUT_BYTES
    assert record.output.startswith("postgresql://***@db/x")
    assert "hunter2" not in str(record.to_json()) + str(trial.events)
    assert on.seen == [("fix --password=hunter2", 60.0)]  # the command itself is run as it stands


def test_records_are_plain_data() -> None:
    import json

    outcome = Trial(USUAL, world()).run()
    data = json.loads(json.dumps([record.to_json() for record in outcome.steps]))
    assert data[1]["check"] == {
        "probe": "answers",
        "within_s": 30.0,
        "met": True,
        "waited_s": 1.0,
        "detail": "answered",
    }
    assert Instant.from_json(data[1]["started"]) == outcome.steps[1].started
    assert outcome.to_json() == {
        "completed": True,
        "stopped": False,
        "reason": "every step was done",
        "steps": 4,
        "last_action": "Start it",
        "mitigations": ["Start it"],
    }


names = st.sampled_from("ABCDEF")
graphs = st.dictionaries(names, st.tuples(st.sampled_from(["api", "nowhere"]), st.none() | names), min_size=1)


@given(graph=graphs, stop_after=st.none() | st.integers(0, 6))
def test_whatever_leads_where_no_step_runs_twice_and_the_records_add_up(
    graph: dict[str, tuple[str, str | None]], stop_after: int | None
) -> None:
    on = world()
    trial = Trial(by_hand(*((name, component, other) for name, (component, other) in graph.items())), on)

    def during(_: str) -> None:
        trial.stop = stop_after is not None and len(on.seen) > stop_after

    on.during = during
    outcome = trial.run()
    headings = [record.heading for record in outcome.steps]
    assert len(headings) == len(set(headings)) == len(on.seen) == len(trial.events) // 2
    assert sum(record.duration_s for record in outcome.steps) == pytest.approx(on.time_s)
    assert all(first.ended <= second.started for first, second in pairwise(outcome.steps))
    failures = {record.heading for record in outcome.steps if record.outcome == "failed"}
    answered = {record.because_of for record in outcome.steps}
    assert not outcome.completed or failures <= answered
    assert not (outcome.completed and outcome.stopped)
