"""Each fault against a target made of nothing: what it does, what puts it back, and what it refuses beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from core.abilities import AbleTarget
from core.worlds import fake_target
from gameday import faults
from gameday.errors import TargetError, UsageError
from gameday.fault_spec import AnyFault, Fault
from gameday.journal import Undo
from gameday.targets.base import Running
from gameday.undo import revert

TTL_S = 90.0
FAULT: TypeAdapter[AnyFault] = TypeAdapter(Fault)


def fault(text: str) -> AnyFault:
    """A fault as a scenario writes it."""
    return FAULT.validate_python(yaml.safe_load(text))


def built(text: str, target: AbleTarget) -> faults.Fault:
    return faults.build(fault(text), target, TTL_S)


def undo(operation: str, component: str, **arguments: Any) -> Undo:
    return Undo(operation, component, arguments)


NO_SWITCH = (
    "burn 1 cores in database: database has no switch; its component in the environment needs `switch: /path` and a "
    "program that implements it (docs/faults.md)"
)


@pytest.fixture
def target(tmp_path: Path) -> AbleTarget:
    return AbleTarget.at(tmp_path)


EVERY = [
    ("{kill: api, signal: SIGTERM}", "kill api with SIGTERM", undo("start", "api")),
    ("{pause: api}", "pause api", undo("resume", "api")),
    (
        "{partition: database}",
        "partition everybody to database (blackhole)",
        undo("heal", "database", client=None, name="gameday-partition"),
    ),
    (
        "{partition: database, client: api, how: refuse}",
        "partition api to database (refuse)",
        undo("heal", "database", client="api", name="gameday-partition"),
    ),
    (
        "{partition: database, dns: cut}",
        "partition everybody to database (blackhole, names cut too)",
        undo("heal", "database", client=None, name="gameday-partition"),
    ),
    ("{drain: api}", "drain the nodes of api", undo("uncordon", "api", nodes=["below-api"])),
    (
        "{delay: database, client: api, by: 1500ms, jitter: 200ms}",
        "delay api to database by 1.5s ± 200ms",
        undo("heal", "database", client="api", name="gameday-delay"),
    ),
    (
        "{delay: database, by: 1s}",
        "delay everybody to database by 1s",
        undo("heal", "database", client=None, name="gameday-delay"),
    ),
    (
        "{throttle: database, bytes_per_s: 64kB}",
        "throttle everybody to database to 64000 bytes a second",
        undo("heal", "database", client=None, name="gameday-throttle"),
    ),
    (
        "{lose: database, client: api, percent: 30}",
        "lose 30 % from api to database",
        undo("heal", "database", client="api", name="gameday-lose"),
    ),
    (
        "{degrade: api, mode: slow, by: 3s, percent: 20}",
        "degrade api: slow 3s for 20 %",
        undo("request", "api", http="DELETE /mode"),
    ),
    (
        "{leak: api, bytes_per_s: 64MiB, up_to_bytes: 2GiB}",
        "leak 67108864 bytes a second in api, up to 2147483648",
        undo("request", "api", http="DELETE /mode"),
    ),
    ("{burn: api, threads: 2}", "burn 2 cores in api", undo("request", "api", http="DELETE /mode")),
    (
        "{flood: api, lines_per_s: 500, lines: 90000}",
        "flood the log of api: 500 lines a second, 90000 in all",
        undo("request", "api", http="DELETE /mode"),
    ),
    ("{fill: api}", "fill the disk of api", undo("unfill", "api")),
    ("{exhaust: database}", "take every connection of database", undo("detach", "database", kind="exhaust")),
    ("{flush: cache, every: 500ms}", "flush cache every 500ms", undo("detach", "cache", kind="flush")),
    ("{destroy: database}", "destroy the data of database", undo("restore", "database")),
    (
        "{deploy: api, version: broken}",
        "deploy version broken of api",
        undo("deploy", "api", version=""),
    ),
]


@pytest.mark.parametrize(("text", "words", "reverse"), EVERY, ids=[text for text, _, _ in EVERY])
def test_a_fault_says_what_it_does_and_knows_its_reverse_before_it_touches_anything(
    target: AbleTarget, text: str, words: str, reverse: Undo
) -> None:
    part = built(text, target)
    assert (part.describe(), part.prepare()) == (words, reverse)
    assert part.component == reverse.component
    assert target.does.calls == [], "preparing touches nothing"
    assert {found.running for found in target.status().values()} == {Running.UP}


@pytest.mark.parametrize("text", [text for text, _, _ in EVERY])
def test_a_fault_and_its_undo_leave_nothing_and_undoing_again_is_no_error(
    target: AbleTarget, text: str
) -> None:
    part = built(text, target)
    reverse = Undo.from_json(part.prepare().to_json())  # as it comes back from disk
    part.apply()
    assert in_force(target)
    for _ in range(2):
        revert(reverse, target)
        assert not in_force(target)


def in_force(target: AbleTarget) -> bool:
    """Whether anything is other than it was."""
    does = target.does
    down = any(found.running is not Running.UP for found in target.status().values())
    deployed = any(versions[-1] for versions in does.versions.values())
    return bool(down or deployed or does.impaired or does.modes or does.full or does.clients or does.cordoned)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("{degrade: api, mode: errors, percent: 25}", {"mode": "errors", "share": 0.25}),
        ("{degrade: api, mode: timeout}", {"mode": "timeout", "share": 1.0}),
        (
            "{degrade: api, mode: slow, by: 1500ms, percent: 50}",
            {"mode": "slow", "share": 0.5, "delay_s": 1.5},
        ),
        ("{degrade: api, mode: bad-payload}", {"mode": "bad-payload", "share": 1.0}),
        ("{degrade: api, mode: unauthorized}", {"mode": "unauthorized", "share": 1.0}),
        ("{degrade: api, mode: rate-limited}", {"mode": "rate-limited", "share": 1.0}),
        ("{degrade: api, mode: no-receipts}", {"mode": "no-receipts"}),
        ("{degrade: api, mode: breaker-stuck}", {"mode": "breaker-stuck"}),
        (
            "{leak: api, bytes_per_s: 1MiB, up_to_bytes: 4GiB}",
            {"mode": "memory-leak", "bytes_per_s": 1048576, "up_to_bytes": 4294967296},
        ),
        ("{burn: api}", {"mode": "cpu-burn", "threads": 1}),
        (
            "{flood: api, lines_per_s: 500, lines: 90000}",
            {"mode": "log-flood", "lines_per_s": 500, "lines": 90000},
        ),
    ],
)
def test_a_switch_is_told_its_mode_and_settings_and_when_to_end_by_itself(
    target: AbleTarget, text: str, settings: Mapping[str, Any]
) -> None:
    assert built(text, target).apply() == "200 OK"
    assert target.does.calls == [("request", "api", "PUT /mode", {**settings, "ttl_s": TTL_S})]


def test_what_ends_by_itself_is_told_after_which_time(target: AbleTarget) -> None:
    built("{lose: database, client: api, percent: 30}", target).apply()
    built("{flush: cache, every: 500ms}", target).apply()
    built("{exhaust: database}", target).apply()
    assert ("impair", "database", "api", "gameday-lose", TTL_S) in target.does.calls
    assert target.does.clients == {
        ("cache", "flush"): {"every_s": 0.5, "ttl_s": TTL_S},
        ("database", "exhaust"): {"ttl_s": TTL_S},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{partition: cache}",
            "no path to cache can be impaired; the environment has no link to it",
        ),
        (
            "{burn: database}",
            NO_SWITCH,
        ),
        ("{fill: database}", "database has no disk of its own"),
        ("{exhaust: cache}", "cache cannot be troubled by a client that would exhaust it"),
        ("{flush: database, every: 1s}", "database cannot be troubled by a client that would flush it"),
        ("{destroy: cache}", "cache has no backup"),
        ("{deploy: api, version: nightly}", "api has no version 'nightly'; versions there: broken"),
    ],
)
def test_what_an_environment_cannot_have_is_refused_before_anything_is_touched(
    target: AbleTarget, text: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        built(text, target).prepare()
    assert str(caught.value) == message
    assert target.does.calls == []


UNABLE = [text for text, _, _ in EVERY if not text.startswith(("{kill", "{pause"))]


@pytest.mark.parametrize("text", UNABLE)
def test_a_target_that_cannot_do_it_says_so_and_to_what(tmp_path: Path, text: str) -> None:
    wanted = fault(text)
    with pytest.raises(UsageError) as caught:
        faults.build(wanted, fake_target(tmp_path), TTL_S)
    assert str(caught.value) == f"{wanted.verb} {wanted.component}: target fake cannot do that"


def test_a_fault_that_could_not_be_applied_says_why(target: AbleTarget) -> None:
    target.does.refuses = "PUT /mode of api: 403 Forbidden"
    with pytest.raises(TargetError, match="PUT /mode of api: 403 Forbidden"):
        built("{burn: api}", target).apply()


def test_a_deployment_is_undone_to_the_version_that_was_there(target: AbleTarget) -> None:
    target.does.versions["api"] = ["", "blue"]
    part = built("{deploy: api, version: broken}", target)
    reverse = part.prepare()
    assert reverse.arguments == {"version": "blue"}
    part.apply()
    assert target.status()["api"].running is Running.DOWN
    revert(reverse, target)
    assert (target.version("api"), target.status()["api"].running) == ("blue", Running.UP)


@given(st.lists(st.sampled_from([text for text, _, _ in EVERY]), max_size=6))
def test_whatever_strikes_together_is_undone_last_in_first_out(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    target = AbleTarget.at(tmp_path_factory.mktemp("able"))
    undos = []
    for text in texts:
        part = built(text, target)
        undos.append(part.prepare())
        part.apply()
    for reverse in reversed(undos):
        revert(reverse, target)
    assert not in_force(target)


def test_a_share_is_of_what_runs_when_the_fault_is_built(target: AbleTarget) -> None:
    assert built("{kill: api, percent: 50}", target).describe() == "kill 1 of api with SIGKILL"


def test_a_share_beside_a_count_is_refused() -> None:
    with pytest.raises(ValueError, match="stands beside count"):
        fault("{kill: api, count: 1, percent: 50}")
