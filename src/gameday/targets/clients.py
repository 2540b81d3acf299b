"""Strange clients of a database or a cache: started, found by their mark, ended; and everybody's sessions ended."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gameday.agents import BEGUN
from gameday.component_spec import PostgresqlComponent, ProcessComponent, ValkeyComponent
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets import ports
from gameday.targets.base import Address, ClientKind
from gameday.targets.cache_sessions import describe_ended, end_cache_sessions
from gameday.targets.component import Component
from gameday.targets.instance import Instance
from gameday.targets.postgresql import SUPERUSER, Postgresql
from gameday.targets.privilege import Footing
from gameday.targets.program import base_environment
from gameday.targets.supervise import (
    CLIENT_SUFFIX,
    COMPONENT_VARIABLE,
    Identity,
    Row,
    describe_exit,
    find_alive,
    kill_all,
    process_table,
    spawn,
)
from gameday.targets.waiting import Deadline, wait_until

_TROUBLES: dict[str, type[ProcessComponent]] = {"exhaust": PostgresqlComponent, "flush": ValkeyComponent}
_POLL_S = 0.02


class StrangeClients(Instance):
    """Implements `Clients`."""

    def check_client(self, component: str, kind: ClientKind) -> None:
        """Raises UsageError where this kind of component cannot be troubled so."""
        spec, right = self._component(component).spec, _TROUBLES[kind]
        if not isinstance(spec, right):
            raise UsageError(f"{component} is a {spec.verb}; {kind} troubles a {right.verb}")
        if isinstance(spec, PostgresqlComponent) and spec.postgresql.user == SUPERUSER:
            raise UsageError(
                f"{component}: its user is the superuser {SUPERUSER}, who would take the connections that are kept "
                "for operators; give the database another user"
            )

    def attach(
        self, component: str, kind: ClientKind, settings: Mapping[str, Any], ttl_s: float, timeout_s: float
    ) -> str:
        """Start the client in place of an earlier one of its kind, and wait until it has begun."""
        self.check_client(component, kind)
        with self._operation(component, timeout_s) as (found, deadline):
            self._end_clients(found, kind, deadline)
            argv = [
                sys.executable,
                "-m",
                f"gameday.agents.{kind}",
                *self._options(found, kind, settings, ttl_s),
            ]
            mark = found.place.mark + _suffix(kind)
            output = found.place.folder / f"client-{kind}.log"
            offset = output.stat().st_size if output.exists() else 0
            env = {**base_environment(found.place.mark), COMPONENT_VARIABLE: mark}
            process = spawn(argv, env=env, cwd=Path("/"), output=output, footing=Footing())
            said = _wait_begun(output, offset, process, f"{kind} {component}", deadline)
            return f"attached a client to {component} (pid {process.pid}): {said}"

    def detach(self, component: str, kind: ClientKind, timeout_s: float) -> str:
        """End the client."""
        self.check_client(component, kind)
        with self._operation(component, timeout_s) as (found, deadline):
            ended = self._end_clients(found, kind, deadline)
            names = ", ".join(map(str, ended))
            return (
                f"ended the client of {component}: {names}"
                if ended
                else f"no such client of {component} runs"
            )

    def disconnect(self, component: str, keep: Sequence[str], timeout_s: float) -> str:
        """End the sessions of all clients but those named."""
        spec = self._component(component).spec
        if not isinstance(spec, PostgresqlComponent | ValkeyComponent):
            raise UsageError(
                f"{component} is a {spec.verb}; sessions can be ended at a postgresql or a valkey"
            )
        with self._operation(component, timeout_s) as (found, deadline):
            port = found.record().port
            if isinstance(found.program, Postgresql):
                ended = found.program.end_sessions(port, keep, deadline)
            else:
                address = Address(ports.HOST, port, found.program.url(port))
                ended = end_cache_sessions(component, address, keep, deadline)
        return describe_ended(component, ended)

    def _options(
        self, found: Component, kind: ClientKind, settings: Mapping[str, Any], ttl_s: float
    ) -> list[str]:
        port = found.record().port
        if kind == "exhaust":
            return ["--url", found.program.url(port), "--ttl", str(ttl_s)]
        every_s = float(settings["every_s"])
        return ["--host", ports.HOST, "--port", str(port), "--every", str(every_s), "--ttl", str(ttl_s)]

    def _end_clients(self, found: Component, kind: ClientKind, deadline: Deadline) -> list[Row]:
        ended: dict[Identity, Row] = {}

        def find() -> list[Row]:
            rows = found.scan(found.record(), process_table()).get(found.name + _suffix(kind), [])
            ended.update({row.identity: row for row in rows})
            return rows

        left = kill_all(find, deadline)
        if left:
            raise OperationTimedOut(f"{kind} {found.name}: survive SIGKILL: {', '.join(map(str, left))}")
        return list(ended.values())


def _suffix(kind: ClientKind) -> str:
    return f"{CLIENT_SUFFIX}-{kind}"


def _wait_begun(output: Path, offset: int, process: Identity, what: str, deadline: Deadline) -> str:
    """Its own words, once it is in force."""
    said = ""

    def begun() -> bool:
        nonlocal said
        alive = find_alive(process) is not None  # asked first: what it says at its end is then still read
        said = output.read_bytes()[offset:].decode(errors="replace").strip()
        if not alive and BEGUN not in said:
            raise TargetError(
                f"{what}: the client {describe_exit(process)}: {said[-500:] or 'it said nothing'}"
            )
        return BEGUN in said

    if not wait_until(begun, deadline, _POLL_S):
        raise OperationTimedOut(
            f"{what}: the client has not begun within {deadline.timeout_s:g} s: {said[-500:]}"
        )
    return said.partition(BEGUN)[2].partition("\n")[0].strip()
