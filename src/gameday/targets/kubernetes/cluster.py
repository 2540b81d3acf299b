"""One namespace of a Kubernetes cluster, by a narrow adapter over its client: time-outs, and errors in our words.

The API server may be away while a drill runs, so operations first wait until it answers. What is written is written to
the context that the environment names, in the namespace that it names and that carries the opt-in label, or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Execution
from gameday.targets.kubernetes.execution import execute_in
from gameday.targets.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from kubernetes import client

ALLOW_LABEL = "gameday.dev/allow"
IN_CLUSTER = "in-cluster"
_TIMEOUT_S = 10.0
_CHECK_EVERY_S = 0.1
_SERVER_ERROR = 500
_RESOURCE = re.compile(r"/(?:api/[^/]+|apis/[^/]+/[^/]+)/(.+)$")
"""The end of a request's path; something else may stand before it, where an API server is reached by way of another."""
_CREDENTIALS = re.compile(r"(?i)(bearer\s+|//)[^\s@/]+(?=@|\s|$)")


class ClusterAway(TargetError):
    """No API server answers."""


class NotThere(TargetError):
    """The API server answers that it has no such object."""


class Conflict(TargetError):
    """The object was changed by somebody else meanwhile, or is there already."""


class Forbidden(TargetError):
    """This identity may not do that, or is known no more."""


