"""Incidents as whole commands: a drill that fails is one, whatever becomes of its record."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from gameday.commands.files import schema
from history.shop import SCENARIO, gameday, write_project

ROOT = Path(__file__).parents[2]
FAILS = SCENARIO.replace("scenario: instant", "scenario: fails").replace(
    "stable_for: 10ms}", "stable_for: 10ms, by: [self]}"
)
"""It fails: the runbook restores it, and only by itself is allowed."""
pytestmark = pytest.mark.xdist_group("incident-cli")  # one project for all that only read


@dataclass(frozen=True)
class Shop:
    """A project, the drill that failed in it, and the incident that this is."""

    root: Path
    done: subprocess.CompletedProcess[str]
    drill: str
    number: str
    folder: Path


def write(root: Path) -> Path:
    write_project(root)
    (root / "scenarios/fails.yaml").write_text(FAILS)
    return root


def drill(root: Path, scenario: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return gameday(root, "run", scenario, "-e", "fake", "--yes", **variables)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    root = write(tmp_path_factory.mktemp("shop"))
    done = drill(root, "fails")
    (evidence,) = (root / "reports").glob("*/timeline.jsonl")
    (record,) = (root / "reports/incidents").glob("*/incident.json")
    return Shop(root, done, evidence.parent.name, record.parent.name, record.parent)


def test_before_any_incident(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    listed = gameday(tmp_path, "incident", "list")
    assert (listed.returncode, listed.stdout.count("\n")) == (0, 1)
    shown = gameday(tmp_path, "incident", "show")
    assert shown.returncode == 2
    assert "'latest': none of the 0 incidents" in shown.stderr
    assert not (tmp_path / "reports").exists()


def test_a_drill_that_passes_is_no_incident_until_somebody_wants_it(tmp_path: Path) -> None:
    root = write(tmp_path / "shop")
    done = drill(root, "instant")
    assert (done.returncode, "incident" in done.stderr) == (0, False)
    report = gameday(root, "incident", "report")
    assert report.returncode == 0
    assert "PASS" in report.stdout
    assert "Incident: none. Only a drill that failed becomes one" in report.stdout
    created = gameday(root, "incident", "create", "latest", "--affected-tenants", "12", "-o", "json")
    assert json.loads(created.stdout)["incident"]["affected_tenants"] == 12
    (one,) = json.loads(gameday(root, "incident", "list", "-o", "json").stdout)
    assert one["response"]["verdict"] == "PASS"


def test_a_drill_that_fails_is_an_incident_and_keeps_its_exit_code(shop: Shop) -> None:
    assert shop.done.returncode == 1
    record = json.loads((shop.folder / "incident.json").read_text())
    assert record["incident_id"] == shop.number
    jsonschema.validate(record, schema("incident"))
    assert f"incident: {shop.number} ({record['severity']}): {shop.folder}\n" in shop.done.stderr
    shown = gameday(shop.root, "incident", "show", "--record")
    assert json.loads(shown.stdout) == record


def test_judging_it_again_makes_no_other(shop: Shop) -> None:
    before = gameday(shop.root, "incident", "list").stdout
    judged = gameday(shop.root, "judge", shop.drill)
    assert (judged.returncode, "incident: " in judged.stderr) == (1, False)
    created = gameday(shop.root, "incident", "create", shop.drill)
    assert created.returncode == 0
    assert f"{shop.drill} is {shop.number} already" in created.stderr
    assert gameday(shop.root, "incident", "list").stdout == before


def test_drills_that_failed_elsewhere_become_incidents_once(shop: Shop, tmp_path: Path) -> None:
    """As those of a cluster, whose pods keep no records: the evidence is in a database, and nowhere else."""
    history = f"sqlite:///{tmp_path}/team.sqlite"
    there = write(tmp_path / "there")
    for scenario in ("fails", "instant", "fails"):
        drill(there, scenario, GAMEDAY_HISTORY_URL=history)
    shutil.rmtree(there / "reports")
    here = write(tmp_path / "here")
    (here / "reports").mkdir()

    words = ("incident", "create", "--failed", "--history", history)
    old = gameday(here, *words, "--since", "2099-01-01", "-o", "json")
    assert (old.returncode, json.loads(old.stdout)) == (0, [])
    assert not (here / "reports/incidents").exists()
    made = gameday(here, *words, "-o", "json")
    assert made.returncode == 0, made.stderr
    assert "2 drills failed; 0 were incidents already, 2 are now" in made.stderr
    both = json.loads(made.stdout)
    assert [one["incident"]["incident_id"][-3:] for one in both] == ["001", "002"]
    assert both[0]["response"]["drill"] < both[1]["response"]["drill"], "the oldest first"
    again = gameday(here, *words)
    assert (again.returncode, again.stdout.count("INC-")) == (0, 0)
    assert "2 were incidents already, 0 are now" in again.stderr
    drafted = gameday(here, "incident", "post-mortem", "--title", "Both", GAMEDAY_HISTORY_URL=history)
    assert drafted.returncode == 0, drafted.stderr


def test_a_failed_drill_whose_evidence_is_gone_is_named_and_the_others_are_made(tmp_path: Path) -> None:
    root = write(tmp_path / "shop")
    for _ in range(2):
        drill(root, "fails")
    first, _ = sorted(path.parent for path in (root / "reports").glob("*/timeline.jsonl"))
    shutil.rmtree(first)
    shutil.rmtree(root / "reports/incidents")
    done = gameday(root, "incident", "create", "--failed")
    assert (done.returncode, done.stdout.count("INC-")) == (3, 1)
    assert f"warning: no incident record of {first.name}: " in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a drill, or say --failed"),
        (("latest", "--failed"), "--failed takes every drill that failed"),
        (("--failed", "--affected-tenants", "3"), "--failed takes every drill that failed"),
        (("latest", "--since", "1d"), "--since goes with --failed"),
    ],
)
def test_a_drill_or_all_that_failed(shop: Shop, words: tuple[str, ...], said: str) -> None:
    done = gameday(shop.root, "incident", "create", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_the_report_has_the_drill_and_its_incident(shop: Shop) -> None:
    done = gameday(shop.root, "incident", "report")
    assert done.returncode == 0
    assert (
        done.stdout.index("Checks") < done.stdout.index(f"\n{shop.number}") < done.stdout.index("Lifecycle")
    )
    both = json.loads(gameday(shop.root, "incident", "report", shop.drill, "-o", "json").stdout)
    assert both["drill"]["verdict"] == "FAIL"
    assert both["incident"]["response"]["drill"] == both["drill"]["drill"] == shop.drill


def test_the_rebuilt_history_takes_no_incident_for_a_drill(shop: Shop) -> None:
    done = gameday(shop.root, "history", "rebuild")
    assert (done.returncode, done.stdout) == (0, "1 of 1 drills indexed\n")


@pytest.mark.parametrize("broken", ["a file in the way", "a folder that cannot be written"])
def test_a_record_that_cannot_be_written_changes_no_verdict(shop: Shop, tmp_path: Path, broken: str) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    if broken == "a file in the way":
        (reports / "incidents").write_text("")
    else:
        (reports / "incidents").symlink_to("/proc/nowhere")
    done = drill(shop.root, "fails", GAMEDAY_REPORTS=str(reports))
    assert done.returncode == 1
    assert "warning: no incident record: " in done.stderr
    assert "`gameday incident create " in done.stderr
    assert (
        gameday(shop.root, "history", "-o", "json", GAMEDAY_REPORTS=str(reports)).stdout.count('"FAIL"') == 1
    )


def test_the_draft_of_a_post_mortem_is_written_once(shop: Shop) -> None:
    done = gameday(shop.root, "incident", "post-mortem", shop.number)
    path = Path(done.stdout.strip())
    assert done.returncode == 0, done.stderr
    assert path == shop.root / f"docs/post-mortems/{shop.number}-nothing-takes-time-drill.md"
    assert path.read_text().startswith(f"# Post-mortem {shop.number}: ")
    shown = json.loads(gameday(shop.root, "incident", "show", shop.number, "-o", "json").stdout)
    assert shown["response"]["lifecycle"][-1]["at"] is not None
    path.write_text("edited")
    again = gameday(shop.root, "incident", "post-mortem", shop.number)
    assert (again.returncode, path.read_text()) == (2, "edited")
    assert "--again writes it anew" in again.stderr
    assert gameday(shop.root, "incident", "post-mortem", shop.number, "--again").returncode == 0
    assert path.read_text() != "edited"


def test_its_links_lead_to_the_evidence(shop: Shop) -> None:
    words = ("incident", "post-mortem", shop.drill, "--title", "Links", "--to", str(shop.root / "deep/er"))
    text = Path(gameday(shop.root, *words).stdout.strip()).read_text()
    (link,) = [line for line in text.splitlines() if line.startswith("- [The drill's report]")]
    target = link.partition("](")[2].rstrip(")")
    assert (shop.root / "deep/er" / target).resolve() == shop.root / "reports" / shop.drill / "report.html"
    assert (shop.root / "deep/er" / target).exists()


def test_make_passes_what_it_is_given(shop: Shop) -> None:
    words = ("incident", "post-mortem", "--to", str(shop.root / "made"))
    given = {"GAMEDAY_INCIDENT": shop.number, "GAMEDAY_TITLE": 'It\'s "quoted"; $(x)'}
    made = gameday(shop.root, *words, **given)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip().endswith("-001-it-s-quoted-x.md")
    empty = gameday(shop.root, *words, GAMEDAY_INCIDENT="", GAMEDAY_TITLE="")
    assert empty.stdout.strip().endswith("-001-nothing-takes-time-drill.md")


def test_on_a_terminal_it_asks_for_the_incident_and_its_title(shop: Shop) -> None:
    main, other = pty.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("GAMEDAY_")}
    command = [sys.executable, "-m", "gameday", "incident", "post-mortem", "--to", str(shop.root / "asked")]
    process = subprocess.Popen(
        command, cwd=shop.root, env=env, stdin=other, stdout=subprocess.PIPE, stderr=other
    )
    os.close(other)
    told = b""
    for question, answer in ((b"Incident ID [latest]: ", b"001\n"), (b"Incident title [", b"Asked for\n")):
        until = time.monotonic() + 60
        while question not in told and time.monotonic() < until:
            if select.select([main], [], [], 1)[0]:
                told += os.read(main, 4096)
        assert question in told
        os.write(main, answer)
    out, _ = process.communicate(timeout=60)
    os.close(main)
    assert process.returncode == 0
    assert out.decode().strip().endswith("-001-asked-for.md")


def test_evidence_that_is_gone_is_said(shop: Shop, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    assert drill(shop.root, "fails", GAMEDAY_REPORTS=str(reports)).returncode == 1
    (folder,) = [path.parent for path in reports.glob("*/timeline.jsonl")]
    folder.rename(tmp_path / "elsewhere")
    shown = gameday(shop.root, "incident", "show", GAMEDAY_REPORTS=str(reports))
    assert (shown.returncode, f"Drill:  {folder.name} (gone)\n" in shown.stdout) == (0, True)
    drafted = gameday(shop.root, "incident", "post-mortem", "--title", "Gone", GAMEDAY_REPORTS=str(reports))
    assert drafted.returncode == 2
    assert "none of the 0 drills" in drafted.stderr


def test_what_people_did_is_written_down_and_counted(tmp_path: Path) -> None:
    root = write(tmp_path / "shop")
    assert drill(root, "fails").returncode == 1
    for wrong, says in (
        (("log", "latest", "tell-customers", "--at", "soon"), "--at 'soon': expected a day"),
        (("log", "latest", "tell-customers", "--at", "2020-01-01"), "before anything was known"),
        (("log", "latest", "review", "--severity", "SEV-1"), "belongs to `classify`"),
        (("log", "latest", "resolve"), "'resolve' is not one of"),
        (("done", "latest", "99"), "no action item 99; there are 1 to"),
    ):
        refused = gameday(root, "incident", *wrong)
        assert refused.returncode == 2
        assert says in " ".join(refused.stderr.split())
    (folder,) = (root / "reports/incidents").glob("INC-*")
    assert json.loads((folder / "response.json").read_text())["log"] == []
    said = ("--by", "Ana", "--severity", "SEV-3", "--note", "by phone", "-o", "json")
    logged = gameday(root, "incident", "log", "latest", "classify", *said)
    (entry,) = json.loads(logged.stdout)["response"]["log"]
    assert (entry["what"], entry["by"], entry["severity"], entry["note"]) == (
        "classify", "Ana", "SEV-3", "by phone",
    )  # fmt: skip
    shown = gameday(root, "incident", "show").stdout
    assert f"{entry['at'][:19]}" in shown
    assert "classify as SEV-3, by Ana: by phone" in shown
    listed = gameday(root, "incident", "actions").stdout.splitlines()
    assert listed[1].split("\t")[:2] == [folder.name, "1"]
    assert gameday(root, "incident", "actions", "--overdue").stdout.count("\n") == 1
    done = gameday(root, "incident", "done", folder.name, "1", "--by", "Bo")
    assert (done.returncode, "by Bo)" in done.stdout) == (0, True)
    assert gameday(root, "incident", "actions").stdout.splitlines() == [listed[0], *listed[2:]]
    left = json.loads(gameday(root, "incident", "actions", "-o", "json").stdout)
    assert len(left) == len(listed) - 2


def test_the_table_of_severities_names_the_source_of_every_entry() -> None:
    done = gameday(ROOT, "incident", "severities")
    assert done.returncode == 0
    entries = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert len(entries) > 80
    assert all(line.endswith("]") for line in entries)
    table = json.loads(gameday(ROOT, "incident", "severities", "-o", "json").stdout)
    assert [len(rank["levels"]) for rank in table] == [5, 5, 5, 4]
