"""Strange clients of a database or a cache in a pod, as pods of their own; and everybody's sessions ended.

A client comes from beside, over the component's Service, so it meets the component again when that was restarted. It
ends by itself after its time, or when an operator ends its session, whether or not a runner is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from gameday.agents import BEGUN
from gameday.errors import GamedayError, OperationTimedOut, TargetError
from gameday.targets.base import ClientKind
from gameday.targets.cache_sessions import describe_ended, end_cache_sessions
from gameday.targets.client_kinds import check_kind, check_ordinary, sessions_of_a_cache, user_of
from gameday.targets.kubernetes.client_scripts import EXHAUST, FLUSH, GIVE_WORD
from gameday.targets.kubernetes.cluster import ClusterAway
from gameday.targets.kubernetes.helper import (
    CONTAINER,
    Wanted,
    discard,
    end_helpers,
    ended,
    running,
    said_by,
    start_helper,
    wait_for,
)
from gameday.targets.kubernetes.own_pod import OwnPod, Templates
from gameday.targets.kubernetes.pods import Pod
from gameday.targets.kubernetes.psql import answer
from gameday.targets.postgresql import SUPERUSER
from gameday.targets.psql import end_sessions
from gameday.targets.reveal import revealed
from gameday.targets.waiting import Deadline

_CHECK_TIMEOUT_S = 10.0
_DISCARD_TIMEOUT_S = 15.0
_MARGIN_S = 15
"""It ends by itself; the cluster ends it so much later."""
_RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


class PodClients(Templates):
    """Implements `Clients`. What a component is, its URL in the environment says."""

    def check_client(self, component: str, kind: ClientKind) -> None:
        """Raises UsageError where this kind of component cannot be troubled so."""
        check_kind(component, self._spec(component), kind)
        deadline = Deadline.after(_CHECK_TIMEOUT_S)
        self.cluster.await_cluster(deadline)
        own = self._own(component, self._workloads(component)[0])
        pods = self._pods(component)
        if kind == "exhaust" and pods:
            self._check_ordinary(component, own, pods[0], deadline)

    def attach(
        self, component: str, kind: ClientKind, settings: Mapping[str, Any], ttl_s: float, timeout_s: float
    ) -> str:
        """Start the client in place of an earlier one of its kind, and wait until it has begun."""
        self.check_client(component, kind)
        with self._operation(component, timeout_s) as deadline:
            end_helpers(self.cluster, self.instance, component, _purpose(kind), deadline)
            own = self._own(component, self._workloads(component)[0])
            url = self._url_inside(component)
            wanted = Wanted(
                environment=self.instance,
                component=component,
                purpose=_purpose(kind),
                argv=_command(kind, url, settings, ttl_s),
                lives_s=ttl_s + _MARGIN_S,
                scratch=True,
                resources=_RESOURCES,
            )
            pod = start_helper(self.cluster, own, wanted)
            try:
                what = f"{kind} {component}"
                wait_for(self.cluster, pod, running, f"{what}: client {pod}", deadline)
                word = unquote(urlsplit(url).password or "")
                # a command that is given its input is not told where that ends
                given = ("sh", "-c", GIVE_WORD)
                self.cluster.execute(pod, CONTAINER, given, deadline, stdin=f"{word}\n".encode())
                said = self._await_begun(pod, what, deadline)
            except GamedayError:
                discard(self.cluster, [pod], Deadline.after(_DISCARD_TIMEOUT_S))
                raise
            return f"attached a client to {component} (pod {pod}): {said}"

    def detach(self, component: str, kind: ClientKind, timeout_s: float) -> str:
        """End the client."""
        check_kind(component, self._spec(component), kind)
        with self._operation(component, timeout_s) as deadline:
            gone = end_helpers(self.cluster, self.instance, component, _purpose(kind), deadline)
            if not gone:
                return f"no such client of {component} runs"
            return f"ended the client of {component}: {', '.join(f'pod {pod}' for pod in gone)}"

    def disconnect(self, component: str, keep: Sequence[str], timeout_s: float) -> str:
        """End the sessions of all clients but those named."""
        cache = sessions_of_a_cache(component, self._spec(component))
        with self._operation(component, timeout_s) as deadline:
            if cache:
                lost = end_cache_sessions(component, self.address(component), keep, deadline)
            else:
                lost = self._end_database_sessions(component, keep, deadline)
        return describe_ended(component, lost)

    # --- what there is -------------------------------------------------------------------------------------

    def _check_ordinary(self, component: str, own: OwnPod, pod: Pod, deadline: Deadline) -> None:
        superuser, what = self._superuser(component, own), f"exhaust {component}"
        container = own.container["name"]

        def rows(statement: str) -> list[str]:
            return answer(self.cluster, pod.name, container, superuser, statement, deadline, what)

        check_ordinary(component, user_of(self._url_inside(component)), superuser, rows)

    def _superuser(self, component: str, own: OwnPod) -> str:
        """As the environment says, else as the official image makes it."""
        spec = self._spec(component).database
        if spec is not None:
            return spec.superuser
        variables = {one["name"]: one.get("value") for one in own.container.get("env") or []}
        return variables.get("POSTGRES_USER") or SUPERUSER

    def _url_inside(self, component: str) -> str:
        """Its URL from a pod of its namespace, with its password."""
        spec = self._spec(component)
        known = {"host": f"{spec.service or component}.{self.cluster.namespace}.svc", "port": str(spec.port)}
        url, _ = revealed(spec.url or "", self._secrets.get, f"url of {component}", "url", known)
        return url

    # --- steps ---------------------------------------------------------------------------------------------

    def _await_begun(self, pod: str, what: str, deadline: Deadline) -> str:
        """Its own words, once it is in force."""
        said = ""

        def heard(found: Mapping[str, Any]) -> bool:
            nonlocal said
            over = ended(found)  # asked first: what it says at its end is then still read
            try:
                said = self._secrets.redact(said_by(self.cluster, pod)).strip()
            except (ClusterAway, OperationTimedOut):
                return False
            return BEGUN in said or over

        try:
            wait_for(self.cluster, pod, heard, f"{what}: client {pod}", deadline)
        except OperationTimedOut as error:
            raise OperationTimedOut(
                f"{what}: the client has not begun within {deadline.timeout_s:g} s: {said[-500:] or error}"
            ) from error
        if BEGUN not in said:
            raise TargetError(f"{what}: the client ended before it began: {said[-500:] or 'it said nothing'}")
        return said.partition(BEGUN)[2].partition("\n")[0].strip()

    def _end_database_sessions(self, component: str, keep: Sequence[str], deadline: Deadline) -> list[str]:
        """Their names. PostgreSQL keeps a few connections for superusers, so this works when none is left."""
        what, lost = f"disconnect {component}", []
        own = self._own(component, self._workloads(component)[0])
        superuser = self._superuser(component, own)
        pods = self._pods(component)
        if not pods:
            raise TargetError(f"{what}: it is down, nobody is connected")
        for pod in pods:

            def rows(statement: str, name: str = pod.name) -> list[str]:
                return answer(self.cluster, name, own.container["name"], superuser, statement, deadline, what)

            lost += end_sessions(rows, keep, what, deadline)
        return lost


def _purpose(kind: ClientKind) -> str:
    return f"client-{kind}"


def _command(kind: ClientKind, url: str, settings: Mapping[str, Any], ttl_s: float) -> tuple[str, ...]:
    """Without the password."""
    ttl = str(math.ceil(ttl_s))
    parts = urlsplit(url)
    if kind == "exhaust":
        user, _, rest = parts.netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}@{rest}" if user else rest
        # a pod that is gone tells nobody
        query = "&".join(part for part in (parts.query, "tcp_user_timeout=5000") if part)
        bare = urlunsplit(parts._replace(netloc=netloc, query=query))
        return ("sh", "-c", EXHAUST, "gameday", bare, ttl)
    database = parts.path.strip("/") or "0"
    where = (parts.hostname or "", str(parts.port or 6379), unquote(parts.username or ""), database)
    return ("sh", "-c", FLUSH, "gameday", *where, str(float(settings["every_s"])), ttl)
