"""What others do to the system while it is drilled: containers removed or paused, Prometheus stopped, alerts silenced,
a second drill."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.watched import WatchedTavern
from gameday.targets.docker.engine import Engine
from process.inn import standing_still, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240), pytest.mark.xdist_group("tavern-watched")]


@pytest.fixture(scope="module")
def standing(engine: Engine) -> Iterator[WatchedTavern]:
    del engine
    with WatchedTavern.standing() as tavern:
        yield tavern


@pytest.fixture
def tavern(standing: WatchedTavern) -> Iterator[WatchedTavern]:
    """Quiet, with everything running, whatever an earlier test has stopped."""
    standing.write_all()
    for name in ("cellar", "bar", "prometheus", "alertmanager"):
        standing.world.client.containers.get(standing.name(name)).start()
    until(standing.is_quiet, 60, "no alert is active")
    recovered = standing.gameday("recover")  # a drill whose bystander was gone counts as not put back
    assert recovered.code == 0, recovered.stdout + recovered.stderr
    yield standing
    assert not standing.helpers()


def ended(runner: subprocess.Popen[str]) -> str:
    output, _ = runner.communicate(timeout=120)
    return output


def test_a_drill_watched_by_prometheus_passes(tavern: WatchedTavern) -> None:
    before = tavern.seen()

    done = tavern.drill()

    assert done.code == 0, done.stdout + done.stderr
    assert tavern.verdict()["restored_by"] == "runbook"
    assert tavern.left_behind() == []
    assert tavern.seen() == before


def test_without_its_fault_the_drill_proves_nothing(tavern: WatchedTavern) -> None:
    done = tavern.drill("--disarmed")

    assert done.code == 3, done.stdout + done.stderr
    assert tavern.checks()["effective"] == "unknown"


def test_a_container_that_somebody_removes_is_made_again_by_the_runbook(tavern: WatchedTavern) -> None:
    known = tavern.folders()
    silence = tavern.silence("NoDrinks")  # nothing is detected, so no runbook begins, before it is gone
    try:
        runner = tavern.start_drill()
        assert tavern.wait_for("fault.effective", runner, known)
        tavern.world.client.containers.get(tavern.name("cellar")).remove(force=True)
    finally:
        tavern.expire(silence)

    output = ended(runner)
    assert runner.returncode == 0, output
    assert "made again" in output
    assert tavern.inspect("cellar")["State"]["Running"]
    assert tavern.left_behind() == []


def test_a_bystander_that_somebody_removes_is_told_and_not_passed_over(tavern: WatchedTavern) -> None:
    """Gameday did not change it, so it does not put it back; what is not as before is said."""
    known = tavern.folders()
    runner = tavern.start_drill()
    folder = tavern.wait_for("runbook.ended", runner, known)
    assert folder

    tavern.world.client.containers.get(tavern.name("alertmanager")).stop()

    output = ended(runner)
    assert runner.returncode == 5, output
    assert "alertmanager is down" in output


def test_a_paused_container_is_resumed_by_the_undo(tavern: WatchedTavern) -> None:
    text = (tavern.root / "scenarios" / "cellar-down.yaml").read_text(encoding="utf-8")
    tavern.write("scenarios/cellar-down.yaml", text.replace("{kill: cellar}", "{pause: cellar}"))
    tavern.write("runbooks/cellar.md", RESUME)

    done = tavern.drill()

    assert done.code == 0, done.stdout + done.stderr
    assert tavern.verdict()["restored_by"] == "runbook"
    assert not tavern.inspect("cellar")["State"]["Paused"]


def test_a_pause_that_no_runbook_ends_is_ended_by_the_undo(tavern: WatchedTavern) -> None:
    text = (tavern.root / "scenarios" / "cellar-down.yaml").read_text(encoding="utf-8")
    tavern.write("scenarios/cellar-down.yaml", text.replace("{kill: cellar}", "{pause: cellar}"))
    tavern.write("runbooks/cellar.md", RESUME.replace("resume:", "status:").replace("10s}", "1s}"))

    done = tavern.drill()

    assert done.code == 1, done.stdout + done.stderr
    assert tavern.verdict()["restored_by"] == "undo"
    assert not tavern.inspect("cellar")["State"]["Paused"]
    assert tavern.left_behind() == []


RESUME = """---
alerts: [NoDrinks]
severity: CRITICAL
rto: 15m
---
# Cellar frozen

## Resolution Steps

### Let the cellar go on

It is frozen; thaw it.

```yaml step
do: {resume: cellar}
budget: 20s
check: {probe: cellar-answers, within: 10s}
```
"""


def test_a_prometheus_that_is_stopped_makes_the_drill_inconclusive(tavern: WatchedTavern) -> None:
    known = tavern.folders()
    runner = tavern.start_drill()
    assert tavern.wait_for("fault.injecting", runner, known)

    prometheus = tavern.world.client.containers.get(tavern.name("prometheus"))
    prometheus.kill()
    assert tavern.wait_for("detect.ended", runner, known)
    prometheus.start()  # what stays down is something that was not put back, whoever has stopped it

    output = ended(runner)
    verdict = tavern.verdict()
    assert verdict["verdict"] == "INCONCLUSIVE", output
    assert tavern.checks()["detected"] == "unknown"
    assert runner.returncode == 3, output


def test_a_silenced_alert_was_not_detected_and_the_report_says_why(tavern: WatchedTavern) -> None:
    silence = tavern.silence("NoDrinks")
    try:
        done = tavern.drill()
    finally:
        tavern.expire(silence)

    assert done.code == 1, done.stdout + done.stderr
    assert tavern.checks()["detected"] == "missed"
    reasons = " ".join(tavern.verdict()["reasons"])
    assert "silenced" in reasons
    assert "anna" in reasons
    assert "silenced" in (tavern.latest() / "report.md").read_text(encoding="utf-8")


def test_a_second_drill_of_one_environment_is_refused_and_told_who_drills(
    tavern: WatchedTavern, tmp_path: Path
) -> None:
    known = tavern.folders()
    runner = tavern.start_drill()
    folder = tavern.wait_for("preflight.checked", runner, known)
    assert folder is not None
    with standing_still(runner):
        from_here = tavern.gameday("run", "cellar-down", "-e", "tavern", "--yes")
        (tmp_path / "elsewhere").mkdir()
        elsewhere = WatchedTavernElsewhere(tmp_path / "elsewhere", tavern)
        from_elsewhere = elsewhere.drill()

    output = ended(runner)
    assert "ABORTED" not in output
    assert tavern.left_behind() == []
    assert from_here.code == 3, from_here.stdout + from_here.stderr
    assert folder.name in from_here.stdout + from_here.stderr
    assert f"pid {runner.pid}" in from_here.stdout + from_here.stderr
    assert from_elsewhere.code == 3, from_elsewhere.stdout + from_elsewhere.stderr
    assert folder.name in from_elsewhere.stdout + from_elsewhere.stderr
    assert "since" in from_elsewhere.stdout + from_elsewhere.stderr


class WatchedTavernElsewhere(WatchedTavern):
    """Another checkout of the same containers: nothing is started for it."""

    def __init__(self, root: Path, first: WatchedTavern) -> None:
        self.world, self.urls = first.world, first.urls
        self.root, self.reports = root, root / "reports"
        for folder in ("environments", "scenarios", "runbooks"):
            (root / folder).mkdir()
        self.write_all()
