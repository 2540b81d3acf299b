"""Secrets of an environment in a cluster: those of its Secret, so that whoever may read that can recover it."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from gameday.targets.kubernetes.cluster import Cluster, NotThere
from gameday.targets.secret import SecretFile, remove
from gameday.targets.state import StateFile

SECRET = "gameday-secrets"  # noqa: S105 - its name
"""The Secret that `gameday env up` makes, and to which manifests refer."""


class ClusterSecrets(SecretFile):
    """The keys of that Secret; what it has not is made on this machine, for `env up` to put there."""

    def __init__(self, store: StateFile, cluster: Cluster) -> None:
        super().__init__(store)
        self._cluster = cluster
        self._known: Mapping[str, str] | None = None

    def get(self, name: str) -> str:
        return self._in_cluster().get(name) or super().get(name)

    def redact(self, text: str) -> str:
        return super().redact(remove(text, (self._known or {}).values()))

    def forget(self) -> None:
        """Ask the cluster again: the Secret was made or removed."""
        self._known = None

    def _in_cluster(self) -> Mapping[str, str]:
        if self._known is None:
            try:
                with self._cluster.translated(f"secret {SECRET}"):
                    data = (
                        self._cluster.core.read_namespaced_secret(SECRET, self._cluster.namespace).data or {}
                    )
            except NotThere:
                return {}
            self._known = {name: base64.b64decode(value).decode() for name, value in data.items()}
        return self._known
