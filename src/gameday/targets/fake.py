"""A target made of nothing: components are entries in a file, every operation is instant and always works.

It is for trying scenario files, for tests of gameday itself, and as the yardstick of what the engine costs. It
proves nothing about any service; every report names the target.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gameday.environment import Environment
from gameday.errors import ComponentNotFound, TargetError
from gameday.project import Project
from gameday.targets.base import Address, ComponentStatus, Execution, Progress, Running


class FakeTarget:
    """Implements `Target` and `Lifecycle`. Its state survives in a file, since a drill is several processes."""

    kind = "fake"

    def __init__(self, environment: Environment, instance: str, project: Project) -> None:
        self.environment = environment
        self.instance = instance
        self.path = project.state.resolve() / "environments" / instance / "fake.json"

    def up(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """All components run; returns those that did not."""
        del on_progress
        states = self._read()
        started = tuple(name for name, running in states.items() if running is not Running.UP)
        self._write(dict.fromkeys(states, Running.UP))
        return started

    def down(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        del on_progress
        stopped = tuple(name for name, running in self._read().items() if running is not Running.DOWN)
        self.path.unlink(missing_ok=True)
        return stopped

    def status(self) -> Mapping[str, ComponentStatus]:
        return {
            name: ComponentStatus(name, running, (f"fake {name}",), self.address(name).url)
            for name, running in self._read().items()
        }

    def address(self, component: str) -> Address:
        self._known(component)
        return Address("fake", 0, self.path.as_uri())

    def start(self, component: str, timeout_s: float) -> str:  # noqa: ARG002
        return self._set(component, Running.UP)

    def stop(self, component: str, timeout_s: float, count: int | None = None) -> str:  # noqa: ARG002
        return self._set(component, Running.DOWN)

    def kill(self, component: str, signal: str, timeout_s: float, count: int | None = None) -> str:
        del signal, timeout_s, count
        return self._set(component, Running.DOWN)

    def pause(self, component: str, timeout_s: float, count: int | None = None) -> str:  # noqa: ARG002
        return self._set(component, Running.PAUSED)

    def resume(self, component: str, timeout_s: float) -> str:  # noqa: ARG002
        return self._set(component, Running.UP)

    def execute(self, component: str, argv: Sequence[str], timeout_s: float) -> Execution:  # noqa: ARG002
        self._known(component)
        return Execution(tuple(argv), 0, "", 0.0)

    def restore(self, component: str, to: str, timeout_s: float) -> str:  # noqa: ARG002
        return self._set(component, Running.UP)

    def logs(self, component: str, lines: int, timeout_s: float) -> str:  # noqa: ARG002
        self._known(component)
        return ""

    def _known(self, component: str) -> None:
        if component not in self.environment.components:
            known = ", ".join(self.environment.components)
            raise ComponentNotFound(
                f"{self.instance} has no component {component!r}; components here: {known}"
            )

    def _set(self, component: str, running: Running) -> str:
        self._known(component)
        states = self._read()
        before, states[component] = states[component], running
        self._write(states)
        return f"{component}: {before.value} -> {running.value}"

    def _read(self) -> dict[str, Running]:
        states = read_states(self.path)
        return {name: states.get(name, Running.DOWN) for name in self.environment.components}

    def _write(self, states: Mapping[str, Running]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({name: running.value for name, running in states.items()}))
        temporary.replace(self.path)


def read_states(path: Path) -> dict[str, Running]:
    """What the file says; nothing runs where there is none."""
    try:
        return {name: Running(value) for name, value in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise TargetError(f"{path} is not the state of a fake target: {error}") from error
