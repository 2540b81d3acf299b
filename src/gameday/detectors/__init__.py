"""Detectors, one kind a file. `open_detector` makes the one that an environment asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import unquote, urlsplit

from gameday.detectors.base import Detector, OnHealth, OnNotice, OnTransition
from gameday.detectors.http_access import no_secret
from gameday.errors import UsageError

if TYPE_CHECKING:
    from gameday.environment import DetectorSettings
    from gameday.targets.base import Address

__all__ = ["Detector", "given_by", "no_port", "no_secret", "open_detector"]


def no_port(name: str) -> int:
    """For a target that reserves no ports."""
    raise UsageError(f"${{{name}}}: this target reserves no ports; expected the port itself")


class Given(TypedDict):
    """What a target gives a detector by name: ports of this machine, and secrets that it made by chance."""

    port: Callable[[str], int]
    secret: Callable[[str], str]


def given_by(target: object) -> Given:
    """Of any target; one that has none of them says so when it is asked for one."""
    return {
        "port": getattr(target, "reserved_port", no_port),
        "secret": getattr(target, "secret", no_secret),
    }


def open_detector(
    settings: DetectorSettings,
    address: Callable[[str], Address],
    root: Path,
    *,
    speed: float,
    on_transition: OnTransition,
    on_health: OnHealth,
    on_notice: OnNotice = lambda _: None,
    queries: Sequence[str] = (),
    port: Callable[[str], int] = no_port,
    secret: Callable[[str], str] = no_secret,
) -> Detector:
    """A detector that is not started yet. `address` tells where a component answers, `root` where rules lie, `port`
    which port of this machine the target reserved under a name, `secret` what it made by chance.

    With `queries` it is one that can evaluate these (it is `Queries`).

    Raises:
        InvalidFile: the rules file has problems.
        UsageError: a secret, a certificate or a port is not where the settings say; a query cannot be evaluated.
        ComponentNotFound: a component to scrape that has no address.
    """
    if queries and settings.kind not in ("embedded", "prometheus"):
        raise UsageError(f"`{queries[0]}` cannot be read here: detector {settings.kind} evaluates no PromQL")
    if settings.kind == "fake":
        from gameday.detectors.fake import FakeDetector

        path = Path(unquote(urlsplit(address(settings.watches).url).path))
        return FakeDetector(
            settings.alert, settings.watches, path, on_transition=on_transition, on_health=on_health
        )
    if settings.kind != "embedded":
        from gameday.detectors.remote import Surroundings, open_remote

        around = Surroundings(address, root, port, secret)
        return open_remote(
            settings, around, on_transition=on_transition, on_health=on_health, on_notice=on_notice
        )
    from gameday.detectors.embedded import EmbeddedDetector
    from gameday.detectors.rules import load_rules
    from gameday.detectors.scrape import ScrapeTarget

    targets = []
    for scrape in settings.scrape:
        where = address(scrape.component)
        targets.append(ScrapeTarget(scrape.job, f"{where.host}:{where.port}", f"{where.url}{scrape.path}"))
    return EmbeddedDetector(
        load_rules(root / settings.rules, speed=speed),
        targets,
        interval_s=settings.every,
        queries=queries,
        on_transition=on_transition,
        on_health=on_health,
    )
