"""The canary: which acknowledged records are missing, and how old the oldest of them is."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timelines import ZERO
from gameday.canary import Account, CanaryWriter, account
from gameday.clock import Instant
from gameday.environment import Canary
from gameday.fields import parse
from gameday.probes import Answer
from gameday.targets.base import Address

LOOKED_UP = "looked up in the database"


def records(**acknowledged_s: float) -> dict[str, Instant]:
    """Keys with the seconds, counted from the fault, at which they were acknowledged."""
    return {key: ZERO.plus(at_s) for key, at_s in acknowledged_s.items()}


@pytest.mark.parametrize(
    ("acknowledged", "found", "expected"),
    [
        pytest.param(
            records(a=-2, b=-1), {"a", "b"}, Account(True, 2, 0, None, 0.0, LOOKED_UP), id="nothing-lost"
        ),
        pytest.param(
            records(a=-3, b=-2, c=-1), {"a", "c"}, Account(True, 3, 1, 2.0, 0.2, LOOKED_UP), id="one-lost"
        ),
        pytest.param(
            records(a=-1, b=-90.5, c=-30),
            {"a"},
            Account(True, 3, 2, 90.5, 0.2, LOOKED_UP),
            id="the-oldest-counts",
        ),
        pytest.param(records(a=-2), set(), Account(True, 1, 1, 2.0, 0.2, LOOKED_UP), id="all-lost"),
        pytest.param(
            records(a=-1, b=5),
            {"a"},
            Account(True, 2, 1, 0.0, 0.2, LOOKED_UP),
            id="lost-after-the-fault-has-no-age",
        ),
        pytest.param(
            records(a=-4, b=5), set(), Account(True, 2, 2, 4.0, 0.2, LOOKED_UP), id="lost-before-and-after"
        ),
        pytest.param(
            records(a=-1),
            {"a", "never-acknowledged"},
            Account(True, 1, 0, None, 0.0, LOOKED_UP),
            id="more-than-was-told",
        ),
        pytest.param(
            {}, {"x"}, Account(False, 0, 0, None, 0.2, "no record was acknowledged"), id="nothing-written"
        ),
    ],
)
def test_what_is_missing_is_counted_and_dated(
    acknowledged: dict[str, Instant], found: set[str], expected: Account
) -> None:
    assert account(acknowledged, found, ZERO, 0.2) == expected


@given(
    st.dictionaries(st.text(max_size=3), st.integers(-1000, 1000), min_size=1, max_size=20),
    st.sets(st.text(max_size=3), max_size=20),
)
def test_finding_more_never_makes_the_loss_greater(acknowledged_s: dict[str, int], found: set[str]) -> None:
    acknowledged = {key: ZERO.plus(at_s) for key, at_s in acknowledged_s.items()}
    fewer, more = account(acknowledged, set(), ZERO, 0.1), account(acknowledged, found, ZERO, 0.1)
    assert fewer.missing == len(acknowledged)
    assert more.missing == len(acknowledged.keys() - found)
    assert (more.oldest_missing_s or 0.0) <= (fewer.oldest_missing_s or 0.0)
    assert (more.oldest_missing_s is None) == (more.missing == 0)


def canary(port: int) -> CanaryWriter:
    settings = {
        "write": {"http": "POST /bookings", "component": "api", "body": {"id": "${key}"}, "every": "200ms"},
        "find": {"component": "database", "sql": "select id from bookings", "timeout": "300ms"},
    }
    url = f"postgresql://hotel@127.0.0.1:{port}/hotel"
    addresses = {"api": Address("127.0.0.1", port, f"http://127.0.0.1:{port}")}
    addresses["database"] = Address("127.0.0.1", port, url)
    return CanaryWriter(parse(Canary, settings), addresses, "gameday-a1-")


def test_only_acknowledged_records_count_and_a_database_that_is_gone_is_no_loss(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there

        async def go() -> Account:
            writer = canary(closed.getsockname()[1])
            for key, ok in (("a", True), ("b", False), ("c", True)):
                writer._add(Answer(ZERO, ZERO.plus(1), ok, "", key))
            assert writer.acknowledged == {"a": ZERO.plus(1), "c": ZERO.plus(1)}
            found = await writer.account(ZERO)
            await writer.stop()
            return found

        found = asyncio.run(go())
    assert (found.ok, found.acknowledged, found.missing, found.oldest_missing_s) == (False, 2, 0, None)
    assert found.detail.startswith("could not be looked up: OperationalError: ")
