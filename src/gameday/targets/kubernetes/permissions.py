"""Whether this identity may do all that a drill needs, asked before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable

from gameday.errors import Refused
from gameday.fault_spec import AnyFault
from gameday.rbac import Need, runner_needs, switch_needs
from gameday.targets.kubernetes.instance import KubernetesInstance


class Permissions(KubernetesInstance):
    """Implements `Permitting`."""

    switch_needs: frozenset[Need] = frozenset()
    """What the dead-man switch of the next drill must be allowed to do."""

    def check_permitted(self, faults: Iterable[AnyFault], steps: Iterable[tuple[str, str]]) -> None:
        faults = tuple(faults)
        self.switch_needs = switch_needs(self.environment, faults)
        missing = [
            need for need in sorted(runner_needs(self.environment, faults, steps)) if not self._may(need)
        ]
        if missing:
            raise Refused(
                f"{self.instance}: context {self.cluster.context} may not {', '.join(map(str, missing))} in namespace "
                f"{self.cluster.namespace}; `gameday rbac` prints the Role that a drill needs"
            )

    def _may(self, need: Need) -> bool:
        resource, _, part = need.resource.partition("/")
        attributes = {"group": need.group, "resource": resource, "subresource": part, "verb": need.verb}
        if not need.of_cluster:
            attributes["namespace"] = self.cluster.namespace
        with self.cluster.translated(f"ask whether {need} is allowed"):
            answer = self.cluster.authorization.create_self_subject_access_review(
                {"spec": {"resourceAttributes": attributes}}
            )
        return bool(answer.status.allowed)
