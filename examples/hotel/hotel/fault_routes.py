"""The switch for faults inside this process: `/faults`. Not counted as requests."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException
from starlette.responses import JSONResponse, Response

from hotel.faults import FaultRequestError, parse_fault
from hotel.guard import AdminGuard
from hotel.service import Service
from hotel.web import problem


class FaultRoutes:
    """Closed unless FAULTS is on, whatever the token."""

    def __init__(self, service: Service, guard: AdminGuard) -> None:
        self._service = service
        self._guard = guard

    def router(self) -> APIRouter:
        router = APIRouter(dependencies=[Depends(self.require_faults), Depends(self._guard.require)])
        router.add_api_route("/faults", self.show, methods=["GET"])
        router.add_api_route("/faults", self.begin, methods=["PUT"])
        router.add_api_route("/faults", self.end, methods=["DELETE"])
        return router

    async def require_faults(self) -> None:
        """Raises HTTPException 403."""
        if not self._service.settings.faults:
            raise HTTPException(403, "faults are off: set FAULTS=on where drills may break this service")

    async def show(self) -> JSONResponse:
        return JSONResponse(self._service.faults.to_json())

    async def begin(self, body: Annotated[Any, Body()]) -> Response:
        """Bring a fault into force, in the place of any other; it ends by itself after `ttl_s`."""
        try:
            request = parse_fault(body)
        except FaultRequestError as error:
            return problem(422, "No such fault", str(error))
        await self._service.faults.begin(request)
        return await self.show()

    async def end(self) -> JSONResponse:
        """Safe to repeat."""
        await self._service.faults.end()
        return await self.show()
