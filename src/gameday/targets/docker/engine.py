"""The Docker engine, by a narrow adapter over its SDK: time-outs, and errors in our words.

The engine may be restarted while a drill runs, so nothing is remembered of a connection, and operations first wait
until an engine answers.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Execution
from gameday.targets.bounded import Bounded
from gameday.targets.waiting import Deadline, wait_until

if TYPE_CHECKING:
    import docker

OUTPUT_LIMIT = 64 * 1024
_TIMEOUT_S = 30.0
_PING_EVERY_S = 0.1
_NO_PROGRAM = (126, 127)
_CREDENTIALS = re.compile(r"//[^/@\s]+@")


class EngineAway(TargetError):
    """No engine answers: it is not running, is being restarted, or may not be asked by this user."""


class NotThere(TargetError):
    """The engine answers that it has no such thing."""


class Engine:
    """One engine. `api` belongs to the calling thread, as the SDK's sessions are not made to be shared."""

    def __init__(self, timeout_s: float = _TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._own = threading.local()

    @classmethod
    def connect(cls, timeout_s: float = _TIMEOUT_S) -> Engine:
        """Raises EngineAway when none answers."""
        engine = cls(timeout_s)
        with engine.translated("Docker engine"):
            engine.api.ping()
        return engine

    @property
    def api(self) -> docker.APIClient:
        """The SDK's client; use it within `translated`."""
        client = getattr(self._own, "client", None)
        if client is None:
            client = self.patient_api(self._timeout_s)
            self._own.client = client
        return client

    def patient_api(self, timeout_s: float) -> docker.APIClient:
        """A client of the caller's own, with another time-out; the caller closes it. Use it within `translated`."""
        import docker

        return docker.APIClient(**_where(), timeout=timeout_s, version="auto")

    def close(self) -> None:
        """End the calling thread's connections; what it asks next opens others."""
        client = getattr(self._own, "client", None)
        if client is not None:
            self._own.client = None
            client.close()

    @property
    def socket(self) -> str | None:
        """Path of the engine's unix socket on this machine; None where it is reached otherwise."""
        url = str(_where().get("base_url") or "unix:///var/run/docker.sock")
        if not url.startswith(("unix://", "http+unix://")):
            return None
        return url.removeprefix("http+").removeprefix("unix://")

    @contextlib.contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Errors of the SDK and of the transport below it, as ours.

        Raises:
            EngineAway, NotThere, OperationTimedOut, TargetError: saying what was tried and what came back.
        """
        import docker.errors
        import requests.exceptions
        import urllib3.exceptions

        try:
            yield
        except docker.errors.NotFound as error:
            raise NotThere(f"{what}: {_said(error)}") from error
        except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
            raise OperationTimedOut(
                f"{what}: the Docker engine gave no answer within {self._timeout_s:g} s"
            ) from error
        except docker.errors.APIError as error:
            raise TargetError(f"{what}: {_said(error)}") from error
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            ConnectionError,
        ) as error:
            self.close()
            raise EngineAway(
                f"{what}: no Docker engine answers ({_reason(error)}); see `docker info`"
            ) from error

    def await_engine(self, deadline: Deadline) -> None:
        """Return at once where an engine answers; else wait for one, as one that is restarted comes back.

        Raises:
            EngineAway: none by the deadline.
        """
        problem: TargetError | None = None

        def answers() -> bool:
            nonlocal problem
            try:
                with self.translated("Docker engine"):
                    self._ping(max(0.1, min(deadline.left_s(), self._timeout_s)))
            except TargetError as error:
                problem = error
                return False
            return True

        if not wait_until(answers, deadline, _PING_EVERY_S):
            raise EngineAway(f"{problem}; waited {deadline.timeout_s:g} s")

    def _ping(self, timeout_s: float) -> None:
        """An engine that takes connections and never answers must not take longer than its caller has."""
        client = getattr(self._own, "client", None)
        if client is None:
            client = self.patient_api(timeout_s)  # asks which version it speaks
            client.timeout = self._timeout_s
            self._own.client = client
        client._result(client._get(client._url("/_ping"), timeout=timeout_s))

    def inspect(self, container: str) -> dict[str, Any]:
        """Raises NotThere."""
        with self.translated(f"inspect {container}"):
            found: dict[str, Any] = self.api.inspect_container(container)
            return found

    def execute(
        self,
        container: str,
        argv: Sequence[str],
        deadline: Deadline,
        *,
        user: str = "",
        environment: dict[str, str] | None = None,
    ) -> Execution:
        """Run a command in a container and collect its output, cut beyond 64 KiB.

        It is given its deadline by `timeout` where the image has that: the engine offers no way to end one.

        Raises:
            OperationTimedOut: it did not end by the deadline.
            TargetError: it could not be run.
        """
        within_s = max(1, round(deadline.left_s()))
        bounded = ("timeout", "-s", "KILL", str(within_s), *argv)
        done = self._execute(container, bounded, deadline, user, environment)
        if done.exit_code in _NO_PROGRAM and "timeout" in done.output:
            done = self._execute(container, tuple(argv), deadline, user, environment)
        killed = done.exit_code == 137 and done.duration_s >= within_s  # by `timeout`
        if killed:
            raise OperationTimedOut(
                f"{' '.join(argv)!r} in {container} did not end within {within_s} s and was killed"
            )
        return Execution(tuple(argv), done.exit_code, done.output, done.duration_s)

    def _execute(
        self,
        container: str,
        argv: Sequence[str],
        deadline: Deadline,
        user: str,
        environment: dict[str, str] | None,
    ) -> Execution:
        begun = time.monotonic()
        what = f"execute {argv[0]} in {container}"
        output = Bounded(OUTPUT_LIMIT)
        with self.translated(what):
            made = self.api.exec_create(container, list(argv), user=user, environment=environment)
            stream = self.api.exec_start(made["Id"], stream=True)

        def read() -> None:
            with (
                contextlib.suppress(Exception),  # its exit code says what came of it
                self.translated(what),
                contextlib.closing(stream._response),  # its connection was upgraded, and goes back to no pool
                contextlib.closing(stream),
            ):
                for chunk in stream:
                    output.add(chunk)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(deadline.left_s() + 1.0)
        if reader.is_alive():
            raise OperationTimedOut(
                f"{what}: it did not end within {deadline.timeout_s:g} s, and may go on; its last output: "
                f"{output.text()[-500:].strip() or 'none'}"
            )
        with self.translated(what):
            code = self.api.exec_inspect(made["Id"])["ExitCode"]
        if code is None:
            raise TargetError(f"{what}: the engine lost it before it ended")
        return Execution(tuple(argv), int(code), output.text(), time.monotonic() - begun)


def _where() -> dict[str, Any]:
    """As the `docker` command finds it: DOCKER_HOST, else the current context, else the usual socket."""
    import docker
    from docker.context import ContextAPI
    from docker.utils import kwargs_from_env

    found: dict[str, Any] = kwargs_from_env()
    if "base_url" not in found:
        with contextlib.suppress(docker.errors.DockerException, OSError, ValueError):
            context = ContextAPI.get_current_context()
            if context is not None and context.Name != "default" and context.Host:
                found = {
                    "base_url": context.Host,
                    **({"tls": context.TLSConfig} if context.TLSConfig else {}),
                }
    return found


def _said(error: Any) -> str:
    explanation = error.explanation
    text = (
        explanation.decode(errors="replace") if isinstance(explanation, bytes) else str(explanation or error)
    )
    return " ".join(text.split())[:500]


def _reason(error: BaseException) -> str:
    """The innermost cause in few words; the SDK wraps it several times."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return _CREDENTIALS.sub("//", " ".join(str(cause).split()) or type(cause).__name__)[:200]
