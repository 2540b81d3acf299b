"""Other versions of a component: its container is put aside whole, and another one takes its name.

What is wanted is recorded before anything is changed, and what is there is looked at, not remembered: whatever was
interrupted half-way is completed by whoever deploys, rolls back or starts next. Going back is exact, as the container
that was put aside is the very same; its restart policy is off meanwhile, so that no restart of the engine starts it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gameday.docker_spec import ContainerVersion
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.docker.containers import ASIDE, Container, discard, listed, make, matching, recipe
from gameday.targets.docker.engine import EngineAway, NotThere
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.docker.state import Remembered
from gameday.targets.version_words import check_named, version_name
from gameday.targets.waiting import Deadline

VERSION_LABEL = "gameday.version"
"""Carried by containers of other versions than the environment's own."""
_POLL_S = 0.05
_NO_SUCH_PROGRAM = (126, 127)
_OF_IMAGE = ("Cmd", "Entrypoint", "WorkingDir", "User", "StopSignal", "Healthcheck", "Shell", "OnBuild")


@dataclass(frozen=True, slots=True)
class Place:
    """One container's name, which container has it, and which one was put aside for that."""

    name: str
    now: Container | None
    aside: Container | None

    @property
    def version(self) -> str | None:
        """What is there: empty for the environment's own, None for nothing."""
        return None if self.now is None else self.now.labels.get(VERSION_LABEL, "")


