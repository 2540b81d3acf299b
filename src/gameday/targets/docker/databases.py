"""PostgreSQL in a container: its data destroyed, and restored from its base backup and archive.

Data and backup are reached by a helper that shares the container's volumes; `database_script` is what it does there.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from gameday.docker_spec import ContainerPostgresql
from gameday.errors import GamedayError, OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Execution
from gameday.targets.database_script import FORGET, arguments, configuration
from gameday.targets.database_words import (
    backup_words,
    check_point,
    database_spec,
    restored_words,
    taken_at,
)
from gameday.targets.docker.containers import Container, make, names
from gameday.targets.docker.engine import EngineAway
from gameday.targets.docker.helper import end_helpers, run_helper
from gameday.targets.docker.mounts import check_apart
from gameday.targets.docker.psql import ask
from gameday.targets.docker.readiness import Readiness
from gameday.targets.docker.state import Remembered
from gameday.targets.waiting import Deadline, wait_until

DATABASE_LABEL = "gameday.database"
_LOOK_TIMEOUT_S = 30.0
_PUT_BACK_TIMEOUT_S = 60.0
_RECOVERY_POLL_S = 0.1
_DEAD_POLL_S = 0.005


class ContainerDatabases(Readiness):
    """Implements `Destroyable`, and the part of `Target` that restores."""

    def check_backup(self, component: str) -> str:
        """What it could be restored from."""
        spec = self._database_spec(component)
        deadline = Deadline.after(_LOOK_TIMEOUT_S)
        self._engine.await_engine(deadline)
        one = self._single(component)
        check_apart(component, spec, self._engine.inspect(one.id)["Mounts"])
        taken = self._look_at_backup(component, one, spec, deadline)
        return backup_words(taken, spec)

    def destroy(self, component: str, timeout_s: float) -> str:
        """Kill it and remove what is in its data directory. Recorded first: an interrupted destroy stays one, and no
        start may make an empty database in its place."""
        spec = self._database_spec(component)
        with self._operation(component, timeout_s) as deadline:
            one = self._single(component)
            check_apart(component, spec, self._engine.inspect(one.id)["Mounts"])
            self._look_at_backup(component, one, spec, deadline)
            self._end_data_helpers(component, deadline)
            self._note_data(component, destroyed=True)
            ended = self._end_server(one, deadline)
            self._in_data_volumes(component, one, spec, deadline, "destroy")
            return f"destroyed the data of {component}: {ended}; {spec.data} is empty"

    def restore(self, component: str, to: str, timeout_s: float) -> str:
        """Stop it, put its base backup in place of its data, recover, and wait until it takes writes.

        `latest`: with all that was archived, and what the old data still have of the log beyond it. `backup`: exactly
        the base backup. Either way PostgreSQL begins a new timeline. If it fails, the old data are put back, and
        started if they ran; what was destroyed stays so.
        """
        check_point(component, to)
        begun = time.monotonic()
        spec = self._database_spec(component)
        with self._operation(component, timeout_s) as deadline:
            self._end_data_helpers(component, deadline)
            one = self._single_again(component)
            check_apart(component, spec, self._engine.inspect(one.id)["Mounts"])
            self._look_at_backup(component, one, spec, deadline)
            destroyed = self._remembered(component).destroyed
            self._put_server_down(component, one, spec, deadline, orderly=not destroyed)
            self._note_data(component, restoring=True)
            try:
                self._replace_data(component, one, spec, to, deadline, destroyed=destroyed)
                with self._engine.translated(f"start {one}"):
                    self._engine.api.start(one.id)
                self._wait_recovered(component, one, spec, deadline)
                self._wait_ready(component, [one.id], deadline)
            except BaseException as error:
                self._put_data_back(component, one, spec, error, destroyed=destroyed)
                raise
            self._note_data(component, destroyed=False)
            self._tidy_data(component, one, spec, deadline, destroyed=destroyed)
            return restored_words(component, to, spec, begun)

    def _settle_restore(self, component: str, deadline: Deadline) -> None:
        """What an interrupted restore left is put in order: the old data are back, or the new ones have recovered."""
        known = self._remembered(component)
        if not known.restoring or known.destroyed:
            return
        one = self._single_again(component)
        if one.running:  # its server is at work on them
            return
        self._end_data_helpers(component, deadline)
        self._in_data_volumes(component, one, self._database_spec(component), deadline, "settle")
        self._note_data(component, restoring=False)

    # --- what there is -------------------------------------------------------------------------------------

    def _database_spec(self, component: str) -> ContainerPostgresql:
        return database_spec(component, self._spec(component))

    def _single(self, component: str) -> Container:
        found = self._found(component)
        if len(found) > 1:
            raise UsageError(
                f"{component} is {len(found)} containers ({names(found)}); only data of a single one can be destroyed "
                f"and restored"
            )
        return found[0]

    def _single_again(self, component: str) -> Container:
        """Made again, and not started, where it is gone."""
        if not self._find(component):
            for _, kept in sorted(self._remembered(component).recipes.items()):
                make(self._engine, kept)
        return self._single(component)

    def _look_at_backup(
        self, component: str, one: Container, spec: ContainerPostgresql, deadline: Deadline
    ) -> float:
        """When it was taken, in seconds since 1970. Quick where the container runs and its image has the commands.

        Raises:
            UsageError: there is none.
        """
        if one.state == "running":
            looks = (
                ("stat", "-c", "%Y", f"{spec.backup}/PG_VERSION"),
                ("ls", "-A", f"{spec.backup}/pg_tblspc"),
            )
            try:
                taken, spaces = (self._engine.execute(one.id, argv, deadline) for argv in looks)
                if (taken.exit_code, spaces.exit_code, spaces.output.strip()) == (0, 0, ""):
                    return float(taken.output)
            except (TargetError, ValueError):  # it has no such command, or ended just now
                pass
        done = self._in_data_volumes(component, one, spec, deadline, "check", check=False, read_only=True)
        return taken_at(component, done)

    # --- steps ---------------------------------------------------------------------------------------------

    def _in_data_volumes(
        self,
        component: str,
        one: Container,
        spec: ContainerPostgresql,
        deadline: Deadline,
        mode: str,
        *more: str,
        check: bool = True,
        read_only: bool = False,
    ) -> Execution:
        argv = arguments(mode, spec, *more)
        try:
            return run_helper(
                self._engine,
                argv,
                deadline,
                environment=self.engine_name,
                check=check,
                labels={DATABASE_LABEL: component},
                volumes_from=[one.id + (":ro" if read_only else "")],
                network_mode="none",
                log_config={"Type": "json-file", "Config": {}},
            )
        except EngineAway:
            raise
        except OperationTimedOut as error:
            raise OperationTimedOut(f"{mode} the data of {component}: {_outcome(error)}") from error
        except TargetError as error:
            raise TargetError(f"{mode} the data of {component}: {_outcome(error)}") from error

    def _end_data_helpers(self, component: str, deadline: Deadline) -> None:
        """Those of an operation that was interrupted go on by themselves."""
        end_helpers(self._engine, self.engine_name, deadline, **{DATABASE_LABEL: component})

    def _end_server(self, one: Container, deadline: Deadline) -> str:
        if not self._server_runs(one):
            return f"{one} was down already"
        try:
            with self._engine.translated(f"SIGKILL for {one}"):
                self._engine.api.kill(one.id, signal="SIGKILL")
        except TargetError:  # ended meanwhile, or waiting to be restarted, which a stop ends too
            with self._engine.translated(f"stop {one}"):
                self._engine.api.stop(one.id, timeout=0)
        if not wait_until(lambda: not self._server_runs(one), deadline, _DEAD_POLL_S):
            raise TargetError(f"SIGKILL for {one}: still running after {deadline.timeout_s:g} s")
        return f"SIGKILL ended {one}"

    def _server_runs(self, one: Container) -> bool:
        return bool(self._engine.inspect(one.id)["State"]["Running"])

    def _put_server_down(
        self, component: str, one: Container, spec: ContainerPostgresql, deadline: Deadline, *, orderly: bool
    ) -> None:
        """A server in destroyed data would archive what was to be lost if it were stopped in an orderly way."""
        if not orderly:
            self._end_server(one, deadline)
            return
        if not self._server_runs(one):
            return
        if one.paused:
            with self._engine.translated(f"resume {one}"):
                self._engine.api.unpause(one.id)
        if spec.archive is not None:
            # a server archives a finished segment before it stops, so nothing written so far is missing; one that
            # gives no answer is stopped all the same
            with contextlib.suppress(TargetError):
                ask(self._engine, one.id, spec.superuser, ["select pg_switch_wal()"], deadline)
        self._stop_orderly(component, one.id, str(one), deadline, paused=False)

    def _replace_data(
        self,
        component: str,
        one: Container,
        spec: ContainerPostgresql,
        to: str,
        deadline: Deadline,
        *,
        destroyed: bool,
    ) -> None:
        had = "destroyed" if destroyed else "kept"
        wal = "with-wal" if to == "latest" else "without-wal"
        self._in_data_volumes(component, one, spec, deadline, "restore", had, wal, configuration(spec, to))

    def _wait_recovered(
        self, component: str, one: Container, spec: ContainerPostgresql, deadline: Deadline
    ) -> None:
        def recovered() -> bool:
            now = self._engine.inspect(one.id)
            state = now["State"]
            if not state["Running"] or state.get("Restarting") or now.get("RestartCount"):
                raise TargetError(
                    f"restore {component}: it ended during recovery; its last log lines:\n{self._log_of(one.id, 15)}"
                )
            try:
                done = ask(self._engine, one.id, spec.superuser, ["select pg_is_in_recovery()"], deadline)
            except TargetError:  # it ended just now: asked again, the engine says how
                return False
            return (done.exit_code, done.output.strip()) == (0, "f")

        if not wait_until(recovered, deadline, _RECOVERY_POLL_S):
            raise OperationTimedOut(
                f"restore {component}: still in recovery after {deadline.timeout_s:g} s; its last log lines:\n"
                f"{self._log_of(one.id, 15)}"
            )

    def _put_data_back(
        self,
        component: str,
        one: Container,
        spec: ContainerPostgresql,
        error: BaseException,
        *,
        destroyed: bool,
    ) -> None:
        deadline = Deadline.after(_PUT_BACK_TIMEOUT_S)
        try:
            self._end_data_helpers(component, deadline)
            self._end_server(one, deadline)
            if destroyed:
                self._in_data_volumes(component, one, spec, deadline, "destroy")
            else:
                self._in_data_volumes(component, one, spec, deadline, "undo")
            self._note_data(component, restoring=False)
            if one.running and not destroyed:
                with self._engine.translated(f"start {one}"):
                    self._engine.api.start(one.id)
                self._wait_ready(component, [one.id], deadline)
        except GamedayError as again:
            raise TargetError(
                f"{error}; and putting back what was there failed: {again}; repeat the restore"
            ) from error

    def _tidy_data(
        self,
        component: str,
        one: Container,
        spec: ContainerPostgresql,
        deadline: Deadline,
        *,
        destroyed: bool,
    ) -> None:
        """What the recovery needed goes."""
        ask(self._engine, one.id, spec.superuser, FORGET, deadline)
        if not destroyed:
            self._in_data_volumes(component, one, spec, deadline, "tidy")
        self._note_data(component, restoring=False)

    def _note_data(
        self, component: str, *, destroyed: bool | None = None, restoring: bool | None = None
    ) -> None:
        def noted(known: Remembered) -> Remembered:
            return replace(
                known,
                destroyed=known.destroyed if destroyed is None else destroyed,
                restoring=known.restoring if restoring is None else restoring,
            )

        self._state.change_component(component, noted)


def _outcome(error: GamedayError) -> str:
    """Without the script, which says nothing to people."""
    return str(error).rpartition("in a helper container ")[2]
