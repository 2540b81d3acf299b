"""What the engine is told to make a service's container, as Compose's plugin tells it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.targets.docker.compose_fields import Port, Volume
from gameday.targets.docker.compose_file import HealthCheck, Service
from gameday.targets.docker.containers import PROJECT_LABEL, SERVICE_LABEL

CONFIG_LABEL = "com.docker.compose.config-hash"
NETWORK_LABEL = "com.docker.compose.network"
VOLUME_LABEL = "com.docker.compose.volume"
_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """A container to be made: its name, what `/containers/create` takes, and its networks."""

    name: str
    config: Mapping[str, Any]
    networks: Mapping[str, tuple[str, ...]]
    """All of them, with the container's aliases there."""

    @property
    def more_networks(self) -> Mapping[str, tuple[str, ...]]:
        """Those that it is attached to after it was made: engines before 25 take one only when it is."""
        return dict(list(self.networks.items())[1:])

    @property
    def hash(self) -> str:
        return str(self.config["Labels"][CONFIG_LABEL])


def recipe_of(
    file: Path, project: str, name: str, service: Service, image_id: str, variables: Mapping[str, str]
) -> Recipe:
    """The container of one service. `image_id` is part of its hash: another image is another container."""
    container = f"{project}-{name}-1"
    networks = {
        f"{project}_{network}": (container, name, *dict.fromkeys(attachment.aliases))
        for network, attachment in sorted(service.attached.items())
    }
    first, *others = networks
    config = {
        **_config(name, project, service, variables),
        "HostConfig": {**_host(file.parent, project, service), "NetworkMode": first},
        "NetworkingConfig": {"EndpointsConfig": {first: {"Aliases": list(networks[first])}}},
    }
    more = {network: networks[network] for network in others}
    config["Labels"] = {
        **service.labels,
        PROJECT_LABEL: project,
        SERVICE_LABEL: name,
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.depends_on": ",".join(
            f"{other}:{dependency.condition}:false"
            for other, dependency in sorted(service.depends_on.items())
        ),
        "com.docker.compose.image": image_id,
        "com.docker.compose.project.config_files": str(file),
        "com.docker.compose.project.working_dir": str(file.parent),
    }
    whole = json.dumps([config, more], sort_keys=True)
    config["Labels"][CONFIG_LABEL] = hashlib.sha256(whole.encode()).hexdigest()
    return Recipe(container, config, networks)


def image_of(project: str, name: str, service: Service) -> str:
    """The image's name; Compose calls those that are built and have none after their service."""
    return service.image or f"{project}-{name}"


def _config(name: str, project: str, service: Service, variables: Mapping[str, str]) -> dict[str, Any]:
    grace = service.stop_grace_period
    return {
        "Image": image_of(project, name, service),
        "Hostname": service.hostname or "",
        "User": service.user or "",
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": _environment(service.environment, variables),
        "Cmd": None if service.command is None else list(service.command),
        "Entrypoint": None if service.entrypoint is None else list(service.entrypoint),
        "WorkingDir": service.working_dir or "",
        "ExposedPorts": {_exposed(port): {} for port in service.ports},
        "StopSignal": service.stop_signal or "",
        "StopTimeout": None if grace is None else int(grace),
        "Healthcheck": _health(service.healthcheck),
    }


def _host(folder: Path, project: str, service: Service) -> dict[str, Any]:
    policy, _, retries = (service.restart or "").partition(":")
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in service.ports:
        bindings.setdefault(_exposed(port), []).append({"HostIp": port.host_ip, "HostPort": port.host})
    return {
        "Binds": [_bind(folder, project, volume) for volume in service.volumes],
        "PortBindings": bindings,
        "RestartPolicy": {"Name": policy, "MaximumRetryCount": int(retries or 0)},
        "CapAdd": _capabilities(service.cap_add),
        "CapDrop": _capabilities(service.cap_drop),
        "SecurityOpt": list(service.security_opt) or None,
        "ReadonlyRootfs": service.read_only,
        "Tmpfs": dict(service.tmpfs),
        "ExtraHosts": list(service.extra_hosts),
        "Memory": service.mem_limit,
        "NanoCpus": round(service.cpus * _NANO),
        "PidsLimit": service.pids_limit,
        "Init": service.init,
    }


def _environment(environment: Mapping[str, str | None], variables: Mapping[str, str]) -> list[str]:
    """A name alone passes on this process's own variable; where that is absent it takes the image's away."""
    found = {name: variables.get(name) if text is None else text for name, text in environment.items()}
    return [name if text is None else f"{name}={text}" for name, text in found.items()]


def _capabilities(names: tuple[str, ...]) -> list[str] | None:
    """In full, as the plugin spells them."""
    full = (name.upper() for name in names)
    return [name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in full] or None


def _exposed(port: Port) -> str:
    return f"{port.container}/{port.protocol}"


def _bind(folder: Path, project: str, volume: Volume) -> str:
    mode = "ro" if volume.read_only else "rw"
    if volume.named:
        return f"{project}_{volume.source}:{volume.target}:{mode}"
    path = Path(volume.source).expanduser()
    return f"{(folder / path).resolve(strict=False) if '..' in path.parts else folder / path}:{volume.target}:{mode}"


def _health(check: HealthCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    if check.disable:
        return {"Test": ["NONE"]}
    times = {"Interval": check.interval, "Timeout": check.timeout, "StartPeriod": check.start_period}
    return {
        **({} if check.test is None else {"Test": list(check.test)}),
        **{name: round(seconds * _NANO) for name, seconds in times.items() if seconds is not None},
        **({} if check.retries is None else {"Retries": check.retries}),
    }
