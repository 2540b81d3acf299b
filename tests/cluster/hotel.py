"""The hotel in a cluster as shipped, and what the API server says of its namespace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from cluster.quarters import CONTEXT, config_of, kubectl, lasting
from process.hotel import Hotel
from process.inn import REPOSITORY, Finished

RBAC = REPOSITORY / "examples" / "hotel" / "kubernetes" / "base" / "rbac.yaml"
"""What the drills of all scenarios may do together."""


class HotelInKubernetes(Hotel):
    """There is one: its namespace has a name."""

    environment: ClassVar[str] = "hotel-kubernetes"
    drill_timeout_s: ClassVar[float] = 500.0

    _config: Path | None = None

    @property
    def environ(self) -> dict[str, str]:
        """Volumes and images as this cluster wants them: VOLUMES and LOAD_IMAGE of whoever runs the tests."""
        config = {} if self._config is None else {"KUBECONFIG": str(self._config)}
        return {**super().environ, "RULES": "shortened", **config}

    @contextmanager
    def under_its_role(self, scenario: str) -> Iterator[None]:
        """What is done meanwhile is done by an account, and reverted by a dead-man switch, that may do exactly what
        `gameday rbac` prints for this scenario."""
        printed = self.gameday("rbac", "-e", self.environment, "-s", scenario)
        assert printed.code == 0, printed.stderr
        kubectl("apply", "-f", "-", stdin=printed.stdout)
        try:
            self._config = config_of("gameday", "hotel", self.root, CONTEXT)
            yield
        finally:
            self._config = None
            kubectl("apply", "-f", str(RBAC))
            of_cluster = ("gameday-hotel", "gameday-deadman-hotel")  # of drills that drain nodes
            kubectl("delete", "clusterroles,clusterrolebindings", *of_cluster, "--ignore-not-found")

    def gameday(self, *arguments: str, timeout_s: float = 600.0) -> Finished:
        """Bringing pods up takes longer than processes: images are built and loaded the first time."""
        return super().gameday(*arguments, timeout_s=max(timeout_s, 600.0))

    def seen(self) -> dict[str, Any]:
        """All of its namespace, to compare before with after."""
        return lasting("hotel")
