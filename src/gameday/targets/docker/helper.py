"""Gameday's own containers: they act beside a component, so that its image needs nothing.

They carry a label by which they are found and never taken for a component, and remove themselves when they end.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.base import Execution
from gameday.targets.bounded import Bounded
from gameday.targets.docker.containers import HELPER_LABEL, discard
from gameday.targets.docker.engine import OUTPUT_LIMIT, Engine, NotThere
from gameday.targets.docker.image import helper_image
from gameday.targets.waiting import Deadline, wait_until

ENVIRONMENT_LABEL = "gameday.environment"
"""Carries the name on the engine of the environment that it helps with."""
_POLL_S = 0.02


def run_helper(
    engine: Engine,
    argv: Sequence[str],
    deadline: Deadline,
    *,
    environment: str,
    check: bool = True,
    labels: Mapping[str, str] | None = None,
    **host: Any,
) -> Execution:
    """Run a command in a helper container to its end. `host` are options of the SDK's `create_host_config`, such as
    `network_mode`, `cap_add`, `volumes_from`, `pid_mode`.

    Raises:
        TargetError: with `check`, it failed; the message has what it said.
        OperationTimedOut: it did not end in time and was removed.
    """
    begun = time.monotonic()
    with (
        created(engine, argv, environment=environment, what="run", host=host, labels=labels) as helper,
        engine.translated(f"run {argv[0]}"),
    ):
        engine.api.start(helper)
        code = _wait(engine, helper, argv, deadline)
        output = Bounded(OUTPUT_LIMIT)
        output.add(engine.api.logs(helper, stdout=True, stderr=True))
    done = Execution(tuple(argv), code, output.text(), time.monotonic() - begun)
    if check and code != 0:
        command = " ".join(argv)[:200]
        raise TargetError(
            f"{command!r} in a helper container ended with exit code {code}: {done.output.strip()}"
        )
    return done


def _wait(engine: Engine, helper: str, argv: Sequence[str], deadline: Deadline) -> int:
    """The exit code. Its own time-out is the deadline's, not that of the engine's other answers."""
    import requests.exceptions

    try:
        return int(engine.api.wait(helper, timeout=max(1.0, deadline.left_s()))["StatusCode"])
    except requests.exceptions.RequestException as error:
        if not deadline.passed():
            raise
        raise OperationTimedOut(
            f"{' '.join(argv)[:200]!r} in a helper container did not end within {deadline.timeout_s:g} s"
        ) from error


def start_helper(
    engine: Engine,
    argv: Sequence[str],
    *,
    environment: str,
    name: str,
    labels: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    **host: Any,
) -> str:
    """Start a helper that goes on by itself and is removed when it ends; its id. `options` are of `create_container`.

    Raises:
        TargetError: a container of this name is there, or it could not be started.
    """
    with engine.translated(f"start helper {name}"):
        config = engine.api.create_host_config(**{"auto_remove": True, **host})
        made = engine.api.create_container(
            helper_image(engine),
            list(argv),
            name=name,
            labels={HELPER_LABEL: "1", ENVIRONMENT_LABEL: environment, **(labels or {})},
            host_config=config,
            **(options or {}),
        )
        engine.api.start(made["Id"])
        return str(made["Id"])


@contextlib.contextmanager
def created(
    engine: Engine,
    argv: Sequence[str],
    *,
    environment: str,
    what: str,
    host: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A helper that is removed afterwards, whatever happens."""
    with engine.translated(f"helper to {what} {argv[0]}"):
        made = engine.api.create_container(
            helper_image(engine),
            list(argv),
            labels={HELPER_LABEL: "1", ENVIRONMENT_LABEL: environment, **(labels or {})},
            host_config=engine.api.create_host_config(**host),
        )["Id"]
    try:
        yield made
    finally:
        with contextlib.suppress(NotThere), engine.translated(f"remove helper {made[:12]}"):
            engine.api.remove_container(made, v=True, force=True)


def helpers(engine: Engine, environment: str, **labels: str) -> tuple[Mapping[str, Any], ...]:
    """Helpers of this environment as the engine lists them, with these labels."""
    wanted = [
        f"{HELPER_LABEL}=1",
        f"{ENVIRONMENT_LABEL}={environment}",
        *(f"{name}={text}" for name, text in labels.items()),
    ]
    with engine.translated("list helpers"):
        found = engine.api.containers(all=True, filters={"label": wanted})
    return tuple(found)


def end_helpers(engine: Engine, environment: str, deadline: Deadline, **labels: str) -> tuple[str, ...]:
    """Remove the helpers of this environment with these labels, whatever they do; their ids.

    Raises:
        OperationTimedOut, TargetError: one is still there at the deadline.
    """
    found = tuple(str(helper["Id"]) for helper in helpers(engine, environment, **labels))
    for helper in found:
        discard(engine, helper, deadline)
    return found


def hear(
    engine: Engine,
    helper: str,
    until: Callable[[str], bool],
    what: str,
    deadline: Deadline,
    poll_s: float = _POLL_S,
) -> tuple[str, bool]:
    """What a helper that goes on has said, as soon as `until` is true of it or the helper is gone; and whether one of
    the two was so by the deadline."""
    said = ""

    def heard() -> bool:
        nonlocal said
        try:
            with engine.translated(what):
                log = engine.api.logs(helper, stdout=True, stderr=True)
        except NotThere:
            return True
        said = bytes(log).decode(errors="replace")
        return until(said)

    in_time = wait_until(heard, deadline, poll_s)
    return said, in_time


def answer(done: Execution, what: str) -> Mapping[str, Any]:
    """The JSON object in the last line of what a helper said.

    Raises:
        TargetError: there is none.
    """
    try:
        found = json.loads(done.output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        found = None
    if not isinstance(found, dict):
        raise TargetError(f"{what}: a helper's answer cannot be understood: {done.output.strip()[:500]!r}")
    return found
