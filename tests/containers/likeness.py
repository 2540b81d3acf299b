"""What two containers made from one recipe have in common: all but what the engine gives each anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_ANEW = ("EndpointID", "SandboxID", "SandboxKey", "LinkLocalIPv6Address")


def likeness(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """An inspection without instants, process numbers, layers and ids; where the id stands in a path, `ID` does."""
    text = json.dumps(inspected).replace(inspected["Id"], "ID").replace(inspected["Id"][:12], "SHORT")
    seen: dict[str, Any] = json.loads(text)
    for name in ("Created", "GraphDriver", "ExecIDs", "RestartCount"):
        seen.pop(name, None)
    seen["State"] = {name: inspected["State"][name] for name in ("Status", "Running", "Paused")}
    settings = seen["NetworkSettings"]
    for part in (settings, *settings["Networks"].values()):
        for name in _ANEW:
            part.pop(name, None)
    for network in settings["Networks"].values():
        network["Aliases"] = sorted(network["Aliases"] or [])
    # once a container was made again, volumes without a name are named here; what is mounted tells them apart
    seen["HostConfig"]["Binds"] = None
    for mount in seen["HostConfig"].get("Mounts") or []:
        mount.pop("Source", None)
    seen["Mounts"] = sorted(seen["Mounts"], key=lambda mount: str(mount["Destination"]))
    return seen
