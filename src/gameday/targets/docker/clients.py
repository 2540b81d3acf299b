"""Strange clients of a database or a cache in a container, as helper containers; and everybody's sessions ended.

A client comes from beside, over the component's own network: it needs no published port, and meets the component again
when that was restarted. It ends by itself after its time, or when an operator ends its session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gameday.agents import BEGUN, URL_VARIABLE
from gameday.errors import GamedayError, OperationTimedOut, TargetError, UsageError
from gameday.targets.base import ClientKind
from gameday.targets.cache_sessions import describe_ended, end_cache_sessions
from gameday.targets.client_kinds import check_kind, check_ordinary, sessions_of_a_cache, user_of
from gameday.targets.docker.containers import Container, discard
from gameday.targets.docker.helper import end_helpers, hear, start_helper
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.docker.psql import answer
from gameday.targets.postgresql import SUPERUSER
from gameday.targets.psql import end_sessions
from gameday.targets.reveal import revealed
from gameday.targets.waiting import Deadline

CLIENT_LABEL, KIND_LABEL = "gameday.client", "gameday.client.kind"
_FAILED = "failed with exit code "
_CHECK_TIMEOUT_S = 10.0
_DISCARD_TIMEOUT_S = 10.0
_LOOPBACK = "127.0.0.1"
_NOBODY = "65534:65534"
_LONGEST_HOST = 63
# A helper is removed when it ends, and what it said with it: one that failed stays until that was read.
_RUN = f'"$@" || {{ echo "{_FAILED}$?"; sleep 15; }}'


class ContainerClients(DockerInstance):
    """Implements `Clients`. What a component is, its URL in the environment says."""

    def check_client(self, component: str, kind: ClientKind) -> None:
        """Raises UsageError where this kind of component cannot be troubled so."""
        check_kind(component, self._spec(component), kind)
        deadline = Deadline.after(_CHECK_TIMEOUT_S)
        self._engine.await_engine(deadline)
        for one in self._find(component):
            self._network_of(component, one)
            if kind == "exhaust" and one.state == "running":
                self._check_ordinary(component, one, deadline)

    def attach(
        self, component: str, kind: ClientKind, settings: Mapping[str, Any], ttl_s: float, timeout_s: float
    ) -> str:
        """Start the client in place of an earlier one of its kind, and wait until it has begun."""
        self.check_client(component, kind)
        with self._operation(component, timeout_s) as deadline:
            self._end_clients(component, kind, deadline)
            one = self._found(component)[0]
            network, host = self._network_of(component, one)
            options = ["--ttl", str(ttl_s)]
            if kind == "flush":
                options += ["--every", str(float(settings["every_s"]))]
            helper = start_helper(
                self._engine,
                ["sh", "-c", _RUN, "gameday", "python", "-m", f"gameday.agents.{kind}", *options],
                environment=self.engine_name,
                name=f"gameday-client-{kind}-{one.id[:12]}",
                labels={CLIENT_LABEL: component, KIND_LABEL: kind},
                options={"environment": {URL_VARIABLE: self._url(component, host)}, "user": _NOBODY},
                network_mode=network,
                init=True,
                cap_drop=["ALL"],
                log_config={"Type": "json-file", "Config": {}},  # whatever the engine's default is
            )
            try:
                said = self._await_begun(helper, f"{kind} {component}", deadline)
            except GamedayError:
                discard(self._engine, helper, Deadline.after(_DISCARD_TIMEOUT_S))
                raise
            return f"attached a client to {component} (container {helper[:12]}): {said}"

    def detach(self, component: str, kind: ClientKind, timeout_s: float) -> str:
        """End the client."""
        check_kind(component, self._spec(component), kind)
        with self._operation(component, timeout_s) as deadline:
            ended = self._end_clients(component, kind, deadline)
            if not ended:
                return f"no such client of {component} runs"
            return f"ended the client of {component}: {', '.join(ended)}"

    def disconnect(self, component: str, keep: Sequence[str], timeout_s: float) -> str:
        """End the sessions of all clients but those named."""
        cache = sessions_of_a_cache(component, self._spec(component))
        with self._operation(component, timeout_s) as deadline:
            if cache:
                ended = end_cache_sessions(component, self.address(component), keep, deadline)
            else:
                ended = []
                for one in self._found(component):
                    ended += self._end_database_sessions(component, one, keep, deadline)
        return describe_ended(component, ended)

    # --- what there is -------------------------------------------------------------------------------------

    def _check_ordinary(self, component: str, one: Container, deadline: Deadline) -> None:
        superuser, what = self._superuser(component, one), f"exhaust {component}"

        def rows(statement: str) -> list[str]:
            return answer(self._engine, one.id, superuser, statement, deadline, what)

        check_ordinary(component, user_of(self._url(component, _LOOPBACK)), superuser, rows)

    def _superuser(self, component: str, one: Container) -> str:
        """As the environment says, else as the official image makes it."""
        spec = self._spec(component).database
        if spec is not None:
            return spec.superuser
        variables = self._engine.inspect(one.id)["Config"].get("Env") or []
        known = dict(entry.partition("=")[::2] for entry in variables)
        return known.get("POSTGRES_USER") or SUPERUSER

    def _network_of(self, component: str, one: Container) -> tuple[str, str]:
        """A network on which a client reaches the container, and at which host."""
        inspected = self._engine.inspect(one.id)
        mode = str(inspected["HostConfig"].get("NetworkMode") or "")
        if mode == "host" or mode.startswith("container:"):
            return mode, _LOOPBACK
        networks: Mapping[str, Any] = inspected["NetworkSettings"]["Networks"] or {}
        for network in sorted(networks):
            if network not in ("bridge", "none"):
                # the engine resolves names there, after a restart too, unless one is too long for that
                named = len(one.name) <= _LONGEST_HOST
                return network, one.name if named else str(networks[network]["IPAddress"])
        if "bridge" in networks:
            return "bridge", str(networks["bridge"]["IPAddress"] or _LOOPBACK)
        raise UsageError(f"{component}: {one.name} is on no network, so no client can reach it")

    def _url(self, component: str, host: str) -> str:
        spec = self._spec(component)
        known = {"host": host, "port": str(spec.port)}
        url, _ = revealed(spec.url or "", self._secrets.get, f"url of {component}", "url", known)
        return url

    # --- steps ---------------------------------------------------------------------------------------------

    def _end_clients(self, component: str, kind: ClientKind, deadline: Deadline) -> list[str]:
        wanted = {CLIENT_LABEL: component, KIND_LABEL: kind}
        ended = end_helpers(self._engine, self.engine_name, deadline, **wanted)
        return [f"container {helper[:12]}" for helper in ended]

    def _await_begun(self, helper: str, what: str, deadline: Deadline) -> str:
        """Its own words, once it is in force."""
        log, in_time = hear(
            self._engine,
            helper,
            lambda text: BEGUN in text or _FAILED in text,
            f"log of the client, {what}",
            deadline,
        )
        said = self._secrets.redact(log).strip()
        if BEGUN in said:
            return said.partition(BEGUN)[2].partition("\n")[0].strip()
        if not in_time:
            raise OperationTimedOut(
                f"{what}: the client has not begun within {deadline.timeout_s:g} s: {said[-500:]}"
            )
        if _FAILED not in said:
            raise TargetError(f"{what}: the client ended before it began: {said[-500:] or 'it said nothing'}")
        words, _, code = said.rpartition(_FAILED)
        raise TargetError(
            f"{what}: the client ended with exit code {code}: {words.strip()[-500:] or 'it said nothing'}"
        )

    def _end_database_sessions(
        self, component: str, one: Container, keep: Sequence[str], deadline: Deadline
    ) -> list[str]:
        """Their names. PostgreSQL keeps a few connections for superusers, so this works when none is left."""
        superuser, what = self._superuser(component, one), f"disconnect {component}"

        def rows(statement: str) -> list[str]:
            return answer(self._engine, one.id, superuser, statement, deadline, what)

        return end_sessions(rows, keep, what, deadline)
