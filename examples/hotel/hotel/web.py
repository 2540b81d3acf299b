"""What every answer has in common: problems as JSON, counted requests, one way to run a server."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import MutableMapping
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hotel.database import DatabaseUnavailableError
from hotel.disk import DiskUnavailableError
from hotel.faults import InjectedError
from hotel.logs import EventLog
from hotel.metrics import Metrics
from hotel.settings import Listen

UNCOUNTED_PREFIXES = (
    "/health/",
    "/metrics",
    "/admin/",
    "/faults",
    "/webhooks/",
    "/docs",
    "/openapi.json",
    "/mode",
)
SYNTHETIC = b"x-synthetic-monitor"
"""Requests with this header are answered like any other and left out of the figures, which are about guests."""
KEEP_ALIVE_S = 75  # longer than any client here keeps an idle connection, so no request meets a closing one
SHUTDOWN_S = 3


def problem(status: int, title: str, detail: str = "", retry_after_s: float | None = None) -> JSONResponse:
    """A problem document (RFC 9457)."""
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def install_problems(app: FastAPI) -> None:
    """Turn the exceptions that routes let pass into problem documents."""

    async def unavailable(_request: Request, error: Exception) -> JSONResponse:
        return problem(503, "Database unavailable", str(error)[:300], retry_after_s=1)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        parts = error.errors() if isinstance(error, RequestValidationError) else []
        where = "; ".join(f"{'.'.join(str(step) for step in part['loc'])}: {part['msg']}" for part in parts)
        return problem(422, "Invalid request", where[:500])

    async def no_disk(_request: Request, error: Exception) -> JSONResponse:
        return problem(503, "Disk unavailable", str(error)[:300], retry_after_s=5)

    async def injected(_request: Request, _error: Exception) -> JSONResponse:
        return problem(500, "Internal error")

    app.add_exception_handler(DatabaseUnavailableError, unavailable)
    app.add_exception_handler(DiskUnavailableError, no_disk)
    app.add_exception_handler(InjectedError, injected)
    app.add_exception_handler(RequestValidationError, invalid)


class CountRequests:
    """ASGI middleware: counts and times each request by its path template; answers 500 for the unforeseen."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: EventLog) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or uncounted(scope):
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        status: int | None = None

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer and it is counted
            self._log.trouble("unforeseen-error", error, path=scope["path"])
            if status is None:
                await problem(500, "Internal error")(scope, receive, send)
            status = 500
        path = template_of(scope)
        self._metrics.http_duration.labels(path).observe(time.perf_counter() - started_at)
        self._metrics.http_requests.labels(method_of(scope), path, str(status or 500)).inc()


def uncounted(scope: MutableMapping[str, Any]) -> bool:
    """What is not a guest's request: of operators, of the scraper, of a monitor that makes its own traffic."""
    return scope["path"].startswith(UNCOUNTED_PREFIXES) or any(
        name == SYNTHETIC for name, _ in scope["headers"]
    )


def template_of(scope: MutableMapping[str, Any]) -> str:
    """The route's path with its parameters unfilled; one word for all paths that no route knows."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


def method_of(scope: MutableMapping[str, Any]) -> str:
    """A client can send any word as a method; each would become a series."""
    method = str(scope["method"])
    return method if method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} else "other"


def server_for(app: ASGIApp, listen: Listen) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=listen.host,
            port=listen.port,
            access_log=False,
            log_config=None,
            log_level="warning",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
            server_header=False,
            date_header=False,
        )
    )


def serve(app: ASGIApp, listen: Listen) -> None:
    run(server_for(app, listen))


def run(server: uvicorn.Server) -> None:
    """Run until SIGTERM or SIGINT, then finish the requests under way and leave with status 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server raises the signal again when it has shut down; this is what then receives it.
        signal.signal(number, _leave)
    server.run()
    if not server.started:
        raise SystemExit(1)


def _leave(_number: int, _frame: object) -> None:
    raise SystemExit(0)
