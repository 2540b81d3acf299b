"""Receives Alertmanager's notifications (webhook payload, version 4): the instant at which somebody was told.

A small HTTP/1.1 server that takes one request a connection, since Alertmanager sends one now and then and anything
else is not for us. It is bounded in every way: time, head, body, connections, alerts remembered.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from gameday.clock import Instant
from gameday.detectors.base import Health, Notice, NoticeKind, OnHealth, OnNotice
from gameday.detectors.http_access import Secret
from gameday.detectors.prometheus_rules import parse_time_s
from gameday.errors import DetectorError

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_ALERTS = 5_000
MAX_CONNECTIONS = 32
REQUEST_S = 10.0
_REMEMBERED = 20_000
_VERSION = "4"


@dataclass(frozen=True, slots=True)
class Told:
    """One alert of a notification."""

    alert: str
    status: str
    labels: Mapping[str, str]
    starts_at: str


OnTold = Callable[[tuple[Told, ...], Instant, float], None]
"""Every alert of one notification, when it was received, and how long the request took."""


class _Refusal(Exception):
    """Answered with a status; `garbage` is told in the health, a stranger's request only counted."""

    def __init__(self, status: HTTPStatus, detail: str, *, garbage: bool = False) -> None:
        super().__init__(detail)
        self.status, self.detail, self.garbage = status, detail, garbage


