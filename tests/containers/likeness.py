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


# --- containers of one service, made by Compose's plugin and by the SDK ---------------------------------------

BY_NATURE = {
    "Config.Image": "compared as a name; the SDK's image carries one label more, so its id is another",
    "Config.Labels com.docker.compose.config-hash": "each way has a hash of its own",
    "Config.Labels com.docker.compose.image": "the id of the image, see above",
    "Config.Labels com.docker.compose.image.builder": "the plugin's note of which builder it asked",
    "Config.Labels com.docker.compose.version": "the plugin's own version",
    "Config.Labels com.docker.compose.replace": "the plugin's note of what it replaced",
    "Config.Labels com.docker.compose.depends_on": "Compose's order of a mapping is by chance; compared as a set",
    "Config.Labels gameday.context": "what the SDK's way knows an image by; the plugin asks its builder",
    "HostConfig.Binds": "Compose's order of mounts is its own; the engine mounts by depth; compared as a set",
    "HostConfig.ExtraHosts": "Compose's order of a mapping is by chance; compared as a set",
    "Config.Env": "the same; compared as a set",
}
"""What differs though the two are alike, and why."""
_LABEL = "Config.Labels "
_OTHER_LABELS = tuple(name.removeprefix(_LABEL) for name in BY_NATURE if name.startswith(_LABEL))
_DEPENDS = "com.docker.compose.depends_on"


def service_likeness(container: Mapping[str, Any]) -> dict[str, Any]:
    """All that was asked for one service's container: every field of its configuration, and how it is attached."""
    own_id = container["Id"][:12]
    config, host = dict(container["Config"]), dict(container["HostConfig"])
    labels = config.pop("Labels")
    for name in ("ExtraHosts", "Binds"):
        host[name] = sorted(host[name] or [])
    return {
        **{f"Config.{name}": value or None for name, value in config.items()},
        **{f"HostConfig.{name}": value or None for name, value in host.items()},
        "Config.Hostname": config["Hostname"].replace(own_id, "ID"),
        "Config.Env": sorted(config["Env"] or []),
        "Config.Labels": {name: text for name, text in labels.items() if name not in _OTHER_LABELS},
        "depends on": sorted(labels.get(_DEPENDS, "").split(",")),
        "Mounts": sorted(
            (one["Type"], one["Destination"], one["RW"], "" if _nameless(one) else one["Source"])
            for one in container["Mounts"]
        ),
        "Networks": {
            name: sorted(alias for alias in attached["Aliases"] or [] if alias != own_id)
            for name, attached in container["NetworkSettings"]["Networks"].items()
        },
        "Ports": container["NetworkSettings"]["Ports"],
    }


def _nameless(mount: Mapping[str, Any]) -> bool:
    """A volume of the image's, which the engine calls by chance."""
    return mount["Type"] == "volume" and len(mount.get("Name", "")) == 64
