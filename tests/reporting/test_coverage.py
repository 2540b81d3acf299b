"""The coverage matrix as documents."""

from __future__ import annotations

import io
import json

from gameday.coverage import (
    AlertOutcome,
    AlertTally,
    Coverage,
    DrillTally,
    RuleFact,
    RunbookFact,
    ScenarioFact,
    matrix,
)
from gameday.reporting.coverage import print_coverage, to_html, to_json, to_markdown

HOSTILE = "<script>alert(1)</script>|\x1b[2J"


def covered(name: str = "down") -> Coverage:
    return matrix(
        environment="hotel-local",
        rules_file="rules.yaml",
        rules=[RuleFact(name, "01-down"), RuleFact("slow", None)],
        scenarios=[ScenarioFact("kill", name, "01-down"), ScenarioFact("lag", "slow", "02-slow")],
        runbooks=[RunbookFact("01-down"), RunbookFact("02-slow")],
        alerts=[
            AlertTally("kill", name, AlertOutcome.FIRED, 2),
            AlertTally("kill", name, AlertOutcome.MISSED, 1),
        ],
        drills=[DrillTally("kill", "01-down", 4, 3, 2, 4)],
        other_rules=1,
    )


def test_every_form_says_what_the_figures_rest_on_and_what_was_not_measured() -> None:
    stream = io.StringIO()
    print_coverage(covered(), stream)
    for text in (stream.getvalue(), to_markdown(covered()), to_html(covered())):
        for words in (
            "67 % (2 of 3)",
            "not measured",
            "3 drills say something of alerts",
            "4 of all drills were rehearsals",
            "1 drills were refused, without effect or broken off",
            "1 drills were judged by other rules",
            "Rules without a runbook",
            "Scenarios that were never run",
        ):
            assert words in text


def test_json_has_counts_beside_shares_and_null_where_nothing_was_measured() -> None:
    value = json.loads(to_json(covered()))
    down, slow = value["rules"]
    assert (down["true_positives"], down["false_negatives"], down["recall"]) == (2, 1, 2 / 3)
    assert (slow["recall"], slow["precision"], slow["standing"]) == (None, None, "never run")
    assert value["scenarios_never_run"] == ["lag"]
    assert value["drills"] == {"counted": 3, "left_out": 1, "rehearsals": 4, "other_rules": 1}


def test_names_are_text_and_never_markup() -> None:
    page, text = to_html(covered(HOSTILE)), to_markdown(covered(HOSTILE))
    assert "<script>" not in page + text
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page + text
    assert all(line.count("|") - line.count("\\|") in (0, 4, 10) for line in text.splitlines())


def test_the_page_is_self_contained() -> None:
    page = to_html(covered())
    assert "default-src 'none'" in page
    for word in ("<script", '<link rel="stylesheet', "http://", "https://", "@import", "url(http"):
        assert word not in page
