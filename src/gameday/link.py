"""How activities reach the session of their drill: over a socket to the runner, or in their own process.

Under `gameday run` the activities run in a child process and the session in its parent. Under a plain
`chaos run` there is no parent, so the session runs on a thread beside them. Both ways take the same calls, as
JSON, so that neither can do what the other cannot.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from gameday.errors import GamedayError, UsageError
from gameday.experiment import scenario_document

if TYPE_CHECKING:  # an engine process never opens a session, and should not wait for its imports
    from gameday.session import Session

MAX_LINE = 1_048_576
METHODS = frozenset(
    {
        "context",
        "holds",
        "preflight",
        "arm",
        "injecting",
        "injected",
        "effective",
        "detect",
        "responding",
        "step_started",
        "step_ended",
        "wait_for_probe",
        "ask",
        "responded",
        "recover",
        "account",
        "not_injected",
        "during_injecting",
        "during_injected",
        "during_effective",
        "watch",
        "undo",
        "ended",
    }
)


_WHEN_ABORTED = frozenset({"context", "undo", "ended"})
"""What is still answered in a drill that is to end; anything else would go on with it."""


class LinkError(GamedayError):
    """The session refused a call, or is gone."""


class Link(Protocol):
    def call(self, method: str, **params: Any) -> Any:
        """The session's answer. Raises LinkError with its reason when there is none."""
        ...

    def close(self) -> None: ...


async def answer(session: Session, request: Mapping[str, Any]) -> dict[str, Any]:
    """One call, answered. What gameday raises on purpose is an answer; anything else is a defect and passes."""
    method = request["method"]
    if method not in METHODS:
        return {"error": f"no such call: {method}"}
    if session.aborted is not None and method not in _WHEN_ABORTED:
        return {"error": session.aborted}
    try:
        if method == "context":
            return {"result": context(session)}
        return {"result": await getattr(session, method)(**request["params"])}
    except GamedayError as error:
        return {"error": str(error)}


def context(session: Session) -> dict[str, Any]:
    """What an activity must know to act: whole documents, so that no file is read twice in one drill."""
    return {
        "project": str(session.project.root),
        "environment": session.environment.model_dump(mode="json", exclude_unset=True),
        "instance": session.instance,
        "scenario": scenario_document(session.as_written),
        "speed": session.speed,
        "disarmed": session.disarmed,
        "evidence": str(session.evidence.folder),
    }


async def serve(session: Session, connection: socket.socket) -> bool:
    """Answer calls until the other side closes. Whether it said that it had ended by itself."""
    reader, writer = await asyncio.open_connection(sock=connection, limit=MAX_LINE)
    ended = False
    try:
        while line := await reader.readline():
            request = json.loads(line)
            ended = ended or request["method"] == "ended"
            writer.write(json.dumps(await answer(session, request)).encode() + b"\n")
            await writer.drain()
            if ended:
                break
    except (ConnectionError, BrokenPipeError):
        return ended
    finally:
        writer.close()
    return ended


class RemoteLink:
    """The engine process' end of the socket."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._file = self._socket.makefile("rwb")

    def call(self, method: str, **params: Any) -> Any:
        try:
            self._file.write(json.dumps({"method": method, "params": params}).encode() + b"\n")
            self._file.flush()
            line = self._file.readline()
        except OSError as error:
            raise LinkError(f"the runner is gone: {error}") from error
        if not line:
            raise LinkError("the runner is gone")
        return _result(json.loads(line))

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class LocalLink:
    """A session on a thread of this process."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gameday-session", daemon=True)
        self._thread.start()
        self._closed = False
        self._wait(session.__aenter__())

    @property
    def session(self) -> Session:
        return self._session

    def call(self, method: str, **params: Any) -> Any:
        if self._closed:
            raise LinkError("the drill has ended")
        return _result(self._wait(answer(self._session, {"method": method, "params": params})))

    def close(self) -> None:
        """End the drill: undo what is not undone, and write the last event."""
        if self._closed:
            return
        self._closed = True
        self._wait(self._session.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _wait(self, coroutine: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(timeout=self._session.plan.deadline_s)


def _result(reply: Mapping[str, Any]) -> Any:
    if "error" in reply:
        raise LinkError(str(reply["error"]))
    if "result" not in reply:
        raise UsageError(f"not an answer: {reply!r}")
    return reply["result"]
