"""Each finding, provoked once in an otherwise sound set of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gameday.runbook.lint import CODES, AlertRule, Finding, lint
from gameday.runbook.model import Runbook
from gameday.runbook.parse import parse_runbook
from gameday.scenario import load_scenario
from runbook.documents import PATH, document, step

ROOT = Path(__file__).parents[2]
RULES = Path("rules.yaml")
START = "do: {start: database}\nbudget: 2m\ncheck: {probe: answers, within: 30s}"
CHECK = "budget: 1m\ncheck: {probe: answers, within: 30s}"
LOOK = "do: {status: database}\nbudget: 1m"
SOUND = document(
    investigation=step("Look", LOOK),
    resolution_steps=step("Start", START + "\notherwise: Restore")
    + step("Restore", START.replace("start", "restore")),
    validation=step("Valid", CHECK),
)
ALERT = AlertRule("it_is_down", None, RULES, 7)


def found_in(
    text: str = SOUND,
    *,
    alerts: tuple[AlertRule, ...] = (ALERT,),
    drilled: str = "demo",
) -> list[Finding]:
    scenario = load_scenario(ROOT / "scenarios" / "database-down.yaml")
    respond = scenario.respond.model_copy(update={"runbook": drilled})
    return lint(
        [parsed(text)],
        environment_components=("database", "api"),
        probes=("answers",),
        alerts=alerts,
        scenarios=[scenario.model_copy(update={"respond": respond})],
    )


def parsed(text: str) -> Runbook:
    return parse_runbook(text, PATH)


def changed(old: str, new: str) -> str:
    assert SOUND.count(old) == 1
    return SOUND.replace(old, new)


def test_a_sound_runbook_has_no_findings() -> None:
    assert found_in() == []


ONE_EACH = {
    "RB001": changed("## Post-Incident\nWords.\n", ""),
    "RB002": changed("## Symptoms\nWords.\n", "").replace("## Impact", "## Symptoms\n## Impact"),
    "RB003": changed("## Validation", "## Thoughts\n## Validation"),
    "RB004": changed(
        "do: {restore: database}\nbudget: 2m\ncheck: {probe: answers, within: 30s}",
        "do: {stop: api}\nbudget: 1m",
    ),
    "RB005": changed(
        "budget: 2m\ncheck: {probe: answers, within: 30s}\notherwise",
        "budget: 14m\ncheck: {probe: answers, within: 1m}\notherwise",
    ),
    "RB006": changed("{restore: database}", "{restore: queue}"),
    "RB007": SOUND.replace("## Validation", "## Validation\n" + step("Odd", CHECK.replace("answers", "odd"))),
    "RB008": changed("## Validation", step("Next", START + "\notherwise: Nowhere") + "## Validation"),
    "RB010": changed("### Valid\n\nDo this.\n", "### Valid\n"),
    "RB011": changed(
        "budget: 1m\ncheck: {probe: answers, within: 30s}", "budget: 1m\ncheck: {probe: answers, within: 61s}"
    ),
    "RB017": changed(START + "\notherwise: Restore", CHECK + "\notherwise: Restore"),
}


@pytest.mark.parametrize("code", ONE_EACH)
def test_one_flaw_is_one_finding(code: str) -> None:
    assert [finding.code for finding in found_in(ONE_EACH[code])] == [code]


def test_findings_cite_the_line_of_the_field() -> None:
    text = ONE_EACH["RB005"]
    (finding,) = found_in(text)
    assert str(finding) == (
        "runbooks/demo.md:4: RB005 error: the main path's budgets add up to 16m, the RTO is 15m: "
        "Look 1m, Start 14m, Valid 1m"
    )
    (finding,) = found_in(ONE_EACH["RB008"])
    assert ONE_EACH["RB008"].split("\n")[finding.line - 1] == "otherwise: Nowhere"
    (finding,) = found_in(ONE_EACH["RB006"])
    assert finding.message == "no component 'queue'; components here: database, api"


def test_a_fallback_of_investigation_is_never_followed_so_its_target_is_never_reached() -> None:
    text = SOUND.replace(LOOK, LOOK + "\notherwise: Lost").replace(
        "## Validation", step("Lost", START) + "## Validation"
    )
    assert [finding.code for finding in found_in(text)] == ["RB016", "RB009"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("runbooks/demo.md", []),
        ("https://git.example.org/team/runbooks/demo.md#symptoms", []),
        ("runbooks/other.md", ["RB013"]),
    ],
)
def test_the_annotation_must_lead_to_a_runbook(url: str, expected: list[str]) -> None:
    alert = AlertRule("it_is_down", url, RULES, 7)
    assert [finding.code for finding in found_in(alerts=(alert,))] == expected


def test_alerts_and_runbooks_must_know_each_other() -> None:
    orphan = AlertRule("nobody_cares", None, RULES, 9)
    assert [str(finding) for finding in found_in(alerts=(ALERT, orphan))] == [
        "rules.yaml:9: RB012 error: nobody_cares: no runbook lists it and it has no annotation runbook_url"
    ]
    disagreeing = AlertRule("other", "runbooks/demo.md", RULES, 9)
    assert [finding.code for finding in found_in(alerts=(ALERT, disagreeing))] == ["RB018"]
    assert [(finding.code, finding.line) for finding in found_in(alerts=())] == [("RB015", 2)]


def test_a_runbook_that_nobody_drills_is_found() -> None:
    assert [finding.code for finding in found_in(drilled="another")] == ["RB014"]


def test_what_is_not_known_is_not_checked() -> None:
    text = document(resolution_steps=step("X", "do: {start: q}\nbudget: 1m\ncheck: {probe: r, within: 1s}"))
    assert lint([parsed(text)], environment_components=None, probes=None, alerts=None, scenarios=None) == []


def test_the_page_lists_every_code_with_its_severity() -> None:
    page = (ROOT / "docs" / "runbooks.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| RB")]
    assert rows == [f"| {code} | {severity} | {what} |" for code, (severity, what) in CODES.items()]
