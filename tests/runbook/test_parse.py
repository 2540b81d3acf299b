"""Runbooks as people write them, right and wrong: values, messages, and the line to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.errors import InvalidFile
from gameday.runbook.actions import VERBS, Command, Question, Restore, Start
from gameday.runbook.model import MAX_PROSE, MAX_STEPS, SECTIONS
from gameday.runbook.parse import load_runbook, parse_runbook
from runbook.documents import FRONT, PATH, document, runbook, step

START = step("Start it", "do: {start: database}\nbudget: 2m\ncheck: {probe: answers, within: 30s}")


def complaints(text: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        parse_runbook(text, PATH)
    return [str(problem).removeprefix(f"{PATH}:") for problem in caught.value.problems]


def complaint(text: str) -> str:
    found = complaints(text)
    assert len(found) == 1, found
    return found[0]


def resolution(content: str) -> str:
    return document(resolution_steps=content)


def line_of(text: str, what: str) -> int:
    lines = text.split("\n")
    assert lines.count(what) == 1
    return lines.index(what) + 1


def test_every_field_of_a_step_is_read() -> None:
    block = (
        "do: {start: database}\nbudget: 2m\ncheck: {probe: answers, within: 30s}\n"
        "otherwise: Restore it\nmitigation: fix-forward"
    )
    restore = step("Restore it", "do: {restore: database}\nbudget: 1h30m\nthen: Tell them")
    tell = step("Tell them", 'ask: "Told?"\nbudget: 1m')
    text = resolution(step("Start *it* `now`", block, "One.\n\nTwo.") + "Three.\n" + restore + tell)
    found = parse_runbook(text, PATH)
    first, second, third = found.steps
    assert (found.name, found.title, found.alerts) == ("demo", "Demo", ("it_is_down",))
    assert (found.severity, found.rto_s) == ("HIGH", 900.0)
    assert [section.title for section in found.sections] == list(SECTIONS)
    assert first.heading == "Start it now"
    assert first.line == line_of(text, "### Start *it* `now`")
    assert first.text == "One.\n\nTwo.\n\nThree."
    assert first.action == Start(start="database")
    assert (first.kind, first.component, first.budget_s) == ("operation", "database", 120.0)
    assert first.check is not None
    assert (first.check.probe, first.check.within) == ("answers", 30.0)
    assert (first.otherwise, first.mitigation) == ("Restore it", "fix-forward")
    assert first.line_of("check", "within") == line_of(text, "check: {probe: answers, within: 30s}")
    assert second.action == Restore(restore="database")
    assert (second.describe(), dict(second.action.arguments)) == ("restore database", {"to": "latest"})
    assert (second.budget_s, second.then) == (5400.0, "Tell them")
    assert third.action == Question(text="Told?")
    assert third in found.manual_steps


def test_commands_and_checks_alone_are_steps_too() -> None:
    command = step("See", "run: {component: database, command: [df, -h, 'a b']}\nbudget: 10s")
    found = runbook(
        investigation=command, validation=step("Answers", "check: {probe: p, within: 1s}\nbudget: 9s")
    )
    see, answers = found.steps
    assert see.action == Command(component="database", command=("df", "-h", "a b"))
    assert (see.kind, see.component, see.describe()) == ("command", "database", "run df -h 'a b' on database")
    assert (answers.kind, answers.action, answers.describe()) == ("check", None, "check p")


NEEDED = {"request": ", http: POST /mode"}


@pytest.mark.parametrize("verb", VERBS)
def test_each_operation_says_its_verb_and_component(verb: str) -> None:
    block = f"do: {{{verb}: some-thing{NEEDED.get(verb, '')}}}\nbudget: 1s"
    (found,) = runbook(resolution_steps=step("X", block)).steps
    said = {"request": "request POST /mode of some-thing"}
    assert found.describe() == said.get(verb, f"{verb} some-thing")
    assert found.component == "some-thing"
    assert found.may_change == (verb not in {"status", "logs"})


def test_the_main_path_leaves_out_what_others_lead_to() -> None:
    found = runbook(
        validation=step("V", "check: {probe: p, within: 1s}\nbudget: 1s"),
        resolution_steps=(
            step("Fallback", "do: {restore: a}\nbudget: 1s\nthen: after FALLBACK")
            + step("R1", "do: {start: a}\nbudget: 1s\notherwise: fallback")
            + step("R2", "do: {start: b}\nbudget: 1s")
            + step("After fallback", "do: {start: c}\nbudget: 1s")
        ),
        investigation=step("I", "do: {status: a}\nbudget: 1s"),
        immediate_actions=step("A", "do: {stop: a}\nbudget: 1s"),
    )
    assert [each.heading for each in found.main_path] == ["A", "I", "R1", "R2", "V"]


def test_headings_without_a_block_are_prose_and_comments_are_not_there() -> None:
    content = "### Just words\nText.\n<!--\n" + START.replace("\n\n", "\n") + "-->\n```bash\necho step\n```\n"
    assert runbook(resolution_steps=content).steps == ()


@pytest.mark.parametrize(
    "text",
    [document(resolution_steps=START).replace("\n", "\r\n"), "\ufeff" + document(resolution_steps=START)],
)
def test_windows_line_ends_and_a_byte_order_mark_change_nothing(text: str) -> None:
    (found,) = parse_runbook(text, PATH).steps
    assert found == runbook(resolution_steps=START).steps[0]


def test_long_prose_is_cut() -> None:
    (found,) = runbook(resolution_steps=step("X", "do: {start: a}\nbudget: 1s", "word " * 2000)).steps
    assert len(found.text) == MAX_PROSE
    assert found.text.endswith("…")


def with_block(block: str, heading: str = "X") -> str:
    return resolution(step(heading, block))


ONE_VERB = (
    "expected exactly one of start, stop, restart, kill, pause, resume, restore, rollback, reconnect, uncordon, "
    "disconnect, reclaim, request, status, logs;"
)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            "do: {start: a}\nbudget: 2",
            "24: budget: 2 is not a duration; expected a number with a unit such as 100ms, 30s, 15m or 1h30m",
        ),
        ("do: {start: a}\nbudget: 0s", "24: budget: '0s' is not longer than zero"),
        ("do: {start: a}", "23: budget: is required and absent"),
        (
            "budget: 1s\ndo: {launch: a}",
            f"24: do: {ONE_VERB} found launch",
        ),
        (
            "budget: 1s\ndo: {start: a, stop: a}",
            f"24: do: {ONE_VERB} found start and stop",
        ),
        (
            "budget: 1s\ndo: start",
            f"24: do: {ONE_VERB} found 'start'",
        ),
        ("budget: 1s\ndo:\n  start: a\n  force: true", "26: do.force: unknown field; known here: start"),
        (
            "budget: 1s\ndo: {start: My DB}",
            "24: do.start: 'My DB' is not a name; expected lower-case letters, digits and hyphens",
        ),
        (
            "budget: 1s\ndo: {start: a}\nask: Now?",
            "23: expected one of do, run, ask; found do and ask",
        ),
        ("budget: 1s", "23: expected one of do, run, ask, or a check alone; found none of them"),
        ("budget: 1s\nrun: {component: a, command: []}", "24: run.command: must have at least one entry"),
        ("budget: 1s\ncheck: {probe: p}", "24: check.within: is required and absent"),
        (
            "budget: 1s\ndo: {start: a}\notherwize: Y",
            "25: otherwize: unknown field; did you mean 'otherwise'? known here: do, run, ask, budget",
        ),
        (
            "budget: 1s\ndo: {start: a}\nmitigation: luck",
            "25: mitigation: 'luck' is not allowed; expected 'rollback', 'failover'",
        ),
        ("budget: 1s\nbudget: 2s", "24: budget: stands twice; first on line 23"),
        ("do: {start: a", "23: not valid YAML"),
        ("", "22: the step is empty; expected one of do, run, ask or check, and a budget"),
        ("- do", "23: expected a mapping of fields, found a list"),
    ],
)
def test_a_wrong_block_is_told_with_its_line_in_the_markdown_file(block: str, expected: str) -> None:
    assert complaint(with_block(block)).startswith(expected)


FENCE = "```yaml step\ndo: {start: a}\nbudget: 1s\n```\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Demo\n", "1: expected '---' and a block with alerts, severity and rto before everything else"),
        ("", "1: expected '---' and a block with alerts, severity and rto before everything else"),
        ("---\nrto: 1m\n# Demo\n", "1: the block that '---' begins is not closed by another '---'"),
        ("---\n---\n# Demo\n", "1: an empty block; expected alerts, severity and rto"),
        (
            document(front=FRONT.replace("HIGH", "SEV1")),
            "3: severity: 'SEV1' is not allowed; expected 'CRITICAL'",
        ),
        (document(front=FRONT.replace("# Demo\n", "")), "1: no title; expected one heading such as"),
        (FRONT + "# Again\n", "7: a second title beside 'Demo'; sections begin with '##'"),
        (FRONT + "##\n", "7: a heading without text"),
        (FRONT + "## Symptoms\n## symptoms\n", "8: section 'Symptoms' stands twice; first on line 7"),
        (FRONT + "## Validation\n" + FENCE, "8: a step without a heading; expected '### '"),
        (
            FRONT + "## Resolution Steps\n### A\n" + FENCE + FENCE,
            "13: a second block in one step; the first is on",
        ),
        (
            FRONT + "## Symptoms\n### A\n" + FENCE,
            "9: never executed in 'Symptoms'; steps belong to Immediate",
        ),
        (FRONT + "## Own\n### A\n" + FENCE, "9: never executed in 'Own'; steps belong to Immediate Actions"),
        (
            FRONT + "## Resolution Steps\n### A\n```yml step\n```\n",
            "9: unknown block 'yml step'; expected 'yaml st",
        ),
        (
            FRONT + "## Resolution Steps\n### A\n```step\n```\n",
            "9: unknown block 'step'; expected 'yaml step'",
        ),
        (
            FRONT + "## Resolution Steps\n### A\n- x\n\n  ```yaml step\n  do: {start: a}\n  ```\n",
            "11: a step inside a list or a quotation; expected it at the left margin",
        ),
        (
            FRONT + "## Detection\n```bash\nls\n## Validation\n",
            "8: the block is not closed; expected a line ```",
        ),
        (
            FRONT + "## Resolution Steps\n" + step("A b", "do: {stop: a}\nbudget: 1s") * 2,
            "16: step 'A b' stands twice; first on line 8",
        ),
        (
            FRONT + "## Validation\n### A\n" + FENCE,
            "10: do: 'start a' changes something; Validation takes status, logs, a check",
        ),
        (
            FRONT + "## Investigation\n### A\n" + FENCE,
            "10: do: 'start a' changes something; Investigation takes status, logs, a check",
        ),
        (
            FRONT + "## Validation\n### A\n" + FENCE.replace("start", "status"),
            "8: check: 'A' checks nothing; steps of Validation do",
        ),
    ],
)
def test_a_wrong_document_is_told_with_its_line(text: str, expected: str) -> None:
    assert complaint(text).startswith(expected)


def test_a_circle_is_refused_whatever_it_is_made_of() -> None:
    content = (
        step("A", "do: {start: a}\nbudget: 1s\notherwise: B")
        + step("B", "do: {start: b}\nbudget: 1s\nthen: c")
        + step("C", "do: {start: c}\nbudget: 1s\notherwise: B")
        + step("Self", "do: {start: d}\nbudget: 1s\notherwise: self")
    )
    assert complaints(FRONT + "## Resolution Steps\n" + content) == [
        "33: otherwise: goes in a circle: B -> C -> B",
        "42: otherwise: goes in a circle: Self -> Self",
    ]


def test_two_steps_may_share_a_fallback() -> None:
    content = "".join(step(name, "do: {start: a}\nbudget: 1s\notherwise: F") for name in "AB")
    found = runbook(resolution_steps=content + step("F", "do: {restore: a}\nbudget: 1s"))
    assert [each.heading for each in found.main_path] == ["A", "B"]


def test_all_problems_of_a_file_are_told_at_once_in_order() -> None:
    text = document(
        front=FRONT.replace("rto: 15m\n", ""),
        immediate_actions=step("A", "budget: 1s"),
        resolution_steps=step("B", "do: {start: a}"),
    )
    assert [found.split(":")[0] for found in complaints(text)] == ["2", "18", "28"]


def test_too_many_steps_and_too_large_files_are_refused(tmp_path: Path) -> None:
    many = "".join(step(f"S{n}", "do: {start: a}\nbudget: 1s") for n in range(MAX_STEPS + 1))
    assert complaint(resolution(many)) == f"1: more than {MAX_STEPS} steps"
    large = tmp_path / "large.md"
    large.write_text(FRONT + "x" * 1_100_000)
    with pytest.raises(InvalidFile, match="at most 1048576 are read"):
        load_runbook(large)
    with pytest.raises(InvalidFile, match="is a folder; expected a Markdown file"):
        load_runbook(tmp_path)
    with pytest.raises(InvalidFile, match="cannot be read: No such file"):
        load_runbook(tmp_path / "absent.md")
