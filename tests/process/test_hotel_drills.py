"""Every shipped scenario against the hotel as shipped, three times: as it is, with a runbook that does nothing, and
with a fault that breaks nothing the scenario is about.

Generated from `scenarios/`: a new file takes part in all three, once `SHIPPED` says what its drill must show.
"""

from __future__ import annotations

import csv
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from gameday.runbook.parse import load_runbook
from gameday.scenario import load_scenario
from process.inn import REPOSITORY, Inn

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("hotel")]

SPEED = "10"
IN_VAIN = "20"
"""Where a drill waits for what cannot come, it waits half as long."""

BYSTANDER = """
  bystander:
    command: ["${python}", -m, hotel.whatsapp]
    directory: examples/hotel
    env: {HOST: 127.0.0.1, PORT: "${port}"}
    ready: {http: /health/live}
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the drill of a scenario must show: the step that restores the service, and probes that go on meanwhile."""

    step: str
    unharmed: tuple[str, ...] = ()


SHIPPED = {
    "api-hangs": Shown("Restart the API", unharmed=("database-answers",)),
    "database-down": Shown("Start PostgreSQL again"),
    "redis-down": Shown("Start the cache again", unharmed=("bookings", "availability")),
    "service-down": Shown("Start the API again", unharmed=("database-answers",)),
}


class Hotel(Inn):
    """A project with copies of everything shipped, so that a test can change one file. Its environment has one
    component more, which nobody asks anything."""

    environment: ClassVar[str] = "hotel-local"

    def write_all(self) -> None:
        for folder in ("scenarios", "runbooks"):
            shutil.copytree(REPOSITORY / folder, self.root / folder, dirs_exist_ok=True)
        shipped = (REPOSITORY / "environments" / "hotel-local.yaml").read_text(encoding="utf-8")
        before, word, after = shipped.partition("\ncomponents:")
        self.write("environments/hotel-local.yaml", before + word + BYSTANDER + after)
        examples = self.root / "examples"
        if not examples.exists():
            examples.symlink_to(REPOSITORY / "examples")

    def let_the_runbook_do_nothing(self, scenario: str) -> None:
        """Its steps look where they acted; their checks stay and find out."""
        path = self.root / "runbooks" / f"{self._scenario(scenario)['respond']['runbook']}.md"
        text = path.read_text(encoding="utf-8")
        path.write_text(
            re.sub(r"(?m)^do: \{\w+: ([a-z-]+).*\}$", r"do: {status: \1}", text), encoding="utf-8"
        )
        assert not any(step.may_change for step in load_runbook(path).steps)

    def disarm(self, scenario: str) -> None:
        """The fault is as real as before and hits the bystander. The scenario's own impact probe, which goes on
        asking what it always asked, must notice that nothing broke."""
        document = self._scenario(scenario)
        verb = load_scenario(self.root / "scenarios" / f"{scenario}.yaml").fault.verb
        document["fault"][verb] = "bystander"
        document["impact"]["fails_within"] = "2s"  # not divided by the speed: it is no budget but a proof
        self.write(f"scenarios/{scenario}.yaml", yaml.safe_dump(document))

    def _scenario(self, name: str) -> dict[str, Any]:
        text = (self.root / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8")
        return dict(yaml.safe_load(text))

    def share_answered(self, probe: str) -> float:
        """The share of good samples of a probe from the effect to the runbook, in the latest drill."""
        begin, end = self._when("fault.effective"), self._when("runbook.started")
        with (self.latest() / "samples" / f"{probe}.csv").open(encoding="utf-8", newline="") as file:
            good = [
                row["ok"] == "1" for row in csv.DictReader(file) if begin <= int(row["started_ns"]) <= end
            ]
        return sum(good) / len(good)

    def _when(self, kind: str) -> int:
        return int(next(event["at"]["mono_ns"] for event in self.events() if event["event"] == kind))

    def happened(self, kind: str) -> bool:
        return any(event["event"] == kind for event in self.events())


@pytest.fixture(scope="module")
def _hotel() -> Iterator[Hotel]:
    root = Path(tempfile.mkdtemp(prefix="gameday-hotel-")).resolve()
    root.chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
    hotel = Hotel(root)
    up = hotel.gameday("env", "up", "hotel-local")
    assert up.code == 0, up.stderr
    yield hotel
    down = hotel.gameday("env", "down", "hotel-local")
    assert down.code == 0, down.stderr
    assert not hotel.drill_processes()
    shutil.rmtree(root)


@pytest.fixture
def hotel(_hotel: Hotel) -> Iterator[Hotel]:
    """The hotel with all its files as shipped and everything running."""
    _hotel.write_all()
    yield _hotel
    assert _hotel.left_behind() == []


def test_every_shipped_scenario_is_drilled_here() -> None:
    assert set(SHIPPED) == {path.stem for path in (REPOSITORY / "scenarios").glob("*.yaml")}


@pytest.mark.parametrize("scenario", SHIPPED)
def test_a_shipped_drill_passes_and_its_runbook_restored_the_service(hotel: Hotel, scenario: str) -> None:
    done = hotel.drill("--speed", SPEED, scenario=scenario)

    assert done.code == 0, done.stdout + done.stderr
    verdict = hotel.verdict()
    assert verdict["verdict"] == "PASS"
    assert set(hotel.checks().values()) == {"met"}
    assert verdict["unexpected_alerts"] == []
    (restored,) = [check["detail"] for check in verdict["checks"] if check["name"] == "restored_by"]
    assert restored == f"by runbook, step '{SHIPPED[scenario].step}'"
    for probe in SHIPPED[scenario].unharmed:
        # on a busy machine some answer comes late; a probe that the fault harms answers none
        assert hotel.share_answered(probe) > 0.5, probe


@pytest.mark.parametrize("scenario", SHIPPED)
def test_a_shipped_drill_fails_when_its_runbook_does_nothing(hotel: Hotel, scenario: str) -> None:
    hotel.let_the_runbook_do_nothing(scenario)

    done = hotel.drill("--speed", IN_VAIN, scenario=scenario)

    assert done.code == 1, done.stdout + done.stderr
    checks = hotel.checks()
    assert checks["effective"] == checks["detected"] == "met"
    assert checks["runbook"] == "missed"
    assert hotel.verdict()["restored_by"] == "undo"


@pytest.mark.parametrize("scenario", SHIPPED)
def test_a_shipped_drill_proves_nothing_when_its_fault_is_disarmed(hotel: Hotel, scenario: str) -> None:
    hotel.disarm(scenario)

    done = hotel.drill("--speed", IN_VAIN, scenario=scenario)

    assert done.code == 3, done.stdout + done.stderr
    assert hotel.verdict()["verdict"] == "INCONCLUSIVE"
    assert hotel.checks()["effective"] == "unknown"
    assert hotel.checks()["undone"] == "met"
    assert hotel.happened("fault.injected"), "a fault that was never applied would be another test"
    assert not hotel.happened("runbook.started")
