"""Detectors, one kind a file. `open_detector` makes the one that an environment asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gameday.detectors.base import Detector, OnHealth, OnTransition

if TYPE_CHECKING:
    from gameday.environment import DetectorSettings
    from gameday.targets.base import Address

__all__ = ["Detector", "open_detector"]


def open_detector(
    settings: DetectorSettings,
    address: Callable[[str], Address],
    root: Path,
    *,
    speed: float,
    on_transition: OnTransition,
    on_health: OnHealth,
) -> Detector:
    """A detector that is not started yet. `address` tells where a component answers, `root` where rules lie.

    Raises:
        InvalidFile: the rules file has problems.
        ComponentNotFound: a component to scrape that has no address.
    """
    if settings.kind == "fake":
        from gameday.detectors.fake import FakeDetector

        path = Path(unquote(urlsplit(address(settings.watches).url).path))
        return FakeDetector(
            settings.alert, settings.watches, path, on_transition=on_transition, on_health=on_health
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
        on_transition=on_transition,
        on_health=on_health,
    )