def read_payload(body: bytes) -> tuple[tuple[Told, ...], int]:
    """The alerts, and how many Alertmanager left out (`max_alerts`).

    Raises:
        ValueError: what is not as documented; nothing of the payload is quoted.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(payload, dict) or payload.get("version") != _VERSION:
        raise ValueError(f"it is no payload of version {_VERSION}")
    alerts, left_out = payload.get("alerts"), payload.get("truncatedAlerts", 0)
    if not isinstance(alerts, list) or len(alerts) > MAX_ALERTS:
        raise ValueError(f"`alerts` is no list of at most {MAX_ALERTS}")
    if isinstance(left_out, bool) or not isinstance(left_out, int) or left_out < 0:
        raise ValueError("`truncatedAlerts` is no number")
    return tuple(map(_told, alerts)), left_out


def _told(alert: Any) -> Told:
    if not isinstance(alert, dict) or alert.get("status") not in ("firing", "resolved"):
        raise ValueError("an alert without the status firing or resolved")
    labels, starts_at = alert.get("labels"), alert.get("startsAt")
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise ValueError("an alert whose labels are not texts")
    if not labels.get("alertname") or not isinstance(starts_at, str):
        raise ValueError("an alert without alertname or startsAt")
    try:
        parse_time_s(starts_at)
    except DetectorError:
        raise ValueError("an alert whose startsAt is no time") from None
    others = {name: text for name, text in labels.items() if name != "alertname"}
    return Told(labels["alertname"], alert["status"], MappingProxyType(others), starts_at)


class WebhookReceiver:
    """Listens from `start` to `stop`. Made by `monitoring`."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        path: str = "/",
        secret: Secret | None = None,
        bearer: Secret | None = None,
        on_notice: OnNotice,
        on_health: OnHealth,
        on_told: OnTold = lambda *_: None,
    ) -> None:
        self._host, self._port = host, port
        self._path = path.rstrip("/")
        self._secret, self._bearer = secret, bearer
        self._on_notice, self._on_health, self._on_told = on_notice, on_health, on_told
        self._health = Health(ok=False, detail="webhook: not started")
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._seen: dict[tuple[Any, ...], None] = {}
        self._notifications, self._strangers = 0, 0

    @property
    def public_url(self) -> str:
        """Where Alertmanager must send to, without the secret."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{self._path}/" + ("…" if self._secret is not None else "")

    async def start(self) -> None:
        """Listen. Raises DetectorError where that is not possible, a port in use for example."""
        try:
            self._server = await asyncio.start_server(
                self._serve, self._host, self._port, limit=MAX_HEAD_BYTES
            )
        except OSError as error:
            raise DetectorError(
                f"webhook: cannot listen on {self._host}:{self._port}: {error.strerror}"
            ) from None
        self._port = self._server.sockets[0].getsockname()[1]
        self._tell(Health(True, f"webhook: listens on {self.public_url}"))

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await server.wait_closed()
        self._health = Health(False, "webhook: stopped", self._health.last_good)

    def health(self) -> Health:
        return self._health

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began = Instant.now()
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
        try:
            status = await self._answer(reader, began)
            writer.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            async with asyncio.timeout(REQUEST_S):
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # whoever it was went away; what was sent until then is no notification
        finally:
            if task is not None:
                self._open.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, began: Instant) -> HTTPStatus:
        try:
            if len(self._open) > MAX_CONNECTIONS:
                raise _Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections at once")
            async with asyncio.timeout(REQUEST_S):
                body = await self._body(reader)
            self._take(body, began, Instant.now())
        except TimeoutError:
            return self._refused(_Refusal(HTTPStatus.REQUEST_TIMEOUT, f"a request of over {REQUEST_S:g} s"))
        except _Refusal as refusal:
            return self._refused(refusal)
        return HTTPStatus.OK

    async def _body(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            raise _Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too long a head") from None
        first, *lines = head.split("\r\n")
        method, _, rest = first.partition(" ")
        target, _, protocol = rest.rpartition(" ")
        if not protocol.startswith("HTTP/1."):
            raise _Refusal(HTTPStatus.BAD_REQUEST, "no HTTP request")
        headers = {name.strip().lower(): text.strip() for name, _, text in (x.partition(":") for x in lines)}
        self._check_sender(target.partition("?")[0], headers.get("authorization", ""))
        if method != "POST":
            raise _Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "not a POST")
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "a body without a length", garbage=True)
        if len(length) > 12 or int(length) > MAX_BODY_BYTES:
            detail = f"a body of more than {MAX_BODY_BYTES} bytes"
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, garbage=True)
        return await reader.readexactly(int(length))

    def _check_sender(self, path: str, authorization: str) -> None:
        expected = self._path
        if self._secret is not None:
            expected += f"/{self._secret.read()}"
        if not hmac.compare_digest(path.rstrip("/").encode(), expected.encode()):
            raise _Refusal(HTTPStatus.NOT_FOUND, "another path")
        if self._bearer is not None:
            token = f"Bearer {self._bearer.read()}"
            if not hmac.compare_digest(authorization.encode(), token.encode()):
                raise _Refusal(HTTPStatus.UNAUTHORIZED, "without the right token")

    def _take(self, body: bytes, began: Instant, received: Instant) -> None:
        try:
            alerts, left_out = read_payload(body)
        except ValueError as error:
            raise _Refusal(HTTPStatus.BAD_REQUEST, str(error), garbage=True) from None
        self._notifications += 1
        self._on_told(alerts, received, received - began)
        fresh: dict[tuple[str, str], Told] = {}
        for told in alerts:
            key = (told.alert, told.status, told.starts_at, *sorted(told.labels.items()))
            if key not in self._seen:  # Alertmanager tells the same again every repeat_interval
                self._seen[key] = None
                fresh.setdefault((told.alert, told.status), told)
        for told in fresh.values():
            kind = NoticeKind.NOTIFIED if told.status == "firing" else NoticeKind.END_NOTIFIED
            began_s = parse_time_s(told.starts_at)
            self._on_notice(
                Notice(kind, told.alert, told.labels, received, received - began, began_s=began_s)
            )
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if left_out:
            detail = f"webhook: a notification leaves out {left_out} alerts (max_alerts of the receiver)"
            self._tell(Health(False, detail, self._health.last_good))
        else:
            self._tell(Health(True, f"webhook: {self._notifications} notifications received", received))

    def _refused(self, refusal: _Refusal) -> HTTPStatus:
        if refusal.garbage:
            detail = f"webhook: what was sent is no notification: {refusal.detail}"
            self._tell(Health(False, detail, self._health.last_good))
        else:
            self._strangers += 1
            told = (
                f"webhook: {self._notifications} notifications received, {self._strangers} requests refused"
            )
            if self._health.ok:
                self._health = Health(True, f"{told}; the last: {refusal.detail}", self._health.last_good)
        return refusal.status

    def _tell(self, health: Health) -> None:
        changed = health.ok is not self._health.ok or self._health.detail == "webhook: not started"
        self._health = health
        if changed:
            self._on_health(health)
