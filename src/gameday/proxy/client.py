"""Giving orders to a running proxy, and starting one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gameday.errors import OperationTimedOut, TargetError
from gameday.fields import ModelT, parse
from gameday.proxy import unix
from gameday.proxy.config import load_config
from gameday.proxy.status import InForce, ProxyStatus
from gameday.proxy.toxics import Toxic

_CHUNK = 65_536
_POLL_S = 0.01


class ProxyClient:
    """Each call is a connection of its own, bounded by `timeout_s`, and returns when the change is in force.

    Every method raises TargetError when the proxy is not there or refuses, and OperationTimedOut when it does not
    answer in time: then the change may or may not be in force, and its time-to-live ends it either way.
    """

    def __init__(self, control: Path, timeout_s: float = 5.0) -> None:
        self._control = control
        self._timeout_s = timeout_s

    def put(self, link: str, toxic: Toxic) -> InForce:
        """Bring a toxic into force, in place of the one of its name."""
        answer = self._call("put", link=link, toxic=toxic.model_dump(mode="json"))
        return self._parsed(InForce, answer)

    def remove(self, link: str, name: str) -> bool:
        """Heal one; False when it is not in force (any more)."""
        return bool(self._call("remove", link=link, name=name))

    def reset(self, link: str | None = None) -> tuple[str, ...]:
        """Heal everything, or one link. Returns what was in force, as `link/toxic`."""
        return tuple(self._call("reset", link=link))

    def status(self) -> ProxyStatus:
        return self._parsed(ProxyStatus, self._call("status"))

    def _parsed(self, model: type[ModelT], answer: Any) -> ModelT:
        try:
            return parse(model, answer)
        except ValidationError as error:
            raise TargetError(f"fault proxy at {self._control}: its answer is strange: {error}") from error

    def _call(self, do: str, **more: Any) -> Any:
        what = f"fault proxy at {self._control}: {do}"
        try:
            line = self._exchange(json.dumps({"do": do, **more}).encode() + b"\n")
            reply = json.loads(line)
        except TimeoutError as error:
            raise OperationTimedOut(f"{what}: no answer within {self._timeout_s:g} s") from error
        except OSError as error:
            raise TargetError(f"{what}: it does not answer: {error.strerror or error}") from error
        except ValueError as error:
            raise TargetError(f"{what}: it ended without an answer") from error
        if "error" in reply:
            raise TargetError(f"{what}: {reply['error']}")
        return reply["result"]

    def _exchange(self, request: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        answer = b""
        with unix.connect(self._control, self._timeout_s) as connection:
            connection.sendall(request)
            while not answer.endswith(b"\n"):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError
                connection.settimeout(left_s)
                data = connection.recv(_CHUNK)
                if not data:
                    break
                answer += data
        return answer


def launch(
    config: Path, output: Path, *, timeout_s: float = 10.0, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a proxy in a session of its own, so that it outlives whoever started it, and wait until it answers.

    Raises:
        InvalidFile: the configuration is wrong.
        TargetError: it ended; the message has what it said.
        OperationTimedOut: it did not answer in time and was killed.
    """
    client = ProxyClient(Path(load_config(config).control), timeout_s)
    with output.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gameday.proxy", "--config", str(config.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env=None if env is None else dict(env),
        )
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = output.read_text(encoding="utf-8", errors="replace")[-1000:].strip()
            raise TargetError(f"the fault proxy ended with exit code {process.returncode}: {said}")
        try:
            if client.status().pid == process.pid:
                return process
        except TargetError:  # not yet
            time.sleep(_POLL_S)
    process.kill()
    process.wait(timeout=5)
    raise OperationTimedOut(f"the fault proxy did not answer within {timeout_s:g} s; see {output}")
