"""The second system: what docs/your-own-service.md says is what stands in examples/shop, and it works."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from gameday.targets.docker.engine import Engine
from process.inn import REPOSITORY, Inn

SHOP = REPOSITORY / "examples" / "shop"
on_the_engine = [pytest.mark.docker, pytest.mark.timeout(300), pytest.mark.xdist_group("docker-shop")]


class Shop(Inn):
    """A copy of the example, as somebody who follows the page has it."""

    environment: ClassVar[str] = f"shop@{uuid.uuid4().hex[:6]}"
    drill_timeout_s: ClassVar[float] = 200.0

    def write_all(self) -> None:
        shutil.copytree(SHOP, self.root, dirs_exist_ok=True)

    def gameday(self, *arguments: str, timeout_s: float = 240.0) -> object:
        return super().gameday(*arguments, timeout_s=max(timeout_s, 240.0))


@pytest.fixture(scope="module")
def shop(engine: Engine) -> Iterator[Shop]:
    del engine
    with Shop.standing() as shop:
        yield shop


@pytest.mark.parametrize(
    ("scenario", "step"),
    [
        pytest.param("carts-down", "Start the carts", marks=on_the_engine),
        pytest.param("replica-down", "Start the API", marks=on_the_engine),
    ],
)
def test_a_drill_of_the_shop_passes(shop: Shop, scenario: str, step: str) -> None:
    done = shop.drill(scenario=scenario)

    assert done.code == 0, done.stdout + done.stderr
    assert shop.verdict()["restored_by"] == "runbook"
    (restored,) = [check["detail"] for check in shop.verdict()["checks"] if check["name"] == "restored_by"]
    assert restored == f"by runbook, step '{step}'"
    assert shop.left_behind() == []


@pytest.mark.parametrize("scenario", [pytest.param("replica-down", marks=on_the_engine)])
def test_a_drill_of_the_shop_proves_nothing_without_its_fault(shop: Shop, scenario: str) -> None:
    done = shop.drill("--disarmed", scenario=scenario)

    assert done.code == 3, done.stdout + done.stderr
    assert shop.checks()["effective"] == "unknown"
    assert shop.left_behind() == []


def test_the_page_shows_the_files_as_they_are() -> None:
    page = (REPOSITORY / "docs" / "your-own-service.md").read_text(encoding="utf-8")
    shown = re.findall(r"(?ms)^```yaml\n(.*?)^```", page)
    environment, scenario = (text for text in shown if text.startswith(("environment:", "scenario:")))
    assert environment == _without_comments(SHOP / "environments" / "shop.yaml")
    assert scenario == (SHOP / "scenarios" / "carts-down.yaml").read_text(encoding="utf-8")


def _without_comments(path: Path) -> str:
    """Without the comment at its head."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines[next(number for number, line in enumerate(lines) if not line.startswith("#")) :])
