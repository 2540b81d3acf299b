"""What operators, probes and the scraper call. Not counted as requests."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException
from starlette.responses import JSONResponse, Response

from hotel.breaker import BreakerState
from hotel.database import DatabaseUnavailableError
from hotel.service import Service

READY_TIMEOUT_S = 1.0


class OperationRoutes:
    """Health, metrics and administration."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/health/live", self.live, methods=["GET"])
        router.add_api_route("/health/ready", self.ready, methods=["GET"])
        router.add_api_route("/metrics", self.metrics, methods=["GET"])
        guarded = [Depends(self.require_admin)]
        breaker = "/admin/pms/circuit-breaker"
        router.add_api_route(breaker, self.breaker, methods=["GET"], dependencies=guarded)
        router.add_api_route(f"{breaker}/reset", self.reset_breaker, methods=["POST"], dependencies=guarded)
        router.add_api_route("/admin/whatsapp/retry", self.retry, methods=["POST"], dependencies=guarded)
        return router

    async def live(self) -> dict[str, str]:
        """The process answers. Says nothing about what it depends on."""
        return {"status": "live"}

    async def ready(self) -> JSONResponse:
        """200 when the database answers a query; cache and PMS only degrade the service."""
        problems: dict[str, str] = {}
        try:
            await self._service.database.ping(READY_TIMEOUT_S)
        except DatabaseUnavailableError as error:
            problems["database"] = str(error)[:300] or "unavailable"
        if not self._service.cache.up:
            problems["cache"] = "no answer to ping"
        if self._service.pms.state is not BreakerState.CLOSED:
            problems["pms"] = f"circuit breaker {self._service.pms.state.word}"
        dependencies = {name: problems.get(name, "ok") for name in ("database", "cache", "pms")}
        if "database" in problems:
            return JSONResponse({"status": "unavailable", "dependencies": dependencies}, 503)
        return JSONResponse({"status": "degraded" if problems else "ready", "dependencies": dependencies})

    async def metrics(self) -> Response:
        return self._service.metrics.page()

    async def breaker(self) -> dict[str, Any]:
        pms = self._service.pms
        return {"state": pms.state.word, "value": int(pms.state), "retry_after_s": pms.retry_after_s()}

    async def reset_breaker(self) -> dict[str, Any]:
        self._service.pms.reset()
        return await self.breaker()

    async def retry(self) -> dict[str, int]:
        """Queue the messages again that were given up during an outage."""
        return {"queued": await self._service.reservations.retry_whatsapp()}

    async def require_admin(self, x_admin_token: Annotated[str | None, Header()] = None) -> None:
        """Raises HTTPException 403 unless the token is set and given."""
        expected = self._service.settings.admin_token
        if expected is None:
            raise HTTPException(403, "administration is off: ADMIN_TOKEN is not set")
        if x_admin_token is None or not hmac.compare_digest(x_admin_token.encode(), expected.encode()):
            raise HTTPException(403, "the header X-Admin-Token is missing or wrong")
