"""A game day folded from its log, and what comes next; with a runner that dies wherever it can."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.gamedays import entries as e
from gameday.gamedays.log import Logged
from gameday.gamedays.state import (
    CheckReadiness,
    Decide,
    End,
    RunDrill,
    Settle,
    State,
    Status,
    Step,
    Stop,
    Wait,
    fold,
    next_step,
    unanswered,
)
from gamedays.world import GO, STARTED, TAKEN_UP, ZERO, at, begun, died, ended, logged

WAITED = (e.PauseStarted(before=2, for_s=10.0), e.PauseEnded(before=2, by="time"))


def after(*entries: e.Entry, second: float | None = None) -> Step:
    lines = logged(*entries)
    now = at(second if second is not None else len(lines)).utc
    return next_step(fold(lines), now)


@pytest.mark.parametrize(
    ("entries", "step"),
    [
        ((TAKEN_UP,), CheckReadiness()),
        ((TAKEN_UP, GO), RunDrill(1, 1)),
        ((TAKEN_UP, GO, *begun(1)), Settle(1)),
        ((TAKEN_UP, GO, *begun(1), TAKEN_UP), Settle(1)),
        ((TAKEN_UP, GO, *begun(1), TAKEN_UP, died(1)), Decide(1)),
        (
            (TAKEN_UP, GO, *begun(1), TAKEN_UP, died(1), e.DrillDecided(number=1, repeat=True, by="Ana")),
            CheckReadiness(),
        ),
        (
            (TAKEN_UP, GO, *begun(1), TAKEN_UP, died(1), e.DrillDecided(number=1, repeat=True, by="Ana"), GO),
            RunDrill(1, 2),
        ),
        ((TAKEN_UP, GO, *begun(1), ended(1), *WAITED), RunDrill(2, 1)),
        ((TAKEN_UP, GO, *begun(1), ended(1), *WAITED, *begun(2), ended(2)), RunDrill(3, 1)),
        ((TAKEN_UP, GO, *begun(1), ended(1), *WAITED, *begun(2), ended(2), *begun(3), ended(3)), End()),
        ((TAKEN_UP, GO, *begun(1), ended(1, 1, "FAIL", 1, "why"), *WAITED), RunDrill(2, 1)),
    ],
)
def test_what_comes_next(entries: tuple[e.Entry, ...], step: Step) -> None:
    assert after(*entries) == step


def test_a_no_go_stops_until_it_is_taken_up_again() -> None:
    no = e.GoDecided(go=False, reasons=("roles: nobody is scribe",))
    assert after(TAKEN_UP, no) == Stop("NO-GO: roles: nobody is scribe", 3)
    assert after(TAKEN_UP, no, TAKEN_UP) == CheckReadiness()


def test_what_is_left_behind_stops_until_it_is_taken_up_again() -> None:
    left = (TAKEN_UP, GO, *begun(1), ended(1, 1, "FAIL", 5, "database is down"))
    assert after(*left) == Stop("drill 1 has left something behind", 5)
    assert after(*left, TAKEN_UP) == CheckReadiness(), "which looks for leftovers"
    torn = (TAKEN_UP, GO, *begun(1), TAKEN_UP, died(1, clean=False))
    assert after(*torn) == Stop("drill 1 was interrupted and is not put back", 5)


def test_an_abort_is_final() -> None:
    aborted = (TAKEN_UP, GO, *begun(1), ended(1, 1, "INCONCLUSIVE", 4, "aborted"), e.Aborted(reason="key X"))
    assert after(*aborted) == Stop("aborted: key X", 4)
    assert after(*aborted, TAKEN_UP) == Stop("aborted: key X", 4)
    assert fold(logged(*aborted)).over
    left = (TAKEN_UP, GO, *begun(1), ended(1, 1, "INCONCLUSIVE", 5, "aborted"), e.Aborted(reason="key X"))
    assert after(*left) == Stop("drill 1 has left something behind", 5), "which is worse"


def test_a_pause_goes_on_across_runners_and_never_longer_than_it_was() -> None:
    before = (TAKEN_UP, GO, *begun(1), ended(1))
    assert after(*before) == Wait(2, 10.0, begun=False)
    pausing = (*before, e.PauseStarted(before=2, for_s=10.0))  # at second 6
    assert after(*pausing, second=9) == Wait(2, 7.0, begun=True)
    assert after(*pausing, TAKEN_UP, GO, second=12) == Wait(2, 4.0, begun=True)
    assert after(*pausing, TAKEN_UP, GO, second=3600) == Wait(2, 0.0, begun=True)
    assert after(*pausing, TAKEN_UP, GO, second=-60) == Wait(2, 10.0, begun=True), "a clock that was set back"
    assert after(*pausing, e.PauseEnded(before=2, by="Dora"), second=8) == RunDrill(2, 1)


def test_a_rehearsal_pauses_shorter() -> None:
    lines = logged(TAKEN_UP, GO, *begun(1), ended(1))
    fast = (replace(lines[0], entry=STARTED.model_copy(update={"speed": 5.0})), *lines[1:])
    assert next_step(fold(fast), ZERO) == Wait(2, 2.0, begun=False)


def test_a_repeated_drill_is_not_paused_for_again() -> None:
    repeat = e.DrillDecided(number=2, repeat=True, by="Ana")
    lines = (TAKEN_UP, GO, *begun(1), ended(1), *WAITED, *begun(2), TAKEN_UP, died(2), repeat, GO)
    assert after(*lines) == RunDrill(2, 2)


def test_a_skipped_drill_stays_skipped() -> None:
    skip = e.DrillDecided(number=2, repeat=False, by="Ana")
    lines = (TAKEN_UP, GO, *begun(1), ended(1), *WAITED, *begun(2), TAKEN_UP, died(2), skip, GO)
    assert after(*lines) == RunDrill(3, 1)
    assert fold(logged(*lines)).drill(2).status is Status.SKIPPED


def test_who_has_a_role_and_what_was_said_during_which_drill() -> None:
    state = fold(
        logged(
            TAKEN_UP,
            GO,
            e.Note(text="before", by="Dora"),
            *begun(1),
            e.HandOver(role="scribe", to="Zoe", by="Dora"),
            e.Decision(text="fail over", by="Ana"),
            ended(1),
            e.Action(text="Mend it", owner="Ben", due="2026-12-20", by="Zoe", finding="1.1"),
        )
    )
    assert state.roles["scribe"] == ("Zoe",)
    assert state.roles["technical-lead"] == ("Ben",)
    assert [said.during for said in state.said] == [0, 1, 1, 0]
    assert [action.owner for action in state.actions] == ["Ben"]


def test_what_was_checked_and_decided_counts_for_one_runner_and_answers_stay() -> None:
    check = e.Checked(check="lock", ok=True, detail="")
    yes = e.Answered(question="ready", ask="?", answer="yes", ok=True, took_s=1.0, by="Ana")
    state = fold(logged(TAKEN_UP, check, yes, GO, TAKEN_UP))
    assert state.checks == ()
    assert state.go is None
    assert unanswered(state, ["ready", "other"]) == ("other",)
    no = yes.model_copy(update={"ok": False})
    assert unanswered(fold(logged(TAKEN_UP, no)), ["ready"]) == ("ready",), "a NO is asked again"


# --- a runner that may die anywhere -------------------------------------------------------------------------


class Runner:
    """Does what comes next, in a world where every entry may be the last one that it writes."""

    def __init__(self, deaths: list[int], repeats: list[bool]) -> None:
        self.lines = [*logged()]
        self.deaths = set(deaths)
        self.repeats = [*repeats]
        self.second = 0.0
        self.dead = False

    def write(self, *entries: e.Entry) -> None:
        for entry in entries:
            if self.dead:
                return
            self.second += 1
            self.lines.append(Logged(len(self.lines), at(self.second), entry))
            self.dead = len(self.lines) in self.deaths

    @property
    def state(self) -> State:
        return fold(self.lines)

    def live(self) -> Step:
        """Take it up, and go on until there is no more to do or the runner dies."""
        self.dead = False
        self.write(TAKEN_UP)
        for _ in range(100):
            step = next_step(self.state, ZERO + timedelta(seconds=self.second))
            if self.dead or isinstance(step, Stop):
                return step
            self.do(step)
        raise AssertionError("it never ends")

    def do(self, step: Step) -> None:
        match step:
            case Settle(number):
                last = self.state.drill(number).last
                assert last is not None
                self.write(died(number, last.number))
            case Decide(number):
                repeat = self.repeats.pop() if self.repeats else True
                self.write(e.DrillDecided(number=number, repeat=repeat, by="Ana"))
            case CheckReadiness():
                self.write(e.Checked(check="lock", ok=True, detail=""), GO)
            case Wait(number, left_s, begun=paused):
                if not paused:
                    self.write(e.PauseStarted(before=number, for_s=left_s))
                self.second += left_s
                self.write(e.PauseEnded(before=number, by="time"))
            case RunDrill(number, attempt):
                assert self.state.go == GO, "no drill begins without a GO of this runner"
                self.write(*begun(number, attempt), ended(number, attempt))
            case End():
                self.write(e.Ended())


@settings(max_examples=300)
@given(
    st.lists(st.integers(min_value=2, max_value=60), max_size=8),
    st.lists(st.booleans(), max_size=8),
)
def test_whoever_dies_whenever_each_drill_is_ended_once_or_skipped_by_somebody(
    deaths: list[int], repeats: list[bool]
) -> None:
    runner = Runner(deaths, repeats)
    for _ in range(20):
        if isinstance(runner.live(), Stop):
            break
    state = runner.state
    assert state.ended is not None
    begins = [line.entry for line in runner.lines if isinstance(line.entry, e.DrillStarted)]
    ends = [line.entry.number for line in runner.lines if isinstance(line.entry, e.DrillEnded)]
    skipped = [
        line.entry.number
        for line in runner.lines
        if isinstance(line.entry, e.DrillDecided) and not line.entry.repeat
    ]
    assert sorted([*ends, *skipped]) == [1, 2, 3], "each once, none both"
    assert [one.number for one in begins] == sorted(one.number for one in begins), "in their order"
    for drill in state.drills:
        assert [one.number for one in drill.attempts] == list(range(1, len(drill.attempts) + 1))
        assert all(one.interrupted for one in drill.attempts[:-1]), "only what was interrupted is repeated"


@given(st.lists(st.integers(min_value=2, max_value=60), max_size=4))
def test_every_beginning_of_a_log_is_a_state_that_something_follows_from(deaths: list[int]) -> None:
    runner = Runner(deaths, [])
    for _ in range(5):
        runner.live()
    for length in range(1, len(runner.lines) + 1):
        state = fold(runner.lines[:length])
        assert state.last == runner.lines[length - 1].at
        assert next_step(state, ZERO) is not None
        assert sum(drill.status is Status.RUNNING for drill in state.drills) <= 1
