"""What targets whose components are containers say of disks."""

from __future__ import annotations

from collections.abc import Sequence

from gameday.component_spec import ContainerComponent, PodComponent
from gameday.docker_spec import ContainerDisk
from gameday.errors import UsageError

_MOST_NAMES = 10


def disk_spec(component: str, spec: ContainerComponent | PodComponent) -> ContainerDisk:
    """Raises UsageError where the environment gives it none."""
    if spec.disk is None:
        raise UsageError(
            f"{component} has no disk of its own; give it one in the environment: `disk: {{path: /data}}`"
        )
    return spec.disk


def some_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
