"""Other versions of a component: rolled out and rolled back.

What is wanted is recorded before anything is stopped. A deployment that was interrupted half-way can be repeated,
and rolled back; a rollback keeps what it goes back to until that runs.
"""

from __future__ import annotations

import time
from dataclasses import replace

from gameday.component_spec import CommandComponent
from gameday.errors import TargetError
from gameday.targets.instance import Instance
from gameday.targets.state import Record
from gameday.targets.version_words import check_named, version_name


class Versions(Instance):
    """Implements `Deployable`."""

    def version(self, component: str) -> str:
        """The version that runs or, when it is down, that a start would start."""
        return self._component(component).record().version

    def check_version(self, component: str, version: str) -> None:
        """Raises UsageError where the environment names no such version."""
        spec = self._component(component).spec
        known = tuple(spec.versions) if isinstance(spec, CommandComponent) else ()
        check_named(self.instance, component, known, version)

    def deploy(self, component: str, version: str, timeout_s: float) -> str:
        """Stop what runs and start that version, without waiting for it."""
        self.check_version(component, version)

        def deployed(record: Record) -> Record:
            repeated = record.version == version and record.previous is not None
            return record if repeated else replace(record, version=version, previous=record.version)

        with self._operation(component, timeout_s) as (found, deadline):
            self._store.update(component, deployed)
            stopped = found.stop(deadline)
            record, _ = found.launch(deadline)
            pid = record.process.pid if record.process else None
            return f"{stopped}; deployed {version_name(version)} of {component} (pid {pid})"

    def rollback(self, component: str, timeout_s: float) -> str:
        """Back to the version before the last deployment, until it is ready."""
        begun = time.monotonic()
        with self._operation(component, timeout_s) as (found, deadline):
            record = found.record()
            before, after = record.version, record.previous
            if after is None:
                raise TargetError(
                    f"roll back {component}: nothing was deployed since {version_name(record.version)} began"
                )
            self._store.update(component, lambda r: replace(r, version=after))
            found.stop(deadline)
            found.start(deadline)
            self._store.update(component, lambda r: replace(r, previous=None))
            took = f"{time.monotonic() - begun:.2f} s"
            return f"rolled {component} back from {version_name(before)} to {version_name(after)} in {took}"
