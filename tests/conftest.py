"""Where nothing may be skipped (CI sets GAMEDAY_NO_SKIP), a skipped test fails the session. And the browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from gameday.targets import ports

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

_EACH_S = 20.0
_LONGEST_S = 600.0


def pytest_configure(config: pytest.Config) -> None:
    """Each worker has ports of its own: what one has found and has not yet bound, or what is down just now, is free for
    all who look."""
    given = getattr(config, "workerinput", None)
    if given is not None:
        number = int(given["workerid"].removeprefix("gw"))
        each = len(ports.USUAL) // int(given["workercount"])
        lowest = ports.USUAL.start + number * each
        os.environ[ports.VARIABLE] = f"{lowest}-{lowest + each - 1}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several workers, what takes long begins first, so that none waits for another's last test of minutes."""
    if not getattr(config.option, "loadgroup", False) or not hasattr(config, "workerinput"):
        return
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(_keep_group(item), []).append(item)
    items[:] = [item for group in sorted(groups.values(), key=_may_take_s, reverse=True) for item in group]


def _keep_group(item: pytest.Item) -> str:
    """Keep `xdist_group` at work: xdist 3.8 writes a test's group where pytest 9.2 no longer looks, so that every test
    was a group of its own, and each worker brought up every environment. Returns the group, or the test itself."""
    mark = item.get_closest_marker("xdist_group")
    if mark is None:
        return item.nodeid
    if item.nodeid.rfind("@") <= item.nodeid.rfind("]"):
        item._id = type(item._id).parse(f"{item.nodeid}@{mark.args[0]}")
    return str(mark.args[0])


def _may_take_s(group: list[pytest.Item]) -> float:
    """By the longest time-out in it, up to a limit, and by how many there are. Only good for an order."""
    marks = [mark for item in group if (mark := item.get_closest_marker("timeout")) is not None]
    longest_s = max((float(mark.args[0]) for mark in marks), default=180.0)
    return min(longest_s, _LONGEST_S) + _EACH_S * len(group)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("GAMEDAY_NO_SKIP") or reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"GAMEDAY_NO_SKIP is set and {len(skipped)} tests were skipped", red=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Drills that passed only when repeated: what made the first one fail is worth a look."""
    reports = [
        report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])
    ]
    repeated = [text for report in reports for name, text in report.user_properties if name == "repeated"]
    if repeated:
        terminalreporter.section("repeated drills")
        for text in repeated:
            terminalreporter.write_line(text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("no chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield launched
        launched.close()
