"""A scripted HTTP server on the test's own loop: answers as Prometheus and Alertmanager do, or as they must not."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Self


class ApiServer:
    """`paths` maps a path to its JSON (or bytes). The attributes change how every answer is given."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.paths: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.status = 200
        self.delay_s = 0.0
        self.hang = False
        self.dribble_s: float | None = None
        self.truncate = False
        self.headers: dict[str, str] = {}
        self.clock_ahead_s = 0.0
        self.port = 0
        self._context = context
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """No listener any more, and open connections are cut."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def now_s(self) -> float:
        return time.time() + self.clock_ahead_s

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await self._answer(head, writer)
                if self.truncate:
                    return
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        target = first.split(" ")[1]
        self.requests.append((target, headers))
        path = target.partition("?")[0]
        await asyncio.sleep(self.delay_s)
        if self.hang:
            await asyncio.sleep(60)
        found = self.paths.get(path)
        if callable(found):
            found = found()
        status = 404 if found is None else self.status
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        sent = {"Date": formatdate(int(self.now_s()), usegmt=True), **self.headers}
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n".encode()
            + b"".join(f"{name}: {text}\r\n".encode() for name, text in sent.items())
            + b"\r\n"
        )
        if self.truncate:
            writer.write(body[: len(body) // 2])
            return
        if self.dribble_s is not None:
            for index in range(len(body)):
                writer.write(body[index : index + 1])
                await writer.drain()
                await asyncio.sleep(self.dribble_s)
            return
        writer.write(body)
        await writer.drain()


class FakePrometheus(ApiServer):
    """Rules that a test sets; every answer shows an evaluation that has just ended."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context)
        self.rules: dict[str, dict[str, Any]] = {}
        self.interval_s = 0.1
        self.born = "2026-01-01T00:00:00Z"
        self.config = (
            "global: {scrape_interval: 15s}\nscrape_configs:\n"
            "- {job_name: api, scrape_interval: 5s}\n- {job_name: slow}\n"
        )
        self.paths = {
            "/api/v1/rules": self.answer,
            "/api/v1/query": lambda: {
                "status": "success",
                "data": {"resultType": "scalar", "result": [round(self.now_s(), 3), "0"]},
            },
            "/api/v1/status/config": lambda: {"status": "success", "data": {"yaml": self.config}},
            "/api/v1/status/runtimeinfo": lambda: {"status": "success", "data": {"startTime": self.born}},
        }

    def rule(self, name: str, **more: Any) -> dict[str, Any]:
        """Add an inactive rule, and give it back to be changed."""
        self.rules[name] = {
            "type": "alerting",
            "state": "inactive",
            "name": name,
            "query": 'up{job="api"} == 0',
            "duration": 0,
            "labels": {"severity": "SEV2"},
            "annotations": {"runbook_url": "runbooks/01.md"},
            "alerts": [],
            "health": "ok",
            "evaluationTime": 0.001,
            **more,
        }
        return self.rules[name]

    def fire(self, name: str, state: str = "firing", since_s: float | None = None, **labels: str) -> None:
        at_s = self.now_s() if since_s is None else since_s
        self.rules[name]["alerts"].append(
            {"labels": {"alertname": name, **labels}, "state": state, "activeAt": rfc(at_s), "value": "1e+00"}
        )

    def calm(self, name: str) -> None:
        self.rules[name]["alerts"] = []

    def answer(self) -> Mapping[str, Any]:
        rules = [{"lastEvaluation": rfc(self.now_s()), **rule} for rule in self.rules.values()]
        group = {"name": "g", "file": "f.yml", "interval": self.interval_s, "rules": rules}
        return {"status": "success", "data": {"groups": [group]}}


def rfc(seconds: float) -> str:
    """As Go prints it, with nanoseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"
