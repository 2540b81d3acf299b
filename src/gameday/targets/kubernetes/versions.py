"""Other versions of a component: another image, arguments or variables in its pod template, and the own ones back.

What the template had is kept in an annotation that is written in the same request as the change. Putting exactly that
back is what `kubectl rollout undo` does: the controller finds the replica set that it still has of that template.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from gameday.docker_spec import ContainerVersion
from gameday.errors import TargetError, UsageError
from gameday.targets.kubernetes.api import JSON_PATCH
from gameday.targets.kubernetes.changing import until_nobody_interferes
from gameday.targets.kubernetes.pods import Workload, named
from gameday.targets.kubernetes.workloads import Workloads
from gameday.targets.version_words import check_named, version_name

VERSION = "gameday.dev/version"
"""Annotation of a workload that runs another version than its own: JSON with `version` and `own`, the fields that its
container had before."""
_FIELDS = ("image", "args", "env")


class PodVersions(Workloads):
    """Implements `Deployable`."""

    def version(self, component: str) -> str:
        """The version that its pods are to be of; empty for their own."""
        names = {
            _recorded(one)["version"] for one in self._workloads(component) if VERSION in one.annotations
        }
        return ", ".join(sorted(names))

    def check_version(self, component: str, version: str) -> None:
        """Raises UsageError where the environment names no such version. Whether a node has its image is seen late."""
        self._version_spec(component, version)

    def deploy(self, component: str, version: str, timeout_s: float) -> str:
        """Change the pod template, and leave the rest to the controller, without waiting for it."""
        spec = self._version_spec(component, version)
        with self._operation(component, timeout_s):
            workloads = self._workloads(component)
            for one in workloads:
                self._roll(component, one, version, spec)
            return f"deployed {version_name(version)} of {component}: {named(workloads)}"

    def rollback(self, component: str, timeout_s: float) -> str:
        """Back to the template before the last deployment, until all pods are of it and ready."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as deadline:
            deployed = [one for one in self._workloads(component) if VERSION in one.annotations]
            if not deployed:
                raise TargetError(f"roll back {component}: nothing was deployed since its own version began")
            before = _recorded(deployed[0])["version"]
            for one in deployed:
                self._roll(component, one, "", None)
            self._wait_ready(component, deadline)
            took = f"{time.monotonic() - begun:.2f} s"
            return f"rolled {component} back from {version_name(before)} to {version_name('')} in {took}"

    def _version_spec(self, component: str, version: str) -> ContainerVersion | None:
        """None for its own."""
        known = self._spec(component).versions
        check_named(self.instance, component, known, version)
        return known.get(version)

    def _roll(self, component: str, one: Workload, version: str, spec: ContainerVersion | None) -> None:
        """Bring one workload's template to a version; nothing where it is so already."""
        read, patch = self._calls(one)

        def rolled() -> bool:
            with self.cluster.translated(f"read {one}"):
                found = self.cluster.raw(read, one.name, self.cluster.namespace)
            body = self._change(component, one, found, version, spec)
            if not body:
                return False
            with self.cluster.writing(f"deploy {version_name(version)} of {one}"):
                patch(
                    one.name, self.cluster.namespace, body, field_manager="gameday", _content_type=JSON_PATCH
                )
            return True

        until_nobody_interferes(rolled)

    def _change(
        self,
        component: str,
        one: Workload,
        found: Mapping[str, Any],
        version: str,
        spec: ContainerVersion | None,
    ) -> list[dict[str, Any]]:
        """The JSON patch, for exactly the object that was read."""
        containers = found["spec"]["template"]["spec"]["containers"]
        index = self._index(component, one, found)
        container, annotations = containers[index], found["metadata"].get("annotations") or {}
        known = json.loads(annotations[VERSION]) if VERSION in annotations else None
        own = (
            {name: container[name] for name in _FIELDS if name in container}
            if known is None
            else known["own"]
        )
        if (known or {"version": ""})["version"] == version:
            return []
        wanted = own if spec is None else _changed(own, spec)
        path = f"/spec/template/spec/containers/{index}"
        same = {
            "op": "test",
            "path": "/metadata/resourceVersion",
            "value": found["metadata"]["resourceVersion"],
        }
        body: list[dict[str, Any]] = [same]
        for name in _FIELDS:
            if name in wanted:
                body.append({"op": "add", "path": f"{path}/{name}", "value": wanted[name]})
            elif name in container:
                body.append({"op": "remove", "path": f"{path}/{name}"})
        where = "/metadata/annotations"
        if not annotations:
            body.append({"op": "add", "path": where, "value": {}})
        key = f"{where}/{VERSION.replace('/', '~1')}"
        if spec is None:
            body.append({"op": "remove", "path": key})
        else:
            body.append({"op": "add", "path": key, "value": json.dumps({"version": version, "own": own})})
        return body

    def _index(self, component: str, one: Workload, found: Mapping[str, Any]) -> int:
        """Of the container that is meant."""
        template = found["spec"]["template"]
        names = [container["name"] for container in template["spec"]["containers"]]
        default = (template["metadata"].get("annotations") or {}).get(
            "kubectl.kubernetes.io/default-container"
        )
        name = self._spec(component).kubernetes.container or default or names[0]
        if name not in names:
            raise UsageError(
                f"{component}: {one} has no container {name}; containers there: {', '.join(names)}"
            )
        return names.index(name)


def _changed(own: Mapping[str, Any], spec: ContainerVersion) -> dict[str, Any]:
    """The container's fields in another version. A command in an environment is what a container calls arguments."""
    wanted = dict(own)
    if spec.image is not None:
        wanted["image"] = spec.image
    if spec.command is not None:
        wanted["args"] = list(spec.command)
    if spec.env:
        kept = [entry for entry in own.get("env") or [] if entry["name"] not in spec.env]
        wanted["env"] = [*kept, *({"name": name, "value": value} for name, value in spec.env.items())]
    return wanted


def _recorded(one: Workload) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one.annotations[VERSION])
    return found
