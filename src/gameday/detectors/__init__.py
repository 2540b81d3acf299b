"""Detectors, one kind a file. `open_detector` makes the one that an environment asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gameday.detectors.base import Detector, OnHealth, OnNotice, OnTransition
from gameday.errors import UsageError

if TYPE_CHECKING:
    from gameday.detector_settings import Endpoint, PrometheusDetector
    from gameday.detectors.http_access import HttpAccess
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
    on_notice: OnNotice = lambda _: None,
    queries: Sequence[str] = (),
) -> Detector:
    """A detector that is not started yet. `address` tells where a component answers, `root` where rules lie.

    With `queries` it is one that can evaluate these (it is `Queries`).

    Raises:
        InvalidFile: the rules file has problems.
        UsageError: a secret or a certificate is not where the settings say; a query cannot be evaluated.
        ComponentNotFound: a component to scrape that has no address.
    """
    if settings.kind == "fake":
        if queries:
            raise UsageError(f"`{queries[0]}` cannot be read here: detector fake evaluates no PromQL")
        from gameday.detectors.fake import FakeDetector

        path = Path(unquote(urlsplit(address(settings.watches).url).path))
        return FakeDetector(
            settings.alert, settings.watches, path, on_transition=on_transition, on_health=on_health
        )
    if settings.kind == "prometheus":
        return _monitoring(
            settings, address, root, on_transition=on_transition, on_health=on_health, on_notice=on_notice
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


def _monitoring(
    settings: PrometheusDetector,
    address: Callable[[str], Address],
    root: Path,
    *,
    on_transition: OnTransition,
    on_health: OnHealth,
    on_notice: OnNotice,
) -> Detector:
    from gameday.detectors.alertmanager import Alertmanager
    from gameday.detectors.http_access import HttpAccess, Secret
    from gameday.detectors.monitoring import MonitoringStack
    from gameday.detectors.webhook import WebhookReceiver

    def access(what: str, endpoint: Endpoint) -> HttpAccess:
        url = endpoint.url if endpoint.url is not None else address(str(endpoint.component)).url
        return HttpAccess(what, url, endpoint.access, root)

    def secret(reference: str | None, what: str) -> Secret | None:
        return None if reference is None else Secret.at(reference, root, f"detector.webhook.{what}")

    notifier, listener = settings.alertmanager, settings.webhook
    alertmanager: partial[Alertmanager] | None = None
    if notifier is not None:
        alertmanager = partial(Alertmanager, access("Alertmanager", notifier), every_s=notifier.every)
    webhook: partial[WebhookReceiver] | None = None
    if listener is not None:
        host, _, port = listener.listen.rpartition(":")
        path_secret, bearer = secret(listener.secret, "secret"), secret(listener.bearer, "bearer")
        webhook = partial(
            WebhookReceiver,
            host.strip("[]"),
            int(port),
            path=listener.path,
            secret=path_secret,
            bearer=bearer,
        )
    return MonitoringStack(
        access("Prometheus", settings),
        every_s=settings.every,
        alertmanager=alertmanager,
        webhook=webhook,
        on_transition=on_transition,
        on_health=on_health,
        on_notice=on_notice,
    )
