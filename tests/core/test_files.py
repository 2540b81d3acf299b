"""Properties of reading files: whatever stands in one, it is understood or refused, and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from core.good_files import ENVIRONMENT, FAKE_ENVIRONMENT, SCENARIO
from gameday.environment import Environment, load_environment
from gameday.errors import InvalidFile, Problem
from gameday.experiment import compile_experiment, render, scenario_document
from gameday.fields import Misfit, exact_duration, format_duration, parse, parse_duration_s
from gameday.files import dotted, parse_yaml
from gameday.scenario import Scenario, load_scenario

WORDS = [
    *Scenario.model_fields,
    *Environment.model_fields,
    *(
        "kill",
        "pause",
        "signal",
        "http",
        "sql",
        "tcp",
        "state",
        "component",
        "every",
        "kind",
        "embedded",
        "fake",
    ),
    *(
        "10s",
        "0s",
        "15m",
        "SIGKILL",
        "database",
        "api",
        "process",
        "auto",
        "${key}",
        "1:30",
        "[key]",
        "~",
        "",
    ),
]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.binary(max_size=4),
    st.sampled_from(WORDS), st.text(max_size=8),
)  # fmt: skip
keys = st.one_of(st.sampled_from(WORDS), st.text(max_size=6), st.integers(), st.booleans())
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=6)),
    max_leaves=25,
)


def understood_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        for load in (load_scenario, load_environment):
            problems = refusal(load, path)
            lines = [problem.line for problem in problems]
            assert lines == sorted(lines)
            assert all(1 <= line <= len(text.splitlines()) + 2 for line in lines)
            assert all(len(problem.message) < 1000 for problem in problems)


def refusal(load: Callable[[Path], Any], path: Path) -> tuple[Problem, ...]:
    """The problems that `load` finds in the file; none when it understands it."""
    try:
        load(path)
    except InvalidFile as error:
        return error.problems
    return ()


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """`tree` with `value` in place of what stands at `path`."""
    if not path:
        return value
    if isinstance(tree, dict):
        return {key: put(inner, path[1:], value) if key == path[0] else inner for key, inner in tree.items()}
    return [put(inner, path[1:], value) if index == path[0] else inner for index, inner in enumerate(tree)]


def places(tree: Any) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [(), *((key, *rest) for key, value in inner for rest in places(value))]


@given(trees)
def test_any_data_is_understood_or_refused(tree: Any) -> None:
    understood_or_refused(yaml.safe_dump(tree, allow_unicode=True))


@given(st.data(), st.sampled_from([SCENARIO, ENVIRONMENT, FAKE_ENVIRONMENT]))
def test_a_good_file_with_anything_in_one_place_is_understood_or_refused(
    data: st.DataObject, text: str
) -> None:
    tree = yaml.safe_load(text)
    place = data.draw(st.sampled_from(places(tree)))
    understood_or_refused(yaml.safe_dump(put(tree, place, data.draw(trees)), sort_keys=False))


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>%@`'\"#,? \t\n\r\0\x85\u2028\ufeff01."), max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    understood_or_refused(text)


@given(st.data())
def test_a_file_cut_off_anywhere_is_understood_or_refused(data: st.DataObject) -> None:
    understood_or_refused(SCENARIO[: data.draw(st.integers(0, len(SCENARIO)))])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("100ms", 0.1), ("0.5s", 0.5), ("90s", 90.0), ("15m", 900.0), ("1h30m", 5400.0), ("1d", 86400.0),
     ("1w", 604800.0), ("1.5h", 5400.0), ("700ms", 0.7), ("0s", 0.0), ("1m1m", 120.0)],
)  # fmt: skip
def test_durations_are_read_exactly(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "100ms"), (0.0, "0s"), (1.0, "1s"), (90.0, "1m30s"), (900.0, "15m"), (5400.0, "1h30m"),
     (86400.0, "24h"), (1.5, "1.5s"), (1234567.5, "1234570s"), (1e-6, "0.001ms"),
     (-90.0, "-1m30s"), (128.5714285714, "128.571s"), (0.0015, "1.5ms")],
)  # fmt: skip
def test_durations_are_written_as_people_write_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=366 * 86400, allow_subnormal=False))
def test_a_duration_in_a_file_is_the_one_that_was_written(seconds: float) -> None:
    assert parse_duration_s(exact_duration(seconds)) == seconds


@given(st.integers(0, 366 * 86400))
def test_whole_seconds_come_back_from_the_short_form(seconds: int) -> None:
    assert parse_duration_s(format_duration(seconds)) == seconds


names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
durations = st.one_of(
    st.integers(1, 10**6).map(lambda ms: f"{ms}ms"), st.sampled_from(["10s", "3m", "1h30m", "0.1s", "1.25h"])
)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """Scenarios as they may stand in a file, optional fields now and then absent."""
    fault: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries(
                {"kill": names}, optional={"signal": st.sampled_from(["SIGTERM", "SIGKILL"])}
            ),
            st.fixed_dictionaries({"pause": names}),
        )
    )
    lists = st.lists(names, min_size=1, max_size=3)
    whole = st.fixed_dictionaries(
        {
            "scenario": names, "title": texts, "owner": texts, "tier": st.integers(1, 4),
            "severity": st.sampled_from(["SEV1", "SEV4"]), "hypothesis": texts, "steady_state": lists,
            "fault": st.just(fault), "impact": st.fixed_dictionaries({"probe": names, "fails_within": durations}),
            "expect": st.fixed_dictionaries(
                {"alert": st.just("it_is_down"), "fires_within": durations, "resolves_within": durations},
                optional={"also": st.just(["errors", "more.errors"])},
            ),
            "respond": st.fixed_dictionaries({"runbook": names}),
            "recovered": st.fixed_dictionaries(
                {"probes": lists, "stable_for": durations}, optional={"by": st.just(["self", "runbook"])}
            ),
            "objectives": st.fixed_dictionaries({"rto": durations}, optional={"rpo": durations}),
            "safety": st.fixed_dictionaries({"ttl": st.just("300h")}, optional={"max_targets": st.integers(1, 9)}),
        },
        optional={"tags": st.lists(names, max_size=2)},
    )  # fmt: skip
    drawn: dict[str, Any] = draw(whole)
    return drawn


@settings(max_examples=50)
@given(scenarios())
def test_a_scenario_comes_back_from_its_document_and_compiles_the_same_each_time(
    tree: dict[str, Any],
) -> None:
    scenario = parse(Scenario, tree)
    document = scenario_document(scenario)
    again = parse(Scenario, document)
    assert again == scenario
    assert scenario_document(again) == document
    assert document.keys() == tree.keys()
    assert render(compile_experiment(again)) == render(compile_experiment(scenario))
    dumped = parse_yaml(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), Path("x.yaml"))
    assert parse(Scenario, dumped.value) == scenario


def test_an_environment_comes_back_from_its_document(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(ENVIRONMENT)
    environment = load_environment(tmp_path / "demo.yaml")
    assert parse(Environment, environment.model_dump(mode="json", exclude_unset=True)) == environment


def test_speed_divides_budgets_and_objectives_and_leaves_the_proof_of_effect(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(SCENARIO)
    fast = load_scenario(tmp_path / "demo.yaml").at_speed(10)
    assert (fast.expect.fires_within, fast.expect.resolves_within) == (18, 60)
    assert (fast.objectives.rto, fast.objectives.rpo) == (90, 90)
    assert (fast.recovered.stable_for, fast.safety.ttl, fast.impact.fails_within) == (1, 120, 10)


def test_losing_nothing_is_an_objective_and_recovering_in_no_time_is_none(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(SCENARIO.replace("rpo: 15m", "rpo: 0s"))
    assert load_scenario(tmp_path / "demo.yaml").at_speed(10).objectives.rpo == 0
    (tmp_path / "demo.yaml").write_text(SCENARIO.replace("rto: 15m", "rto: 0s"))
    with pytest.raises(InvalidFile, match=r"objectives\.rto"):
        load_scenario(tmp_path / "demo.yaml")


def test_a_field_of_no_line_has_that_of_its_parent() -> None:
    document = parse_yaml("a:\n  b:\n  - x\n", Path("x.yaml"), first_line=7)
    assert document.lines == {(): 7, ("a",): 7, ("a", "b"): 8, ("a", "b", 0): 9}
    assert document.line(("a", "b", 5, "c")) == 8
    assert str(document.problem(("a", "b", 0), "no")) == "x.yaml:9: a.b[0]: no"
    assert dotted(("steps", 0, "do")) == "steps[0].do"


def test_a_misfit_names_each_field() -> None:
    assert str(Misfit((("a", 0), "no"), (("b",), "neither"))) == "a[0]: no; b: neither"
