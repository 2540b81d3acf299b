"""Components with a bounded disk of their own: filled, and cleared again."""

from __future__ import annotations

from gameday.agents.disk_files import CORE
from gameday.component_spec import CommandComponent, Disk
from gameday.errors import TargetError, UsageError
from gameday.targets import disk
from gameday.targets.component import Component
from gameday.targets.disk_words import disposable, freed_words
from gameday.targets.instance import Instance


class BoundedDisks(Instance):
    """Implements `Disks`."""

    def check_disk(self, component: str) -> str:
        """What its disk is."""
        found = self._component(component)
        size = _disk_of(found).size
        with self._translated(f"disk of {component}"):
            found.record()
            return disk.describe(found.place.folder, size)

    def fill(self, component: str, timeout_s: float) -> str:
        """Fill it to the last byte."""
        spec = _disk_of(self._component(component))
        with self._operation(component, timeout_s) as (found, deadline):
            _there(found)
            written = disk.fill(found.place.folder, spec.size, deadline)
            what = disk.describe(found.place.folder, spec.size)
            return f"filled the disk of {component} with {written} bytes in {CORE}: {what}"

    def unfill(self, component: str, timeout_s: float) -> str:
        """Delete what filled it."""
        _disk_of(self._component(component))
        with self._operation(component, timeout_s) as (found, _):
            core = disk.folder_of(found.place.folder) / CORE
            if not core.exists():
                return f"no {CORE} on the disk of {component}"
            core.unlink()
            return f"deleted {CORE} on the disk of {component}"

    def reclaim(self, component: str, timeout_s: float) -> str:
        """Delete what the environment calls disposable."""
        spec = _disk_of(self._component(component))
        patterns = disposable(component, spec)
        with self._operation(component, timeout_s) as (found, _):
            _there(found)
            deleted, freed = disk.reclaim(found.place.folder, patterns)
            return freed_words(component, patterns, deleted, freed)


def _disk_of(component: Component) -> Disk:
    spec = component.spec
    if not isinstance(spec, CommandComponent) or spec.disk is None:
        raise UsageError(
            f"{component.name} has no disk of its own; give it one in the environment: `disk: {{size: 64MiB}}`"
        )
    return spec.disk


def _there(component: Component) -> None:
    if not disk.folder_of(component.place.folder).is_dir():
        raise TargetError(f"{component.name}: it has not been started with its disk yet; start it first")
