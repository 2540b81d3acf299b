"""The webhook receiver: when somebody was told; and what it does with everything that is no notification."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Self

import pytest

from detectors.stack import Recorder, run, until
from gameday.clock import Instant
from gameday.detectors import webhook
from gameday.detectors.base import NoticeKind
from gameday.detectors.http_access import Secret
from gameday.detectors.webhook import WebhookReceiver
from gameday.errors import DetectorError

STARTED = "2026-11-21T12:00:00.5Z"


def alert(
    name: str = "down", status: str = "firing", started: str = STARTED, **labels: str
) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name, **labels},
        "annotations": {},
        "startsAt": started,
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "1a30ba71cca2921f",
    }


def payload(*alerts: Any, **more: Any) -> bytes:
    return json.dumps({"version": "4", "truncatedAlerts": 0, "alerts": list(alerts), **more}).encode()


def request(body: bytes, *, path: str = "/", method: str = "POST", **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


class Hook:
    """A receiver that listens, and what it told."""

    def __init__(self, **settings: Any) -> None:
        self.told = Recorder()
        self.receiver = WebhookReceiver(
            "127.0.0.1", 0, on_notice=self.told.notices.append, on_health=self.told.health.append, **settings
        )

    async def __aenter__(self) -> Self:
        await self.receiver.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.receiver.stop()

    @property
    def port(self) -> int:
        return int(self.receiver.public_url.split(":")[2].split("/")[0])

    async def send(self, raw: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(raw)
            await writer.drain()
            return int((await reader.read()).split(b" ")[1])
        finally:
            writer.close()


def test_a_notification_tells_when_each_alert_was_told() -> None:
    async def body() -> None:
        async with Hook() as hook:
            began = Instant.now()
            assert await hook.send(request(payload(alert(instance="a"), alert("other")))) == 200
            assert await hook.send(request(payload(alert(status="resolved", instance="a")))) == 200
            first, other, end = hook.told.notices
            assert (first.kind, first.alert, dict(first.labels)) == (
                NoticeKind.NOTIFIED,
                "down",
                {"instance": "a"},
            )
            assert other.alert == "other"
            assert end.kind is NoticeKind.END_NOTIFIED
            assert 0 <= first.at - began < 0.5
            assert 0 <= first.resolution_s < 0.5
            assert hook.receiver.health().ok
            assert [health.ok for health in hook.told.health] == [True]

    run(body)


def test_a_repeated_notification_is_told_once_and_a_new_spell_again() -> None:
    async def body() -> None:
        async with Hook() as hook:
            for _ in range(3):
                await hook.send(request(payload(alert(instance="a"))))
            assert hook.told.kinds("down") == [NoticeKind.NOTIFIED]
            await hook.send(request(payload(alert(instance="a", started="2026-11-21T13:00:00Z"))))
            assert hook.told.kinds("down") == [NoticeKind.NOTIFIED] * 2

    run(body)


def test_a_storm_of_instances_is_one_notice() -> None:
    async def body() -> None:
        async with Hook() as hook:
            await hook.send(request(payload(*(alert(instance=str(n)) for n in range(2000)))))
            assert hook.told.kinds("down") == [NoticeKind.NOTIFIED]

    run(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[" * 100_000,
        b"[]",
        payload(version="3"),
        json.dumps({"version": "4"}).encode(),
        payload("text"),
        payload({**alert(), "status": "maybe"}),
        payload({**alert(), "labels": {"instance": "a"}}),
        payload({**alert(), "labels": {"alertname": 1}}),
        payload({**alert(), "startsAt": None}),
        payload(truncatedAlerts="many"),
    ],
)
def test_garbage_gets_400_and_is_told_in_the_health_until_a_notification_comes(body: bytes) -> None:
    async def steps() -> None:
        async with Hook() as hook:
            assert await hook.send(request(body)) == 400
            health = hook.receiver.health()
            assert not health.ok
            assert "no notification" in health.detail
            assert hook.told.notices == []
            await hook.send(request(payload(alert())))
            assert hook.receiver.health().ok
            assert [told.ok for told in hook.told.health] == [True, False, True]

    run(steps)


def test_alerts_that_alertmanager_left_out_are_ill_health() -> None:
    async def body() -> None:
        async with Hook() as hook:
            await hook.send(request(payload(alert(), truncatedAlerts=7)))
            assert "leaves out 7 alerts" in hook.receiver.health().detail
            assert not hook.receiver.health().ok

    run(body)


def test_strangers_are_refused_and_do_not_make_it_blind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOOK", "hush")
    monkeypatch.setenv("TOKEN", "hello")

    async def body() -> None:
        secret = Secret.at("${env:HOOK}", tmp_path, "webhook")
        bearer = Secret.at("${env:TOKEN}", tmp_path, "webhook")
        async with Hook(path="/hooks", secret=secret, bearer=bearer) as hook:
            good = payload(alert())
            assert await hook.send(request(good, path="/hooks/hush")) == 401
            assert await hook.send(request(good, path="/hooks/hush", Authorization="Bearer no")) == 401
            assert await hook.send(request(good, path="/hooks/wrong", Authorization="Bearer hello")) == 404
            assert await hook.send(request(b"", path="/hooks/hush", method="GET")) == 401
            assert await hook.send(b"\x16\x03\x01\x02\r\n\r\n") == 400
            assert hook.told.notices == []
            assert hook.receiver.health().ok
            assert "5 requests refused" in hook.receiver.health().detail
            assert await hook.send(request(good, path="/hooks/hush", Authorization="Bearer hello")) == 200
            assert hook.told.kinds("down") == [NoticeKind.NOTIFIED]
            shown = hook.receiver.public_url + hook.receiver.health().detail + repr(vars(hook.receiver))
            assert "hush" not in shown
            assert "hello" not in shown

    run(body)


def test_too_much_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "REQUEST_S", 0.3)

    async def body() -> None:
        async with Hook() as hook:
            head = b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"
            assert await hook.send(head) == 413
            assert await hook.send(b"POST / HTTP/1.1\r\nX: " + b"y" * 20_000) == 431
            assert await hook.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n") == 411
            assert (
                await hook.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n123") == 408
            )  # the rest never comes
            assert hook.told.notices == []

    run(body)


def test_a_sender_that_goes_away_is_no_notification() -> None:
    async def body() -> None:
        async with Hook() as hook:
            _, writer = await asyncio.open_connection("127.0.0.1", hook.port)
            writer.write(request(payload(alert()))[:-5])
            await writer.drain()
            writer.close()
            await asyncio.sleep(0.1)
            assert hook.told.notices == []
            assert await hook.send(request(payload(alert()))) == 200
            await until(lambda: hook.told.notices)

    run(body)


def test_a_port_in_use_is_told() -> None:
    async def body() -> None:
        async with Hook() as hook:
            other = WebhookReceiver(
                "127.0.0.1", hook.port, on_notice=lambda _: None, on_health=lambda _: None
            )
            with pytest.raises(DetectorError, match="cannot listen"):
                await other.start()

    run(body)
