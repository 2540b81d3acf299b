"""Building and pulling images through the SDK: bounded in time, and with the last lines in the error."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from gameday.errors import GamedayError, OperationTimedOut, TargetError
from gameday.targets.base import Progress
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline

_KEPT_LINES = 20
_LINE_LIMIT = 500

Event = Mapping[str, Any]


def build_image(
    engine: Engine, context: IO[bytes], tag: str, deadline: Deadline, say: Progress, **options: Any
) -> None:
    """Build a tar archive by the classic builder, which every engine has. `options` are those of the SDK's `build`.

    Raises:
        OperationTimedOut, TargetError
    """

    def build(api: Any) -> Iterable[Event]:
        events: Iterable[Event] = api.build(
            fileobj=context,
            custom_context=True,
            tag=tag,
            decode=True,
            rm=True,
            forcerm=True,
            **options,
        )
        return events

    _follow(engine, f"build of image {tag}", build, deadline, say)


def pull_image(engine: Engine, image: str, deadline: Deadline, say: Progress) -> None:
    """Raises OperationTimedOut, TargetError."""
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(image)

    def pull(api: Any) -> Iterable[Event]:
        events: Iterable[Event] = api.pull(repository, tag=tag or "latest", stream=True, decode=True)
        return events

    say(f"pulling {image}")
    _follow(engine, f"pull of image {image}", pull, deadline, _nothing)


def has_image(engine: Engine, image: str) -> bool:
    return labels_of(engine, image) is not None


def labels_of(engine: Engine, image: str) -> Mapping[str, str] | None:
    """The labels of an image; None where the engine has no such image."""
    import docker.errors

    with engine.translated(f"image {image}"):
        try:
            return engine.api.inspect_image(image)["Config"]["Labels"] or {}
        except docker.errors.ImageNotFound:
            return None


def _nothing(_: str) -> None:
    """For lines that nobody is told: a pull has thousands."""


def _follow(
    engine: Engine,
    what: str,
    begin: Callable[[Any], Iterable[Event]],
    deadline: Deadline,
    say: Progress,
) -> None:
    """Read the engine's events to their end.

    On a thread: the SDK offers a time-out for each read, none for the whole. One that is left behind ends with this
    process, and its build with it, as the engine cancels builds whose client has gone.
    """
    events: queue.SimpleQueue[Event | GamedayError | None] = queue.SimpleQueue()
    patience_s = max(1.0, deadline.left_s())

    def read() -> None:
        end: GamedayError | None = None
        try:
            # a client of its own: a layer may be silent for minutes
            with engine.translated(what), contextlib.closing(engine.patient_api(patience_s)) as api:
                for event in begin(api):
                    events.put(event)
        except GamedayError as error:
            end = error
        except Exception as error:  # noqa: BLE001 - whatever it is must reach who waits
            end = TargetError(f"{what}: {error}")
        events.put(end)

    threading.Thread(target=read, daemon=True, name=what).start()
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    while True:
        event: Event | GamedayError | None = TargetError(what)
        in_time = False
        with contextlib.suppress(queue.Empty):
            event = events.get(timeout=max(deadline.left_s(), 0.001))
            in_time = True
        said = "\n".join(last) or "it said nothing"
        if not in_time or (isinstance(event, OperationTimedOut) and deadline.passed()):
            raise OperationTimedOut(
                f"{what} did not end within {deadline.timeout_s:g} s; its last lines:\n{said}"
            )
        if event is None:
            return
        if isinstance(event, GamedayError):
            raise event
        if "error" in event:
            raise TargetError(f"{what} failed: {str(event['error']).strip()}; its last lines:\n{said}")
        for line in str(event.get("stream") or event.get("status") or "").splitlines():
            if line.strip():
                last.append(line.rstrip()[:_LINE_LIMIT])
                say(last[-1])
