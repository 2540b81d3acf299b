"""The embedded detector says what a real Prometheus says: both rules files, on the same scrapes, through a bad day."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import httpx
import pytest

from containers.parity import Both, Relay, differences, moments, prometheus, shortened, watch_both
from containers.parity_script import END_S, FIRE_IN_CORRECTED, FIRE_IN_ORIGINAL, IN_VAIN, BadDay
from gameday.detectors.base import AlertState
from gameday.targets.docker.engine import Engine
from process.hotel import Hotel
from process.inn import REPOSITORY

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("parity")]

RULES = REPOSITORY / "examples" / "hotel" / "rules"
FIRED = {"original": FIRE_IN_ORIGINAL, "corrected": FIRE_IN_CORRECTED}
WARM_UP_S = 4.0
# what reading either side's instants adds: one look at Prometheus, and a busy machine
READING_S = 0.15
TRIES = 3
SPEED = 10
"""Of the drill."""
LONGEST_WINDOW_S = 300
ALERT = "database_connection_failures"


def through_the_day(folder: Path, rules: Path, *, speed: float, interval_s: float) -> Both:
    """A day on which both had the same scrapes: on a machine that is too busy for that there is nothing to compare."""
    for _ in range(TRIES):
        both = _through_a_day(folder, rules, speed=speed, interval_s=interval_s)
        if both.saw_the_same():
            return both
    raise AssertionError(f"on none of {TRIES} days both had the same scrapes")


def _through_a_day(folder: Path, rules: Path, *, speed: float, interval_s: float) -> Both:
    day = BadDay()
    begins = time.monotonic() + 60  # until both watch it is a quiet morning

    def source() -> str | None:
        now = time.monotonic()
        return day.page((now - begins) * speed, now)

    async def body() -> None:
        nonlocal begins
        begins = time.monotonic() + WARM_UP_S
        await asyncio.sleep(WARM_UP_S + END_S / speed)

    relay = Relay(source)
    try:
        with prometheus(folder, shortened(rules.read_text(), speed), relay, interval_s) as url:
            return asyncio.run(
                watch_both(folder, rules, url, relay, interval_s=interval_s, speed=speed, body=body)
            )
    finally:
        relay.close()


def check(both: Both, fired: frozenset[str] | set[str], interval_s: float) -> None:
    assert differences(both, 2 * interval_s + READING_S) == []
    told = moments(both.prometheus)
    assert {name for name, state, _ in told if state is AlertState.FIRING} == fired
    in_vain = [state for name, state, _ in told if name == IN_VAIN]
    assert in_vain[:3] == [AlertState.PENDING, AlertState.INACTIVE, AlertState.PENDING]


@pytest.mark.timeout(500)
@pytest.mark.parametrize("rules", [pytest.param("original", marks=pytest.mark.long), "corrected"])
def test_both_say_the_same_of_a_bad_day(rules: str, tmp_path: Path, engine: Engine) -> None:
    """At a 15th of the time: `for` and windows divided by the loader here and in the file's text for Prometheus."""
    both = through_the_day(tmp_path, RULES / f"{rules}.yaml", speed=15, interval_s=1)
    check(both, FIRED[rules], 1)


@pytest.mark.long  # beside other tests the two seldom get the same scrapes
@pytest.mark.timeout(600)
def test_both_say_the_same_of_a_drill(tmp_path: Path, engine: Engine) -> None:
    """Of `database-down` against the hotel as processes, which the drill itself watches with a third detector."""
    with Hotel.standing() as hotel:
        hotel.become_calm(60)
        for number in range(TRIES):
            folder = tmp_path / str(number)
            original, corrected = asyncio.run(_through_a_drill(folder, hotel))
            if original.saw_the_same() and corrected.saw_the_same():
                break
        else:
            raise AssertionError(f"in none of {TRIES} drills both had the same scrapes")
        fired_s = [
            event["at"]["mono_ns"] / 1e9
            for event in hotel.events()
            if event["event"] == "alert.firing" and event["data"]["alert"] == ALERT
        ]
    for both in (original, corrected):
        assert differences(both, 2 + READING_S) == []
    told = [(state, at_s) for name, state, at_s in moments(corrected.prometheus) if name == ALERT]
    assert [state for state, _ in told] == [AlertState.PENDING, AlertState.FIRING, AlertState.INACTIVE]
    assert ALERT in {name for name, state, _ in moments(original.prometheus) if state is AlertState.FIRING}
    # the drill's own scrapes are others, so its errors are counted from another instant
    assert fired_s == [pytest.approx(told[1][1], abs=3)]


async def _through_a_drill(folder: Path, hotel: Hotel) -> list[Both]:
    """One drill, and both rules files watched by both meanwhile, until all is over in the longest window too."""
    url = f"{hotel.api()}/metrics"

    def source() -> str | None:
        try:
            return httpx.get(url, timeout=0.5, trust_env=False).text
        except httpx.HTTPError:
            return None

    over = asyncio.Event()
    with contextlib.ExitStack() as kept:
        watched = []
        for name in FIRED:
            place = folder / name
            place.mkdir(parents=True)
            relay = kept.enter_context(contextlib.closing(Relay(source)))
            rules = RULES / f"{name}.yaml"
            server = prometheus(place, shortened(rules.read_text(), SPEED), relay, 1)
            watched.append(
                asyncio.create_task(
                    watch_both(
                        *(place, rules, kept.enter_context(server), relay),
                        interval_s=1,
                        speed=SPEED,
                        body=over.wait,
                    )
                )
            )
        await asyncio.sleep(2 * WARM_UP_S)
        done = await asyncio.to_thread(hotel.drill, "--speed", f"{SPEED}")
        await asyncio.sleep(LONGEST_WINDOW_S / SPEED + WARM_UP_S)
        over.set()
        found = await asyncio.gather(*watched)
    assert done.code in (0, 1), done.stderr  # a verdict; whether it kept its budgets is not asked here
    return found


@pytest.mark.long
@pytest.mark.timeout(2000)
@pytest.mark.parametrize("rules", ["original", "corrected"])
def test_both_say_the_same_of_a_bad_day_at_the_rules_own_figures(
    rules: str, tmp_path: Path, engine: Engine
) -> None:
    both = through_the_day(tmp_path, RULES / f"{rules}.yaml", speed=1, interval_s=5)
    check(both, FIRED[rules], 5)
