"""The hotel in a cluster as shipped, and what the API server says of its namespace."""

from __future__ import annotations

from typing import Any, ClassVar

from cluster.quarters import lasting
from process.hotel import Hotel
from process.inn import Finished


class HotelInKubernetes(Hotel):
    """There is one: its namespace has a name."""

    environment: ClassVar[str] = "hotel-kubernetes"
    drill_timeout_s: ClassVar[float] = 500.0

    @property
    def environ(self) -> dict[str, str]:
        """Volumes and images as this cluster wants them: VOLUMES and LOAD_IMAGE of whoever runs the tests."""
        return {**super().environ, "RULES": "shortened"}

    def gameday(self, *arguments: str, timeout_s: float = 600.0) -> Finished:
        """Bringing pods up takes longer than processes: images are built and loaded the first time."""
        return super().gameday(*arguments, timeout_s=max(timeout_s, 600.0))

    def seen(self) -> dict[str, Any]:
        """All of its namespace, to compare before with after."""
        return lasting("hotel")
