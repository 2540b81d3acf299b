"""Databases whose data can be lost: backed up, destroyed, restored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from gameday.errors import TargetError, UsageError
from gameday.targets.component import Component
from gameday.targets.instance import Instance
from gameday.targets.postgresql import Postgresql
from gameday.targets.privilege import Footing
from gameday.targets.restore import remove_data, restore


class Databases(Instance):
    """Implements `Destroyable`, and the part of `Target` that restores."""

    def restore(self, component: str, to: str, timeout_s: float) -> str:
        """Replace a database by its base backup, with or without replaying what was archived since."""
        return self.restore_database(component, use_archive=to == "latest", timeout_s=timeout_s)

    def restore_database(
        self,
        component: str,
        *,
        target_time: datetime | None = None,
        target_lsn: str | None = None,
        use_archive: bool = True,
        timeout_s: float = 120.0,
    ) -> str:
        """Replace a database by its base backup and replay the archive up to a point: see `restore`."""
        with self._operation(component, timeout_s) as (found, deadline):
            return restore(
                found,
                target_time=target_time,
                target_lsn=target_lsn,
                use_archive=use_archive,
                deadline=deadline,
            )

    def back_up_database(self, component: str, timeout_s: float = 60.0) -> str:
        """Take a new base backup in place of the one that `up` took."""
        with self._operation(component, timeout_s) as (found, deadline):
            record = found.record()
            if not isinstance(found.program, Postgresql) or record.footing is None:
                raise TargetError(f"back up {component}: it is not a PostgreSQL that has been started")
            found.program.back_up(record.footing, record.port, deadline)
            return f"took a base backup of {component}"

    def check_backup(self, component: str) -> str:
        """What it could be restored from."""
        found = self._component(component)
        with self._translated(f"backup of {component}"):
            backup = _backup(found)
            taken = datetime.fromtimestamp((backup / "PG_VERSION").stat().st_mtime, UTC)
            archive = " and the archive since" if _program(found).settings.archive else ", without an archive"
            return f"the base backup of {taken:%Y-%m-%d %H:%M:%S} UTC{archive}"

    def destroy(self, component: str, timeout_s: float) -> str:
        """Kill it and remove its data directory. Recorded first: an interrupted destroy stays one, and no start
        may make an empty database in its place."""
        with self._operation(component, timeout_s) as (found, deadline):
            _backup(found)
            found.mark_destroyed(destroyed=True)
            ended = found.end(deadline)
            footing = found.record().footing or Footing(home=found.place.folder)
            remove_data(footing)
            return f"destroyed the data of {component}: {ended}; {footing.home / 'data'} is gone"


def _program(component: Component) -> Postgresql:
    if not isinstance(component.program, Postgresql):
        raise UsageError(f"{component.name} is not a PostgreSQL; its data cannot be destroyed and restored")
    return component.program


def _backup(component: Component) -> Path:
    """Raises UsageError where there is none."""
    if not _program(component).settings.base_backup:
        raise UsageError(
            f"{component.name} has no backup ('base_backup: false'): what is destroyed would be lost for ever"
        )
    footing = component.record().footing
    if footing is None or not (footing.home / "backup" / "PG_VERSION").is_file():
        raise UsageError(
            f"{component.name} has no base backup; `gameday env up` takes one when it starts it first"
        )
    return footing.home / "backup"
