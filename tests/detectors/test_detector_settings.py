"""What an environment may say of a monitoring stack, and what is refused with what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gameday.detector_settings import PrometheusDetector
from gameday.environment import Environment
from gameday.fields import parse


def settings(**fields: Any) -> PrometheusDetector:
    return PrometheusDetector.model_validate({"kind": "prometheus", **fields})


def test_defaults_look_five_times_a_second() -> None:
    found = settings(url="http://127.0.0.1:9090/")
    assert found.url == "http://127.0.0.1:9090"
    assert found.every == 0.2
    assert found.alertmanager is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "exactly one of url and component"),
        ({"url": "http://a", "component": "b"}, "exactly one of url and component"),
        ({"url": "http://user:pw@a"}, "credentials belong under"),
        ({"url": "http://a?token=1"}, "credentials belong under"),
        ({"url": "ftp://a"}, "is not a URL"),
        ({"url": "http://a:99999"}, "is not a URL"),
        ({"url": "http://a", "access": {"bearer": "x"}}, "never stands in this file"),
        ({"url": "http://a", "access": {"key": "k"}}, "without a certificate"),
        (
            {
                "url": "http://a",
                "access": {"bearer": "${env:A}", "basic": {"user": "u", "password": "${env:B}"}},
            },
            "one of the two",
        ),
        ({"url": "http://a", "webhook": {"listen": "127.0.0.1"}}, "address to listen on"),
        ({"url": "http://a", "webhook": {"listen": "example:80"}}, "address to listen on"),
        ({"url": "http://a", "webhook": {"listen": "0.0.0.0:9095"}}, "not on loopback"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(**fields)


def test_another_address_may_listen_with_a_secret() -> None:
    found = settings(url="http://a", webhook={"listen": "172.17.0.1:9095", "secret": "${env:HOOK}"})
    assert found.webhook is not None
    assert found.webhook.secret == "${env:HOOK}"


@pytest.mark.parametrize(
    ("detector", "said"),
    [
        ({"kind": "prometheus", "component": "monitor"}, "detector.component: no component 'monitor'"),
        (
            {"kind": "prometheus", "url": "http://a", "alertmanager": {"component": "monitor"}},
            "detector.alertmanager.component: no component 'monitor'",
        ),
        (
            {"kind": "alertmanager", "component": "monitor", "rules": "r.yml"},
            "detector.component: no component 'monitor'",
        ),
        (
            {"kind": "webhook", "listen": "127.0.0.1:${HOOK}", "rules": "r.yml"},
            "detector.listen: no port HOOK among compose.ports",
        ),
        (
            {"kind": "prometheus", "url": "http://a", "webhook": {"listen": "127.0.0.1:${HOOK}"}},
            "detector.webhook.listen: no port HOOK among compose.ports",
        ),
        ({"kind": "fake", "alert": "a", "watches": "api"}, "expected 'embedded' or 'prometheus'"),
    ],
)
def test_what_does_not_fit_the_environment_is_named(detector: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(
            Environment,
            {
                "environment": "here",
                "target": "process",
                "components": {"api": {"command": ["true"]}},
                "probes": {"up": {"http": "GET /", "component": "api"}},
                "detector": detector,
            },
        )
    assert said in str(caught.value)
