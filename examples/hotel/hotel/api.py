"""The hotel's API: `python -m hotel.api`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from hotel.fault_routes import FaultRoutes
from hotel.guard import AdminGuard
from hotel.logs import EventLog, quiet_libraries
from hotel.operations import OperationRoutes
from hotel.routes import GuestRoutes
from hotel.service import Service
from hotel.settings import ApiSettings, SettingError, fail_on_settings
from hotel.web import CountRequests, install_problems, serve
from hotel.webhooks import WebhookRoutes


def create_app(settings: ApiSettings, log: EventLog) -> FastAPI:
    """Must be called inside the event loop that will serve it, or before one exists."""
    service = Service(settings, log)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(title="Hotel agent", lifespan=lifespan)
    app.add_middleware(CountRequests, metrics=service.metrics, log=log)
    install_problems(app)
    app.include_router(GuestRoutes(service).router())
    app.include_router(WebhookRoutes(service).router())
    guard = AdminGuard(settings.admin_token)
    app.include_router(OperationRoutes(service, guard).router())
    app.include_router(FaultRoutes(service, guard).router())
    return app


def main() -> None:
    quiet_libraries()
    try:
        settings = ApiSettings.read(os.environ)
    except SettingError as error:
        fail_on_settings(error)
    serve(create_app(settings, EventLog("api")), settings.listen)


if __name__ == "__main__":
    main()
