"""Settings say what is wrong with them; an outage does not flood the log."""

from __future__ import annotations

import io
import json

import pytest

from hotel.load import parse_mix, parse_plan
from hotel.logs import EventLog, LogLevel
from hotel.settings import ApiSettings, Environ, SettingError


def test_every_setting_has_a_default() -> None:
    settings = ApiSettings.read({})
    assert settings.admin_token is None
    assert settings.pms.breaker_recovery_s == 10.0
    assert settings.database.pool_max == 20
    assert settings.faults is False
    assert settings.disk is None
    assert settings.whatsapp.receipts is False
    assert settings.cache.metrics is True


def test_a_small_pool_limits_the_minimum_too() -> None:
    assert ApiSettings.read({"DATABASE_POOL_MAX": "1"}).database.pool_min == 1


def test_the_breaker_can_be_told_to_stay_open() -> None:
    assert ApiSettings.read({"PMS_BREAKER_STAYS_OPEN": "true"}).pms.breaker_recovery_s is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("PORT", "70000", "a whole number from 1 to 65535"),
        ("PMS_TIMEOUT_S", "0", "a number from 0.05 to 60"),
        ("PMS_TIMEOUT_S", "nan", "a number from 0.05 to 60"),
        ("DATABASE_POOL_MAX", "2.5", "a whole number from 1 to 500"),
        ("DATABASE_POOL_MIN", "21", "a whole number from 0 to 20"),
        ("PMS_BREAKER_STAYS_OPEN", "perhaps", "true or false"),
        ("FAULTS", "perhaps", "true or false"),
        ("PMS_MODE", "later", "normal or queue"),
        ("NOTIFICATION_CHANNEL", "pigeon", "whatsapp or desk"),
        ("LOG_LEVEL", "debug", "info or warning"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError) as caught:
        ApiSettings.read({name: value})
    assert str(caught.value) == f"{name}={value!r}: expected {expected}"


@pytest.mark.parametrize("mix", ["read", "read=x", "swim=1", "read=0", "read=-1,create=2", "read=nan"])
def test_a_wrong_mix_is_refused(mix: str) -> None:
    with pytest.raises(SettingError):
        parse_mix(mix)


def test_repeated_trouble_is_written_once_per_interval_with_the_number_left_out() -> None:
    stream, now = io.StringIO(), [0.0]
    log = EventLog("api", stream=stream, interval_s=10.0, clock=lambda: now[0])
    for _ in range(500):
        log.trouble("database-unavailable", ConnectionError("refused"))
    log.trouble("cache-unavailable", "gone")
    now[0] = 10.0
    log.trouble("database-unavailable", ConnectionError("refused"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["left_out"]) for line in lines] == [
        ("database-unavailable", 0),
        ("cache-unavailable", 0),
        ("database-unavailable", 499),
    ]
    assert lines[0]["error"] == "ConnectionError: refused"


def test_a_raised_level_leaves_out_what_is_below_it_and_only_written_lines_are_counted() -> None:
    stream, written = io.StringIO(), [0]

    def count() -> None:
        written[0] += 1

    log = EventLog("api", stream=stream)
    log.on_line = count
    log.event("started")
    log.level = LogLevel.WARNING
    log.event("started")
    log.event("fault-began", at_level=LogLevel.WARNING)
    log.trouble("cache-unavailable", "gone")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("started", "info"),
        ("fault-began", "warning"),
        ("cache-unavailable", "warning"),
    ]
    assert written == [3]


@pytest.mark.parametrize("share", ["1.1", "-0.1", "some"])
def test_a_wrong_share_of_confirmed_bookings_is_refused(share: str) -> None:
    with pytest.raises(SettingError, match="from 0 to 1"):
        parse_plan([], Environ({"CONFIRM_SHARE": share}))


def test_an_option_wins_over_the_environment() -> None:
    plan = parse_plan(["--confirm-share", "0.5"], Environ({"CONFIRM_SHARE": "0.25", "MIX": "create=1"}))
    assert (plan.confirm_share, plan.mix) == (0.5, {"create": 1.0})
