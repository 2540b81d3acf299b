"""What targets whose components are containers say of databases that are destroyed and restored."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from gameday.component_spec import ContainerComponent, PodComponent
from gameday.docker_spec import ContainerPostgresql
from gameday.errors import UsageError
from gameday.targets.base import Execution


def database_spec(component: str, spec: ContainerComponent | PodComponent) -> ContainerPostgresql:
    """Raises UsageError where the environment gives it none."""
    if spec.database is None:
        raise UsageError(
            f"{component} has no `database` in the environment; its data cannot be destroyed and restored"
        )
    return spec.database


def check_point(component: str, to: str) -> None:
    """Raises UsageError for a point that nothing can be restored to."""
    if to not in ("latest", "backup"):
        raise UsageError(f"restore {component}: {to!r} is none of latest and backup")


def taken_at(component: str, done: Execution) -> float:
    """When a base backup was taken, in seconds since 1970, as `database_script` answers a check.

    Raises:
        UsageError: there is none.
    """
    if done.exit_code != 0:
        raise UsageError(
            f"{component}: {done.output.strip()}; take one with pg_basebackup before anything is destroyed"
        )
    return float(done.output)


def backup_words(taken_s: float, spec: ContainerPostgresql) -> str:
    taken = datetime.fromtimestamp(taken_s, UTC)
    archive = " and the archive since" if spec.archive else ", without an archive"
    return f"the base backup of {taken:%Y-%m-%d %H:%M:%S} UTC{archive}"


def restored_words(component: str, to: str, spec: ContainerPostgresql, begun: float) -> str:
    """`begun`: monotonic."""
    whole = " and the whole archive" if to == "latest" and spec.archive else " alone"
    return f"restored {component} from its base backup{whole} in {time.monotonic() - begun:.2f} s"
