"""Detectors of a monitoring stack that a team already has: made from their settings, nothing contacted yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.detectors.alertmanager import Alertmanager
from gameday.detectors.base import Detector, OnHealth, OnNotice, OnTransition, RuleInfo
from gameday.detectors.http_access import HttpAccess, Secret
from gameday.detectors.webhook import WebhookReceiver

if TYPE_CHECKING:
    from gameday.detector_settings import (
        AlertmanagerDetector,
        Endpoint,
        PrometheusDetector,
        WebhookDetector,
        WebhookListener,
    )
    from gameday.targets.base import Address


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the target and the project say: where components answer, where files lie, ports and secrets by name."""

    address: Callable[[str], Address]
    root: Path
    port: Callable[[str], int]
    secret: Callable[[str], str]

    def access(self, what: str, endpoint: Endpoint) -> HttpAccess:
        """How to ask a server. Raises UsageError when a secret or a certificate is not there."""
        url = endpoint.url if endpoint.url is not None else self.address(str(endpoint.component)).url
        return HttpAccess(what, url, endpoint.access, self.root, self.secret)

    def receiver(self, listener: WebhookListener) -> partial[WebhookReceiver]:
        """A receiver that lacks only whom to tell. Raises UsageError when its secret or its port is not there."""

        def found(reference: str | None, what: str) -> Secret | None:
            if reference is None:
                return None
            return Secret.at(reference, self.root, f"detector.webhook.{what}", self.secret)

        # one of the two stands there, or the settings would not have been accepted
        port = self.port(listener.reserved) if listener.reserved is not None else int(listener.port or 0)
        path_secret, bearer = found(listener.secret, "secret"), found(listener.bearer, "bearer")
        return partial(
            WebhookReceiver, listener.host, port, path=listener.path, secret=path_secret, bearer=bearer
        )

    def rules(self, files: tuple[str, ...]) -> tuple[RuleInfo, ...]:
        """What the files say of the alerts that another machine evaluates. Raises InvalidFile."""
        from gameday.detectors.foreign_rules import load_foreign_rules

        return load_foreign_rules([self.root / file for file in files])


def open_remote(
    settings: PrometheusDetector | AlertmanagerDetector | WebhookDetector,
    around: Surroundings,
    *,
    on_transition: OnTransition,
    on_health: OnHealth,
    on_notice: OnNotice,
) -> Detector:
    """Raises what the parts of `Surroundings` raise."""
    if settings.kind == "alertmanager":
        from gameday.detectors.alertmanager_alone import AlertmanagerDetector

        return AlertmanagerDetector(
            partial(Alertmanager, around.access("Alertmanager", settings), every_s=settings.every),
            around.rules(settings.rules),
            heartbeat=settings.heartbeat,
            on_transition=on_transition,
            on_health=on_health,
            on_notice=on_notice,
        )
    if settings.kind == "webhook":
        from gameday.detectors.webhook_alone import WebhookDetector

        return WebhookDetector(
            around.receiver(settings),
            around.rules(settings.rules),
            heartbeat=settings.heartbeat,
            on_transition=on_transition,
            on_health=on_health,
            on_notice=on_notice,
        )
    from gameday.detectors.monitoring import MonitoringStack

    notifier, listener = settings.alertmanager, settings.webhook
    alertmanager: partial[Alertmanager] | None = None
    if notifier is not None:
        alertmanager = partial(Alertmanager, around.access("Alertmanager", notifier), every_s=notifier.every)
    return MonitoringStack(
        around.access("Prometheus", settings),
        every_s=settings.every,
        alertmanager=alertmanager,
        webhook=around.receiver(listener) if listener is not None else None,
        on_transition=on_transition,
        on_health=on_health,
        on_notice=on_notice,
    )