class ContainerVersions(DockerInstance):
    """Implements `Deployable`."""

    def version(self, component: str) -> str:
        """The version that runs or, when it is down, that a start would start."""
        self._spec(component)
        return self._remembered(component).version

    def check_version(self, component: str, version: str) -> None:
        """Raises UsageError where the environment names no such version, or the engine has not its image."""
        found = self._version_spec(component, version)
        if found is None or found.image is None:
            return
        try:
            with self._engine.translated(f"version {version} of {component}"):
                self._engine.api.inspect_image(found.image)
        except NotThere as error:
            raise UsageError(
                f"version {version} of {component}: the engine has no image {found.image}, and gameday pulls none; "
                f"build or pull it first"
            ) from error

    def deploy(self, component: str, version: str, timeout_s: float) -> str:
        """Put aside what runs and start that version, without waiting for it."""
        self.check_version(component, version)
        with self._operation(component, timeout_s) as deadline:
            self._record_version(component, version)
            self._settle_version(component, deadline)
            recipes = self._remembered(component).recipes
            said = [self._launch_version(place, recipes) for place in self._version_places(component)]
            return f"deployed {version_name(version)} of {component}: {', '.join(said)}"

    def rollback(self, component: str, timeout_s: float) -> str:
        """Back to the version before the last deployment, until it is ready."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as deadline:
            known = self._remembered(component)
            before, after = known.version, known.previous
            if after is None:
                raise TargetError(
                    f"roll back {component}: nothing was deployed since {version_name(before)} began"
                )
            self._state.change_component(component, lambda found: replace(found, version=after))
            self._start(component, deadline)
            self._state.change_component(component, lambda found: replace(found, previous=None))
            took = f"{time.monotonic() - begun:.2f} s"
            return f"rolled {component} back from {version_name(before)} to {version_name(after)} in {took}"

    def _start(self, component: str, deadline: Deadline) -> list[str]:
        raise NotImplementedError

    # --- what there is -------------------------------------------------------------------------------------

    def _version_spec(self, component: str, version: str) -> ContainerVersion | None:
        """None for the environment's own."""
        known = self._spec(component).versions
        check_named(self.instance, component, known, version)
        return known.get(version)

    def _version_places(self, component: str) -> tuple[Place, ...]:
        containers, selector = listed(self._engine), self._spec(component).docker
        now = {one.name: one for one in matching(containers, selector, self.compose_project)}
        aside = {
            one.name.removesuffix(ASIDE): one
            for one in matching(containers, selector, self.compose_project, aside=True)
        }
        known = self._remembered(component).recipes
        return tuple(Place(name, now.get(name), aside.get(name)) for name in sorted({*known, *now, *aside}))

    def _own_recipes(self, component: str, containers: Iterable[Container]) -> dict[str, Mapping[str, Any]]:
        """Of the environment's own version of each container that is there, or was put aside for another version."""
        selector, known = self._spec(component).docker, self._remembered(component).recipes
        listed_ones = tuple(containers)
        own: dict[str, Mapping[str, Any]] = {}
        for one in matching(listed_ones, selector, self.compose_project, aside=True):
            name = one.name.removesuffix(ASIDE)  # what is remembered has its restart policy too
            own[name] = known.get(name) or {**recipe(self._engine.inspect(one.id)), "name": name}
        for one in matching(listed_ones, selector, self.compose_project):
            if one.name in own:
                continue
            if VERSION_LABEL not in one.labels:
                own[one.name] = recipe(self._engine.inspect(one.id))
            elif one.name in known:
                own[one.name] = known[one.name]
        return own

    # --- changing it ---------------------------------------------------------------------------------------

    def _record_version(self, component: str, version: str) -> None:
        """What is wanted, and how what is there could be made again."""
        own = self._own_recipes(component, listed(self._engine))
        doomed = [name for name, kept in own.items() if kept["host"].get("AutoRemove")]
        if doomed:
            raise UsageError(
                f"deploy {component}: {', '.join(doomed)} is removed when it stops (--rm), so nothing could be rolled "
                f"back"
            )

        def recorded(known: Remembered) -> Remembered:
            kept = replace(known, recipes={**known.recipes, **own})
            if not kept.recipes:
                raise TargetError(
                    f"deploy {component}: {self._nothing_matches(component)}, and none is remembered"
                )
            repeated = known.version == version and known.previous is not None
            return kept if repeated else replace(kept, version=version, previous=known.version)

        self._state.change_component(component, recorded)

    def _settle_version(self, component: str, deadline: Deadline) -> None:
        """What is recorded as wanted has its place, and nothing else runs; it is not started, and where it is gone with
        nothing put aside for it, not made again."""
        known = self._remembered(component)
        if not known.version and known.previous is None and not self._spec(component).versions:
            return
        wanted = self._version_spec(component, known.version)
        places = self._version_places(component)
        if wanted is not None and {place.name for place in places} - known.recipes.keys():
            own = self._own_recipes(component, listed(self._engine))
            known = self._state.change_component(
                component, lambda found: replace(found, recipes={**own, **found.recipes})
            )
        for place in places:
            if place.version == "" and place.aside is not None:
                raise TargetError(
                    f"{component}: {place.name} and {place.aside.name} are both there, and gameday made neither; "
                    f"remove the one that is not wanted"
                )
            if wanted is None:
                self._bring_version_back(place, known, deadline)
            else:
                self._replace_by_version(component, place, known, wanted, deadline)

    def _bring_version_back(self, place: Place, known: Remembered, deadline: Deadline) -> None:
        if place.version:
            self._discard_version(place.now, deadline)
        if place.aside is not None:
            with self._engine.translated(f"bring back {place.aside}"):
                if place.name in known.recipes:  # before it has its name: what has the name is whole
                    self._set_restart_policy(
                        place.aside.id, known.recipes[place.name]["host"]["RestartPolicy"]
                    )
                self._engine.api.rename(place.aside.id, place.name)

    def _replace_by_version(
        self,
        component: str,
        place: Place,
        known: Remembered,
        wanted: ContainerVersion,
        deadline: Deadline,
    ) -> None:
        kept = known.recipes[place.name]
        own = place.aside.id if place.aside else self._put_version_aside(place, kept)
        with self._engine.translated(f"put aside {place.name}"):
            self._set_restart_policy(own, {"Name": "no"})
        # one that was never started may lack a network
        stays = place.version == known.version and place.now is not None and place.now.state != "created"
        if place.version and not stays:
            self._discard_version(place.now, deadline)
        if not stays:
            image = self._image_config(self._engine.inspect(own)["Image"]) if wanted.image else {}
            make(self._engine, changed_recipe(kept, known.version, wanted, image))
        self._stop_version_aside(component, own, deadline)

    def _set_restart_policy(self, container: str, policy: Mapping[str, Any]) -> None:
        """Not where it is so already: an engine does not put back that none was given."""
        now = self._engine.inspect(container)["HostConfig"]["RestartPolicy"]
        if now != policy and {now["Name"], policy["Name"]} - {"", "no"}:
            self._engine.api.update_container(container, restart_policy=policy)

    def _put_version_aside(self, place: Place, kept: Mapping[str, Any]) -> str:
        """The id of the environment's own container, made again where it is gone."""
        if place.now is None or place.version:
            return make(self._engine, {**kept, "name": place.name + ASIDE})
        with self._engine.translated(f"put aside {place.now}"):
            self._engine.api.rename(place.now.id, place.name + ASIDE)
        return place.now.id

    def _stop_version_aside(self, component: str, own: str, deadline: Deadline) -> None:
        state = self._engine.inspect(own)["State"]
        if not state["Running"]:
            return
        self._stop_orderly(component, own, own[:12], deadline, paused=bool(state["Paused"]))

    def _launch_version(self, place: Place, recipes: Mapping[str, Mapping[str, Any]]) -> str:
        """Start what has the name. A version that the engine cannot start is as bad as one that ends at once."""
        if place.now is not None and place.now.paused:
            with self._engine.translated(f"resume {place.now}"):
                self._engine.api.unpause(place.now.id)
        container = place.now.id if place.now else make(self._engine, recipes[place.name])
        what = f"container {place.name} ({container[:12]})"
        try:
            with self._engine.translated(f"start {what}"):
                self._engine.api.start(container)
        except (EngineAway, OperationTimedOut):
            raise
        except TargetError as error:
            if self._engine.inspect(container)["State"]["ExitCode"] not in _NO_SUCH_PROGRAM:
                raise
            return f"{what}, which does not start: {error}"
        return what

    def _discard_version(self, one: Container | None, deadline: Deadline) -> None:
        """Remove a container of another version, and the unnamed volumes that only it has."""
        if one is None:
            return
        discard(self._engine, one.id, deadline, volumes=True)

    def _image_config(self, image: str) -> Mapping[str, Any]:
        try:
            with self._engine.translated(f"image {image[:19]}"):
                return self._engine.api.inspect_image(image).get("Config") or {}
        except NotThere:  # forced away while a container of it is there
            return {}


