"""The hotel in Docker as shipped, in a project of its own, and what the engine says of its containers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import docker

from containers.seen import of_project
from process.hotel import Hotel
from process.inn import Finished


class HotelInDocker(Hotel):
    """One instance; several live side by side, each a compose project of its own."""

    environment: ClassVar[str] = "hotel-docker"
    drill_timeout_s: ClassVar[float] = 500.0
    rules: ClassVar[str] = "corrected"

    @classmethod
    @contextmanager
    def with_rules(cls, rules: str) -> Iterator[Self]:
        """One that is up, its Prometheus with that rules file; afterwards nothing of it is left."""
        instance = f"hotel-docker@{rules}-{uuid.uuid4().hex[:6]}"
        own = type(cls.__name__, (cls,), {"environment": instance, "rules": rules})
        with own.standing() as hotel:
            yield hotel
            project = hotel.project
        client = docker.from_env()
        left = client.containers.list(all=True, filters={"label": f"com.docker.compose.project={project}"})
        client.close()
        assert left == []

    @property
    def project(self) -> str:
        """Of compose."""
        return f"gameday-{self.environment.replace('@', '-')}"

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "RULES": self.rules}

    def gameday(self, *arguments: str, timeout_s: float = 300.0) -> Finished:
        """Bringing containers up takes longer than processes: images are built the first time."""
        return super().gameday(*arguments, timeout_s=max(timeout_s, 300.0))

    def seen(self) -> dict[str, Any]:
        """All of the project, as the engine says, to compare before with after."""
        client = docker.from_env()
        try:
            return of_project(client, self.project)
        finally:
            client.close()

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"
