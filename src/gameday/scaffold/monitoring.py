"""What a Prometheus says of its alert rules, for choosing one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from gameday.detector_settings import Endpoint
from gameday.detectors.base import RuleInfo
from gameday.detectors.floor import PrometheusConfig, read_prometheus_config
from gameday.detectors.http_access import HttpAccess
from gameday.detectors.prometheus import RULES
from gameday.detectors.prometheus_rules import RuleReading, read_rules_answer
from gameday.errors import DetectorError, UsageError
from gameday.fields import parse

_CONFIG = "/api/v1/status/config"
_TIMEOUT = "10s"


@dataclass(frozen=True, slots=True)
class Rules:
    """Its alerting rules, and how often it scrapes."""

    url: str
    rules: tuple[RuleReading, ...]
    config: PrometheusConfig

    def scrape_s(self, rule: RuleInfo) -> float | None:
        """The slowest scrape on which the rule depends; None where the server does not tell."""
        found = self.config.floor(rule, 1.0)["scrape_s"]
        return None if found is None else float(found)


def read_rules(url: str) -> Rules:
    """Ask a Prometheus; nothing is changed.

    Raises:
        UsageError: no URL.
        DetectorError: it does not answer, or not as a Prometheus does.
    """
    try:
        endpoint = parse(Endpoint, {"url": url, "access": {"timeout": _TIMEOUT}})
    except ValueError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")  # type: ignore[attr-defined]
        raise UsageError(f"--prometheus {said}") from None
    return asyncio.run(_read(url, endpoint))


async def _read(url: str, endpoint: Endpoint) -> Rules:
    access = HttpAccess("Prometheus", url, endpoint.access, Path.cwd())
    try:
        rules = read_rules_answer((await access.get(RULES, {"type": "alert"})).value)
        try:
            config = read_prometheus_config((await access.get(_CONFIG)).value)
        except DetectorError as error:  # what speaks its API often keeps its configuration to itself
            config = PrometheusConfig(reason=str(error))
        return Rules(url, rules, config)
    finally:
        await access.close()
