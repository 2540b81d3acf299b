"""What gameday remembers of an environment in Docker between two commands, beside what the engine knows.

Ports that were reserved, recipes of the containers that make up the environment, versions rolled out, data that were
destroyed. Recipes hold the containers' variables, and so secrets: only its owner can read the file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gameday.errors import TargetError
from gameday.targets.state import StateFile, write_private
from gameday.targets.waiting import Deadline

FORMAT = 1
_LOCK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Remembered:
    """One component. `recipes` as `containers.recipe` makes them, by the container's name."""

    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    version: str = ""
    """What runs; empty for the environment's own."""
    previous: str | None = None
    """The version before the last deployment; None when nothing was deployed that could be rolled back."""
    destroyed: bool = False
    """Its data were destroyed, or are about to be; nothing may start before they are restored."""
    restoring: bool = False
    """A restore is at work, or was interrupted: what it left is put in order before anything starts."""


@dataclass(frozen=True, slots=True)
class DockerState:
    """One instance. `ports` by the variable that names them to the compose file."""

    environment: str
    ports: Mapping[str, int] = field(default_factory=dict)
    components: Mapping[str, Remembered] = field(default_factory=dict)

    def of(self, component: str) -> Remembered:
        return self.components.get(component, Remembered())


def recorded_docker_ports(environments: Path) -> set[int]:
    """Ports that instances of a project have reserved for their containers."""
    taken: set[int] = set()
    for path in environments.glob("*/docker.json"):
        with contextlib.suppress(
            TargetError, OSError
        ):  # a broken state costs that instance its reservation only
            taken |= set(DockerStateFile(StateFile(path.parent, path.parent), "").read().ports.values())
    return taken


class DockerStateFile:
    """`docker.json` in an instance's folder."""

    def __init__(self, store: StateFile, environment: str) -> None:
        self._store = store
        self._environment = environment
        self.path = store.folder / "docker.json"

    def read(self) -> DockerState:
        """What is remembered; nothing where there is no file.

        Raises:
            TargetError: the file cannot be understood.
        """
        try:
            value = json.loads(self.path.read_text(encoding="utf-8"))
            if value["format"] != FORMAT:
                raise ValueError(f"format {value['format']}, expected {FORMAT}")
            components = {name: Remembered(**known) for name, known in value["components"].items()}
            return DockerState(value["environment"], value["ports"], components)
        except (FileNotFoundError, NotADirectoryError):
            return DockerState(self._environment)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TargetError(
                f"{self.path} cannot be understood ({error}); `gameday env down` removes the instance"
            ) from error

    def change(self, change: Callable[[DockerState], DockerState]) -> DockerState:
        """Read, change and write, alone."""
        with self._store.lock("docker-state", Deadline.after(_LOCK_TIMEOUT_S)):
            before = self.read()
            after = change(before)
            if after != before or not self.path.exists():
                write_private(self.path, {"format": FORMAT, **asdict(after)})
            return after

    def change_component(self, name: str, change: Callable[[Remembered], Remembered]) -> Remembered:
        def changed(state: DockerState) -> DockerState:
            return replace(state, components={**state.components, name: change(state.of(name))})

        return self.change(changed).of(name)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
