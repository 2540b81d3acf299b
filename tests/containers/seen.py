"""What an engine says of containers and networks, without what changes by itself: to compare before with after."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Mapping
from typing import Any

_NAME_SERVER = re.compile(r"(127\.0\.0\.11:|127\.0\.0\.11/32 .*--sport )\d+")
_BY_ITSELF = ("SandboxID", "SandboxKey", "EndpointID", "LinkLocalIPv6Address")
_KEPT_OF_STATE = ("Status", "Running", "Paused", "Restarting", "Dead")


def comparable(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """One container's inspection without process numbers, instants and the ids of its connections."""
    seen = copy.deepcopy(dict(inspected))
    seen["State"] = {name: inspected["State"][name] for name in _KEPT_OF_STATE}
    seen.pop("RestartCount", None)
    seen.pop("ExecIDs", None)
    # the engine lists them in any order
    seen["Mounts"] = sorted(inspected["Mounts"], key=lambda mount: str(mount["Destination"]))
    settings = seen["NetworkSettings"]
    for part in (settings, *settings["Networks"].values()):
        for name in _BY_ITSELF:
            part.pop(name, None)
    return seen


def of_project(client: Any, project: str) -> dict[str, Any]:
    """Containers and networks of a compose project by name, and rules in the namespaces of those that run."""
    containers = client.containers.list(all=True, filters={"label": f"com.docker.compose.project={project}"})
    seen: dict[str, Any] = {}
    for container in containers:
        container.reload()
        seen[container.name] = comparable(container.attrs)
        if container.attrs["State"]["Running"]:
            seen[f"rules of {container.name}"] = rules_of(container.attrs["State"]["Pid"])
    for network in client.networks.list(filters={"label": f"com.docker.compose.project={project}"}):
        network.reload()
        attached = {
            one["Name"]: (one["IPv4Address"], one["IPv6Address"])
            for one in network.attrs["Containers"].values()
        }
        seen[f"network {network.name}"] = attached
    return seen


def rules_of(pid: int) -> list[str]:
    """iptables of a process' network namespace, without counters, comments and the ports by chance of the engine's own
    name server; needs root."""
    command = ["nsenter", "-t", str(pid), "-n", "iptables-save"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    lines = _NAME_SERVER.sub(r"\1PORT", done.stdout).splitlines()
    return [line for line in lines if not line.startswith(("#", ":"))] + [done.stderr.strip()]
