"""What an environment says of a monitoring stack that a team already has: where it is, and how to get in.

A secret never stands in the file, only where it is: `${env:NAME}`, `${file:PATH}`, or `${secret:NAME}`, which a
target makes by chance for each instance. So evidence, which holds the environment as it was written, cannot contain
one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from gameday.fields import PATH_PATTERN, AlertName, Duration, Misfit, Model, Name, Text, shown

_SECRET = re.compile(r"\$\{(?:env:[A-Za-z_][A-Za-z0-9_]*|file:[^}]+|secret:[A-Za-z_][A-Za-z0-9_.-]{0,62})\}")
_LISTEN = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)):(?:(?P<port>[0-9]{1,5})|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\})"
)


def _secret(value: object) -> object:
    if isinstance(value, str) and _SECRET.fullmatch(value):
        return value
    raise ValueError(  # what was found is not shown: it may be the secret itself
        "a secret never stands in this file; expected where it is: ${env:NAME}, ${file:PATH} with a path that "
        "is absolute or relative to the project, or ${secret:NAME}, which the target makes by chance"
    )


def _url(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"expected a URL, found {shown(value)}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL; expected one such as https://prometheus.example:9090") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("is not a URL; expected one such as https://prometheus.example:9090")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "has a user, a query or a fragment; expected none: credentials belong under `access`"
        )
    return value.rstrip("/")


def _listen(value: object) -> object:
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is not None and int(match["port"] or 0) <= 65535:
        try:
            ipaddress.ip_address(match["v6"] or match["v4"])
        except ValueError:
            match = None
    if match is None or int(match["port"] or 0) > 65535:
        raise ValueError(
            f"{shown(value)} is not an address to listen on; expected one such as 127.0.0.1:9095, or "
            "127.0.0.1:${NAME} with a port that the environment reserves"
        )
    return value


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Secret = Annotated[str, BeforeValidator(_secret)]
Url = Annotated[str, BeforeValidator(_url)]
Listen = Annotated[str, BeforeValidator(_listen)]
RulesFiles = Annotated[tuple[Text, ...], BeforeValidator(_one_or_several), Field(min_length=1)]


class BasicAuth(Model):
    """HTTP basic authentication."""

    user: Text
    password: Secret


class Access(Model):
    """How to get in. `${env:NAME}` is read from the environment, `${file:PATH}` again for each request."""

    basic: BasicAuth | None = None
    bearer: Secret | None = None
    """A token, sent as `Authorization: Bearer`."""
    tenant: Text | None = None
    """Sent as `X-Scope-OrgID`, for Mimir, Cortex and what speaks like them."""
    ca: Text | None = None
    """A file of certificates; only what they sign is trusted. Without it, what this machine trusts."""
    certificate: Text | None = None
    """A file with the client's certificate, and its key unless `key` names another file."""
    key: Text | None = None
    timeout: Duration = Field(default=2.0, ge=0.05, le=60)
    """For one whole answer, however slowly it comes."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Access:
        if self.basic is not None and self.bearer is not None:
            raise Misfit((("bearer",), "stands beside basic; expected one of the two"))
        if self.key is not None and self.certificate is None:
            raise Misfit((("key",), "stands without a certificate"))
        return self


class Endpoint(Model):
    """A server, by its URL or as a component of this environment."""

    url: Url | None = None
    component: Name | None = None
    access: Access = Access()

    @model_validator(mode="after")
    def _one_place(self) -> Endpoint:
        if (self.url is None) == (self.component is None):
            raise Misfit((("url",), "expected exactly one of url and component"))
        return self


class AlertmanagerEndpoint(Endpoint):
    """Where alerts are silenced and inhibited."""

    every: Duration = Field(default=0.5, ge=0.05, le=60)
    """Time between two looks."""


class WebhookListener(Model):
    """A receiver for Alertmanager's notifications: the instant at which somebody was told."""

    listen: Listen
    """Address and port; port 0 takes a free one, `${NAME}` is one of the environment's `compose.ports`. Elsewhere
    than on loopback it needs `secret` or `bearer`."""
    path: str = Field(default="/", pattern=PATH_PATTERN)
    secret: Secret | None = None
    """The last part of the path, which only Alertmanager knows."""
    bearer: Secret | None = None
    """The token that Alertmanager sends (`http_config.authorization`)."""

    @model_validator(mode="after")
    def _guarded(self) -> WebhookListener:
        host = self.host
        if not ipaddress.ip_address(host).is_loopback and self.secret is None and self.bearer is None:
            message = "is not on loopback, where anybody may send; expected `secret` or `bearer` beside it"
            raise Misfit((("listen",), message))
        return self

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self._match["v6"] or self._match["v4"]

    @property
    def reserved(self) -> str | None:
        """The name of the reserved port, None where the port itself stands there."""
        return self._match["name"]

    @property
    def port(self) -> int | None:
        """The port, None where it is a reserved one."""
        return None if self._match["port"] is None else int(self._match["port"])

    @property
    def _match(self) -> re.Match[str]:
        match = _LISTEN.fullmatch(self.listen)
        if match is None:  # it would not have been accepted
            raise ValueError(self.listen)
        return match


class PrometheusDetector(Endpoint):
    """Reads rules and alerts of a real Prometheus, and of its Alertmanager where there is one."""

    kind: Literal["prometheus"]
    every: Duration = Field(default=0.2, ge=0.05, le=60)
    """Time between two looks at the rules."""
    alertmanager: AlertmanagerEndpoint | None = None
    webhook: WebhookListener | None = None

    @property
    def endpoints(self) -> dict[tuple[str, ...], Endpoint]:
        """Every server to ask, by where it stands in the settings."""
        found: dict[tuple[str, ...], Endpoint] = {(): self}
        if self.alertmanager is not None:
            found["alertmanager",] = self.alertmanager
        return found

    @property
    def listener(self) -> WebhookListener | None:
        """Where it listens itself."""
        return self.webhook


class AlertmanagerDetector(Endpoint):
    """Reads the alerts that an Alertmanager has, where nothing else of the stack can be reached."""

    kind: Literal["alertmanager"]
    rules: RulesFiles
    """The rules files whose alerts are sent there, relative to the project: Alertmanager knows of no rules."""
    every: Duration = Field(default=0.2, ge=0.05, le=60)
    """Time between two looks at the alerts."""
    heartbeat: AlertName | None = None
    """An alert that always fires (Watchdog). Without one, that an alert is not there proves nothing."""
    listener: ClassVar[None] = None

    @property
    def endpoints(self) -> dict[tuple[str, ...], Endpoint]:
        """Every server to ask, by where it stands in the settings."""
        return {(): self}


class Heartbeat(Model):
    """An alert that always fires and is told again and again: while it comes, notifications do."""

    alert: AlertName
    within: Duration = Field(ge=0.5, le=3600)
    """The longest time between two of its notifications: its `repeat_interval`, and some more."""


class WebhookDetector(WebhookListener):
    """Receives notifications and asks nobody, where no server of the stack can be reached."""

    kind: Literal["webhook"]
    rules: RulesFiles
    """The rules files whose alerts are notified, relative to the project: a notification knows of no rules."""
    heartbeat: Heartbeat | None = None
    """Without one, that no notification came proves nothing."""
    endpoints: ClassVar[Mapping[tuple[str, ...], Endpoint]] = {}

    @property
    def listener(self) -> WebhookListener:
        """Where it listens itself."""
        return self
