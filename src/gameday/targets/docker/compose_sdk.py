"""A compose project through the Docker SDK, for machines without Compose's plugin.

For the part of the format that `compose_file` reads. Networks and volumes that are there are used as they are: only
containers are made anew when the file says something else of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Progress
from gameday.targets.docker.build import has_image, pull_image
from gameday.targets.docker.compose import BUILD_TIMEOUT_S, Project
from gameday.targets.docker.compose_container import (
    CONFIG_LABEL,
    NETWORK_LABEL,
    VOLUME_LABEL,
    Recipe,
    image_of,
    recipe_of,
)
from gameday.targets.docker.compose_file import ComposeFile, Network, Service, load_compose
from gameday.targets.docker.compose_image import ensure_built
from gameday.targets.docker.compose_wait import await_all, await_one, await_other_health
from gameday.targets.docker.containers import PROJECT_LABEL
from gameday.targets.docker.engine import Engine, NotThere
from gameday.targets.waiting import Deadline

_STOPS_AT_ONCE = 8
_DEFAULT_GRACE_S = 10
_KILL_S = 10


class SdkComposer:
    """Does itself what `PluginComposer` has done."""

    def __init__(self, project: Project, engine: Engine) -> None:
        self._name = project.name
        self._path = project.file.resolve()
        self._variables = project.environment()
        self._engine = engine
        self._built = False

    def services(self) -> tuple[str, ...]:
        return tuple(sorted(self._read().started))

    def _read(self) -> ComposeFile:
        return load_compose(self._path, self._variables)

    # --- images --------------------------------------------------------------------------------------------

    def build(self, say: Progress) -> None:
        deadline = Deadline.after(BUILD_TIMEOUT_S)
        done: list[tuple[str, object]] = []
        for name, service in self._read().built.items():
            image = image_of(self._name, name, service)
            if service.build is None or (image, service.build) in done:
                continue
            ensure_built(
                self._engine, self._path.parent, image, service.build, self._variables, deadline, say
            )
            done.append((image, service.build))
        self._built = True

    def _image_id(self, name: str, service: Service, deadline: Deadline, say: Progress) -> str:
        image = image_of(self._name, name, service)
        if not has_image(self._engine, image):
            if service.pull_policy == "never":
                raise TargetError(
                    f"service {name}: the engine has no image {image}, and `pull_policy: never` forbids to pull it"
                )
            pull_image(self._engine, image, deadline, say)
        with self._engine.translated(f"image {image}"):
            return str(self._engine.api.inspect_image(image)["Id"])

    # --- up ------------------------------------------------------------------------------------------------

    def up(self, say: Progress, timeout_s: float) -> None:
        file = self._read()
        if not file.started:
            raise TargetError(
                f"compose project {self._name}: every service is in a profile; nothing to start"
            )
        if not self._built:
            self.build(say)
        deadline = Deadline.after(timeout_s)
        images = {
            name: self._image_id(name, service, deadline, say) for name, service in file.started.items()
        }
        self._make_networks(file, say)
        self._make_volumes(file, say)
        made: dict[str, str] = {}
        for name, service in file.started.items():
            for other, dependency in service.depends_on.items():
                await_one(self._engine, other, made[other], dependency.condition, deadline, f"{name} waits")
            recipe = recipe_of(self._path, self._name, name, service, images[name], self._variables)
            made[name] = self._ensure(recipe, deadline, say)
        ends = {name: file.ends(name) for name in made}
        await_all(self._engine, self._name, ends, deadline, say)

    def _labels(self, kind: str, name: str) -> dict[str, str]:
        return {PROJECT_LABEL: self._name, kind: name}

    def _make_networks(self, file: ComposeFile, say: Progress) -> None:
        used = sorted({network for service in file.started.values() for network in service.attached})
        for name in used:
            network = file.networks.get(name, Network())
            full = f"{self._name}_{name}"
            with self._engine.translated(f"network {full}"):
                there = [one for one in self._engine.api.networks(names=[full]) if one["Name"] == full]
                self._check_ours(full, [one.get("Labels") for one in there])
                if there:
                    continue
                say(f"creating network {full}")
                self._engine.api.create_network(
                    full,
                    driver=network.driver or "bridge",
                    options=dict(network.driver_opts) or None,
                    internal=network.internal,
                    labels=self._labels(NETWORK_LABEL, name),
                )

    def _make_volumes(self, file: ComposeFile, say: Progress) -> None:
        used = sorted(
            {one.source for service in file.started.values() for one in service.volumes if one.named}
        )
        for name in used:
            volume = file.volumes[name]
            full = f"{self._name}_{name}"
            with self._engine.translated(f"volume {full}"):
                found = self._engine.api.volumes(filters={"name": full})["Volumes"] or []
                there = [one for one in found if one["Name"] == full]
                self._check_ours(full, [one.get("Labels") for one in there])
                if there:
                    continue
                say(f"creating volume {full}")
                self._engine.api.create_volume(
                    full,
                    driver=volume.driver or "local",
                    driver_opts=dict(volume.driver_opts) or None,
                    labels=self._labels(VOLUME_LABEL, name),
                )

    def _check_ours(self, full: str, labels: list[Mapping[str, str] | None]) -> None:
        """What merely has the same name is left to its owner."""
        if any((one or {}).get(PROJECT_LABEL) != self._name for one in labels):
            raise TargetError(
                f"{full} is there and is not of compose project {self._name}; rename or remove it, or use "
                "another project name"
            )

    def _ensure(self, recipe: Recipe, deadline: Deadline, say: Progress) -> str:
        """The id of the service's container, which runs or has run; one that is as the file says is kept."""
        api = self._engine.api
        with self._engine.translated(f"container {recipe.name}"):
            there = self._container(recipe.name)
            if there is not None and there["Config"]["Labels"].get(CONFIG_LABEL) != recipe.hash:
                self._check_ours(recipe.name, [there["Config"]["Labels"]])
                say(f"replacing {recipe.name}, which the file describes otherwise now")
                self._remove(there["Id"], deadline)
                there = None
            if there is None:
                say(f"creating {recipe.name}")
                container = str(api.create_container_from_config(dict(recipe.config), recipe.name)["Id"])
                for network, aliases in recipe.more_networks.items():
                    api.connect_container_to_network(container, network, aliases=list(aliases))
                api.start(container)
                return container
            for network, aliases in recipe.networks.items():
                if network not in there["NetworkSettings"]["Networks"]:  # whoever made it was interrupted
                    say(f"attaching {recipe.name} to {network}")
                    api.connect_container_to_network(there["Id"], network, aliases=list(aliases))
            if there["State"]["Paused"]:
                say(f"going on with {recipe.name}, which was paused")
                api.unpause(there["Id"])
                await_other_health(self._engine, recipe.name, deadline)
            elif not there["State"]["Running"]:
                say(f"starting {recipe.name}")
                api.start(there["Id"])
            return str(there["Id"])

    def _container(self, name: str) -> dict[str, Any] | None:
        try:
            return self._engine.inspect(name)
        except NotThere:
            return None

    # --- down ----------------------------------------------------------------------------------------------

    def down(self, say: Progress, timeout_s: float) -> None:
        """By labels, not by the file: what an earlier state of the file had made goes too."""
        deadline = Deadline.after(timeout_s)
        ours = {"label": f"{PROJECT_LABEL}={self._name}"}
        api = self._engine.api
        with self._engine.translated(f"down of compose project {self._name}"):
            containers = api.containers(all=True, filters=ours)
            if containers:
                say(f"removing {len(containers)} containers")
            with ThreadPoolExecutor(_STOPS_AT_ONCE) as pool:
                list(pool.map(lambda one: self._remove(one["Id"], deadline), containers))
            for network in api.networks(filters=ours):
                say(f"removing network {network['Name']}")
                self._quietly(api.remove_network, network["Id"])
            for volume in api.volumes(filters=ours)["Volumes"] or []:
                say(f"removing volume {volume['Name']}")
                self._quietly(api.remove_volume, volume["Name"])

    def _remove(self, container: str, deadline: Deadline) -> None:
        """Stopped in order, within its own grace period; killed where there is no time for that."""
        api = self._engine.api
        with self._engine.translated(f"remove container {container[:12]}"):
            try:
                grace = self._engine.inspect(container)["Config"].get("StopTimeout")
            except NotThere:
                return
            wanted = _DEFAULT_GRACE_S if grace is None else int(grace)
            self._quietly(
                api.stop, container, timeout=min(wanted, int(max(0.0, deadline.left_s() - _KILL_S)))
            )
            self._quietly(api.remove_container, container, v=True, force=True)
        if deadline.passed():
            raise OperationTimedOut(
                f"down of compose project {self._name} did not end within {deadline.timeout_s:g} s"
            )

    def _quietly(self, operation: Any, *arguments: Any, **options: Any) -> None:
        """Whether or not it is still there."""
        import docker.errors

        try:
            operation(*arguments, **options)
        except docker.errors.NotFound:
            return