class Cluster:
    """One namespace. Safe to use from several threads."""

    def __init__(self, context: str, namespace: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Nothing is contacted."""
        self.context = context
        self.namespace = namespace
        self.requests: Counter[str] = Counter()
        """What the API server was sent so far, as `METHOD RESOURCE`."""
        self.timeout_s = timeout_s
        self._allowed = False
        self._led_there: tuple[tuple[str, int, int], ...] = ()
        self._lock = threading.Lock()

    # --- clients: use them within `translated`, or `writing` for what changes something. `Any`, as the SDK's types have
    # every field of every object optional ---------------------------------------------------------------------------

    @cached_property
    def core(self) -> Any:
        from kubernetes import client

        return client.CoreV1Api(self._client)

    @cached_property
    def apps(self) -> Any:
        from kubernetes import client

        return client.AppsV1Api(self._client)

    @cached_property
    def batch(self) -> Any:
        from kubernetes import client

        return client.BatchV1Api(self._client)

    @cached_property
    def networking(self) -> Any:
        from kubernetes import client

        return client.NetworkingV1Api(self._client)

    @cached_property
    def coordination(self) -> Any:
        from kubernetes import client

        return client.CoordinationV1Api(self._client)

    @cached_property
    def authorization(self) -> Any:
        from kubernetes import client

        return client.AuthorizationV1Api(self._client)

    @cached_property
    def dynamic(self) -> Any:
        """For objects of any kind, as manifests have them. Asks the server what kinds it knows."""
        from kubernetes import dynamic

        untyped: Any = dynamic
        return untyped.DynamicClient(self._client)

    @property
    def host(self) -> str:
        """Name or address of the API server."""
        return urlsplit(self.server).hostname or ""

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._client.configuration.host)

    @cached_property
    def _client(self) -> client.ApiClient:
        return self.new_client()

    def new_client(self) -> client.ApiClient:
        """One of the caller's own.

        Raises:
            UsageError: no kubeconfig, or no such context in it.
        """
        from kubernetes import client
        from kubernetes import config as sdk_config

        config: Any = sdk_config  # it has no types
        settings = client.Configuration()
        try:
            if self.context == IN_CLUSTER:
                config.load_incluster_config(client_configuration=settings)
            else:
                config.load_kube_config(
                    context=self.context, client_configuration=settings, persist_config=False
                )
        except config.ConfigException as error:
            raise UsageError(f"Kubernetes context {self.context!r}: {error}") from error
        settings.retries = False
        cluster, timeout_s = self, self.timeout_s

        class BoundedClient(client.ApiClient):
            """Every request has a time-out and is counted; the SDK waits for ever unless told otherwise."""

            def call_api(self, *args: Any, **named: Any) -> Any:
                named["_request_timeout"] = named.get("_request_timeout") or timeout_s
                cluster.count(*kind_of(*args[:2]))
                return super().call_api(*args, **named)

        return BoundedClient(settings)

    def count(self, method: str, resource: str) -> None:
        """One more request."""
        with self._lock:
            self.requests[f"{method} {resource}"] += 1

    # --- guards --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Errors of the SDK and of the transport below it, as ours.

        Raises:
            ClusterAway, NotThere, Conflict, Forbidden, OperationTimedOut, TargetError: saying what was tried and what
                came back.
        """
        import urllib3.exceptions
        from kubernetes.client.exceptions import ApiException

        try:
            yield
        except ApiException as error:
            kinds = {401: Forbidden, 403: Forbidden, 404: NotThere, 409: Conflict}
            raise kinds.get(error.status or 0, TargetError)(f"{what}: {_said(error)}") from error
        except (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise OperationTimedOut(
                f"{what}: the API server of context {self.context} gave no answer within {self.timeout_s:g} s"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterAway(
                f"{what}: no API server of context {self.context} answers ({_reason(error)}); see `kubectl "
                f"--context {self.context} get --raw /readyz`"
            ) from error

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """`translated`, for a change: only in a namespace that allows it, and where the context still leads.

        Raises:
            UsageError: the namespace does not allow drills; or the context leads to another cluster now.
        """
        self.check_allowed()
        with self.pinned(what):
            yield

    @contextlib.contextmanager
    def pinned(self, what: str) -> Iterator[None]:
        """`writing`, for who looks at the namespace's label himself, as it may not be there yet.

        Raises:
            UsageError: the context leads to another cluster now.
        """
        self._check_context()
        with self.translated(what):
            yield

    def check_allowed(self) -> None:
        """Raises UsageError unless the namespace carries the opt-in label. Asked of the server once."""
        if self._allowed:
            return
        if self.namespace.startswith("kube-"):
            raise UsageError(
                f"namespace {self.namespace} belongs to the cluster itself: nothing is drilled there"
            )
        with self.translated(f"namespace {self.namespace}"):
            found = self.core.read_namespace(self.namespace)
        if (found.metadata.labels or {}).get(ALLOW_LABEL) != "true":
            raise UsageError(
                f'namespace {self.namespace} of context {self.context} does not carry {ALLOW_LABEL}: "true", so every '
                f"drill there is refused. If it may be drilled: kubectl --context {self.context} label namespace "
                f"{self.namespace} {ALLOW_LABEL}=true"
            )
        self._allowed = True

    def identity(self) -> str:
        """What tells this namespace from one of the same name elsewhere, or made anew: its uid."""
        with self.translated(f"namespace {self.namespace}"):
            return str(self.core.read_namespace(self.namespace).metadata.uid)

    def _check_context(self) -> None:
        """A kubeconfig that was edited meanwhile must not lead what we still write to another cluster than what we
        read from: we go on with the old one only while both are the same."""
        if self.context == IN_CLUSTER or (self._led_there == (files := _kubeconfig()) and files):
            return
        from kubernetes import client
        from kubernetes import config as sdk_config

        config: Any = sdk_config  # it has no types
        now = client.Configuration()
        try:
            config.load_kube_config(context=self.context, client_configuration=now, persist_config=False)
        except config.ConfigException as error:
            raise UsageError(f"Kubernetes context {self.context!r}: {error}") from error
        if now.host != self.server:
            raise UsageError(
                f"context {self.context} leads to {now.host} now, and led to {self.server}: nothing is changed"
            )
        self._led_there = files

    def await_cluster(self, deadline: Deadline) -> None:
        """Return at once where the API server answers; else wait for it.

        Raises:
            ClusterAway: it did not by the deadline.
        """
        problem: TargetError | None = None

        def answers() -> bool:
            nonlocal problem
            try:
                with self.translated("API server"):
                    answer: Any = self._client.call_api(
                        "GET",
                        f"{self.server}/readyz",
                        _request_timeout=max(0.1, min(deadline.left_s(), self.timeout_s)),
                    )
                    answer.read()
            except TargetError as error:
                problem = error
                return False
            if answer.status >= _SERVER_ERROR:
                problem = ClusterAway(
                    f"the API server of context {self.context} is not ready: {answer.status}"
                )
                return False
            return True  # what this identity may is another question

        if not wait_until(answers, deadline, _CHECK_EVERY_S):
            raise ClusterAway(f"{problem}; waited {deadline.timeout_s:g} s")

    def raw(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> dict[str, Any]:
        """What a call of the SDK reads, as the server sent it: its types lose fields that they do not know. Use it
        within `translated`."""
        answer = call(*arguments, _preload_content=False, **named)
        found: dict[str, Any] = json.loads(answer.data)
        return found

    # --- execution -----------------------------------------------------------------------------------------

    def execute(
        self, pod: str, container: str | None, argv: Sequence[str], deadline: Deadline, stdin: bytes = b""
    ) -> Execution:
        """Run a command in a pod and collect its output, cut beyond 64 KiB.

        It is given its deadline by `timeout` where the image has that: the API offers no way to end one.

        Raises:
            OperationTimedOut: it did not end by the deadline.
            TargetError: it could not be run.
        """
        return execute_in(self, pod, container, argv, deadline, stdin)


def referred(text: str, what: str) -> str:
    """`text` with `${env:NAME}` and `${env:NAME:-DEFAULT}` replaced; raises UsageError for what is not set and has no
    default."""

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if not os.environ.get(name) and default is None:
            raise UsageError(f"{what} refers to ${{env:{name}}}, and {name} is not set in the environment")
        return os.environ.get(name) or default

    return re.sub(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}", value, text)


def _kubeconfig() -> tuple[tuple[str, int, int], ...]:
    """The files of the kubeconfig, each with when it was written and how long it is: the same while none is edited."""
    from kubernetes.config import kube_config

    found = []
    for name in kube_config.KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep):
        path = Path(name).expanduser()
        if name and path.is_file():
            state = path.stat()
            found.append((str(path), state.st_mtime_ns, state.st_size))
    return tuple(found)


def kind_of(method: str, url: str) -> tuple[str, str]:
    """What a request is, without names: `GET` and `pods`, or `pods/log`."""
    path = urlsplit(url).path
    found = _RESOURCE.search(path)
    parts = (found[1] if found else path.strip("/")).split("/")
    if parts[0] == "namespaces" and len(parts) > 2:
        parts = parts[2:]
    return method, "/".join([parts[0], *parts[2:3]])


def _said(error: Any) -> str:
    """What the API server answered, in few words."""
    try:
        text = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        text = f"{error.status} {error.reason}"
    return " ".join(text.split())[:500]


def _reason(error: BaseException) -> str:
    """The innermost cause in few words."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return _CREDENTIALS.sub(r"\1***", " ".join(str(cause).split()) or type(cause).__name__)[:200]