def changed_recipe(
    kept: Mapping[str, Any], name: str, version: ContainerVersion, old_image: Mapping[str, Any]
) -> dict[str, Any]:
    """The recipe of another version. With another image, what the old one set comes of the new one.

    `old_image` is the configuration of the image that `kept` was made from.
    """
    config = dict(kept["config"])
    if version.image is not None:
        config = {**_without(config, old_image), "Image": version.image}
    if version.command is not None:
        config["Cmd"] = list(version.command)
    env = [entry for entry in config.get("Env") or [] if entry.partition("=")[0] not in version.env]
    config["Env"] = [*env, *(f"{variable}={value}" for variable, value in version.env.items())]
    config["Labels"] = {**(config.get("Labels") or {}), VERSION_LABEL: name}
    return {**kept, "config": config}


def _without(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    left = {
        field: value for field, value in config.items() if field not in _OF_IMAGE or value != image.get(field)
    }
    of_image: Sequence[str] = image.get("Env") or []
    left["Env"] = [entry for entry in config.get("Env") or [] if entry not in of_image]
    for field in ("Labels", "ExposedPorts", "Volumes"):
        there = image.get(field) or {}
        left[field] = {
            key: value
            for key, value in (config.get(field) or {}).items()
            if key not in there or there[key] != value
        }
    return left
