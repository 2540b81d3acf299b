"""What a drill knows of its probes: folded from their answers, with how exactly it is known."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timelines import ZERO
from gameday.probes import Answer
from gameday.record import Sample, _read_samples
from gameday.watchers import ProbeState, Seen, Watchers


def answer(started_s: float, ended_s: float, *, ok: bool, detail: str = "") -> Answer:
    return Answer(ZERO.plus(started_s), ZERO.plus(ended_s), ok, detail, "key")


def seen(at_s: float, resolution_s: float) -> Seen:
    return Seen(ZERO.plus(at_s), pytest.approx(resolution_s))  # type: ignore[arg-type]


def folded(*answers: Answer) -> ProbeState:
    state = ProbeState()
    for one in answers:
        state.add(one)
    return state


def test_before_the_first_answer_nothing_is_known() -> None:
    state = ProbeState()
    assert (state.ok, state.since, state.last, state.count) == (None, None, None, 0)


def test_the_first_answer_counts_from_itself() -> None:
    assert folded(answer(0, 0.01, ok=True)).since == seen(0.01, 0)
    assert folded(answer(0, 0.01, ok=False)).since == seen(0, 0)


def test_more_of_the_same_changes_nothing() -> None:
    state = folded(*(answer(n / 10, n / 10 + 0.01, ok=True) for n in range(5)))
    assert state.since == seen(0.01, 0)
    assert state.count == 5


def test_a_failure_is_seen_when_it_was_asked_and_began_after_the_last_good_answer() -> None:
    state = folded(answer(0, 0.01, ok=True), answer(0.1, 1.1, ok=False))
    assert state.since == seen(0.1, 0.09)


def test_a_success_is_seen_when_it_answered_and_began_after_the_last_bad_one_was_asked() -> None:
    state = folded(answer(0, 1.0, ok=False), answer(0.1, 0.15, ok=True))
    assert state.since == seen(0.15, 0.15)


def test_a_failure_asked_while_a_good_answer_was_under_way_has_no_negative_resolution() -> None:
    state = folded(answer(0, 0.5, ok=True), answer(0.1, 0.2, ok=False))
    assert state.since == seen(0.1, 0)


@pytest.fixture
def watchers(tmp_path: Path) -> Watchers:
    return Watchers(tmp_path / "samples", ("books", "answers"))


def test_all_hold_since_the_last_of_them_does(watchers: Watchers) -> None:
    both = ("books", "answers")
    assert watchers.holding(both) is None
    assert watchers.held_for_s(both) == 0
    watchers.add("books", answer(0, 0.01, ok=True))
    assert watchers.holding(both) is None
    watchers.add("answers", answer(1, 1.01, ok=True))
    assert watchers.holding(both) == seen(1.01, 0)
    assert watchers.holding(["books"]) == seen(0.01, 0)
    watchers.close()


def test_they_have_held_up_to_the_last_answer_of_the_one_asked_longest_ago(watchers: Watchers) -> None:
    both = ("books", "answers")
    watchers.add("books", answer(0, 0, ok=True))
    watchers.add("answers", answer(0, 0, ok=True))
    watchers.add("books", answer(5, 5, ok=True))
    assert watchers.held_for_s(both) == 0
    watchers.add("answers", answer(3, 3, ok=True))
    assert watchers.held_for_s(both) == 3
    assert watchers.held_for_s(["books"]) == 5
    watchers.add("books", answer(6, 6, ok=False))
    assert watchers.held_for_s(both) == 0
    watchers.add("books", answer(7, 7, ok=True))
    assert watchers.held_for_s(["books"]) == 0
    assert watchers.held_for_s(both) == 0
    watchers.close()


def test_failing_tells_since_when_and_not_asked_is_not_failing(watchers: Watchers) -> None:
    assert watchers.failing("books") is None
    watchers.add("books", answer(0, 0.01, ok=True))
    assert watchers.failing("books") is None
    watchers.add("books", answer(1, 1.2, ok=False, detail="refused"))
    watchers.add("books", answer(2, 2.2, ok=False, detail="reset"))
    assert watchers.failing("books") == seen(1, 0.99)
    assert watchers.answers()["books"].detail == "reset"
    assert "answers" not in watchers.answers()
    watchers.close()


def test_every_sample_is_on_disk_with_the_detail_of_failures(watchers: Watchers, tmp_path: Path) -> None:
    strange = 'a "quoted", comma and\nbreak'
    watchers.add("books", answer(0, 0.5, ok=True, detail="status 201"))
    watchers.add("books", answer(1, 1.5, ok=False, detail=strange))
    watchers.flush()
    path = tmp_path / "samples" / "books.csv"
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["started_ns", "ended_ns", "ok", "detail"]
    zero = ZERO.mono_ns
    assert _read_samples(path) == (
        Sample(zero, zero + 500_000_000, True, ""),
        Sample(zero + 1_000_000_000, zero + 1_500_000_000, False, strange),
    )
    watchers.close()


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 49), st.booleans()), min_size=1, max_size=30))
def test_of_answers_in_a_row_the_state_is_the_last_run_of_equal_ones(
    steps: list[tuple[int, int, bool]],
) -> None:
    answers, at = [], 0.0
    for pause, took, ok in steps:
        at += pause
        answers.append(answer(at, at + took / 100, ok=ok))
    state = folded(*answers)
    run = len(answers)
    while run and answers[run - 1].ok == answers[-1].ok:
        run -= 1
    first = answers[run]
    assert state.ok is answers[-1].ok
    assert state.since is not None
    assert state.since.at == (first.ended if first.ok else first.started)
    if run:
        before = answers[run - 1]
        assert state.since.at - before.started >= state.since.resolution_s >= 0
