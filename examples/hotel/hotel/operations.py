"""What operators, probes and the scraper call. Not counted as requests."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from hotel.breaker import BreakerState
from hotel.database import DatabaseUnavailableError
from hotel.guard import AdminGuard
from hotel.logs import LogLevel
from hotel.overrides import Channel, PmsMode
from hotel.service import Service

READY_TIMEOUT_S = 1.0


class PmsModeRequest(BaseModel):
    """The body of `PUT /admin/pms/mode`."""

    model_config = ConfigDict(extra="forbid")

    mode: PmsMode


class NotificationsRequest(BaseModel):
    """The body of `PUT /admin/notifications`."""

    model_config = ConfigDict(extra="forbid")

    channel: Channel


class LogLevelRequest(BaseModel):
    """The body of `PUT /admin/log-level`."""

    model_config = ConfigDict(extra="forbid")

    level: LogLevel


class OperationRoutes:
    """Health, metrics and administration."""

    def __init__(self, service: Service, guard: AdminGuard) -> None:
        self._service = service
        self._guard = guard

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/health/live", self.live, methods=["GET"])
        router.add_api_route("/health/ready", self.ready, methods=["GET"])
        router.add_api_route("/metrics", self.metrics, methods=["GET"])
        router.include_router(self._administration())
        return router

    def _administration(self) -> APIRouter:
        router = APIRouter(prefix="/admin", dependencies=[Depends(self._guard.require)])
        router.add_api_route("/pms/circuit-breaker", self.breaker, methods=["GET"])
        router.add_api_route("/pms/circuit-breaker/reset", self.reset_breaker, methods=["POST"])
        router.add_api_route("/whatsapp/retry", self.retry, methods=["POST"])
        router.add_api_route("/overrides", self.overrides, methods=["GET"])
        router.add_api_route("/overrides", self.clear_overrides, methods=["DELETE"])
        router.add_api_route("/pms/mode", self.set_pms_mode, methods=["PUT"])
        router.add_api_route("/notifications", self.set_channel, methods=["PUT"])
        router.add_api_route("/log-level", self.set_log_level, methods=["PUT"])
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
        await self._service.reset_breaker()
        return await self.breaker()

    async def retry(self) -> dict[str, int]:
        """Queue the messages again that were given up during an outage."""
        return {"queued": await self._service.reservations.retry_whatsapp()}

    async def overrides(self) -> dict[str, object]:
        """The modes in force, and which of them an operator changed."""
        return self._service.overrides.to_json()

    async def clear_overrides(self) -> dict[str, object]:
        """Back to what was configured. Safe to repeat."""
        self._service.overrides.clear()
        self._service.notifications_changed()
        return await self.overrides()

    async def set_pms_mode(self, body: PmsModeRequest) -> dict[str, object]:
        """'queue': no booking waits for the PMS; it is told later."""
        self._service.overrides.set_pms_mode(body.mode)
        return await self.overrides()

    async def set_channel(self, body: NotificationsRequest) -> dict[str, object]:
        """'desk': the front desk tells the guests, also those who wait for a message now."""
        self._service.overrides.set_channel(body.channel)
        self._service.notifications_changed()
        return await self.overrides()

    async def set_log_level(self, body: LogLevelRequest) -> dict[str, object]:
        self._service.overrides.set_log_level(body.level)
        return await self.overrides()
