"""An operator's HTTP requests to a component."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from gameday.environment import CommandComponent
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.fields import REQUEST_PATTERN
from gameday.targets import secret
from gameday.targets.base import Address
from gameday.targets.instance import Instance
from gameday.targets.references import resolve, secret_name
from gameday.targets.waiting import Deadline

_SHOWN = 300
_READ = 4096
_REFUSED = 400  # this status and all above
_VARIABLE = "env:"


class Requests(Instance):
    """Implements `Requestable`."""

    def request(self, component: str, http: str, body: Mapping[str, Any] | None, timeout_s: float) -> str:
        """Send it with the operator's headers; status and the beginning of the answer, without any secret."""
        spec = self._component(component).spec
        if not isinstance(spec, CommandComponent):
            raise UsageError(f"{component} is a {spec.verb}; only a command takes HTTP requests")
        if not re.match(REQUEST_PATTERN, http):
            raise UsageError(
                f"{http!r} is not a request; expected a method and a path, such as POST /admin/reset"
            )
        what = f"{http} of {component}"
        with self._translated(what):
            hidden: list[str] = []
            headers = {
                name: resolve(text, lambda reference: self._reveal(reference, what, hidden))
                for name, text in spec.operator.headers.items()
            }
            status, text = exchange(self.address(component), http, headers, body, timeout_s, what)
            shown = secret.remove(self._secrets.redact(text), hidden)[:_SHOWN].strip()
        answer = f"{what}: status {status}" + (f": {shown}" if shown else "")
        if status >= _REFUSED:
            raise TargetError(answer)
        return answer

    def _reveal(self, reference: str, what: str, hidden: list[str]) -> str:
        """The value behind `secret:NAME` or `env:NAME`; it is added to what must be `hidden`."""
        name = secret_name(reference)
        variable = reference.removeprefix(_VARIABLE)
        if name is not None:
            value = self._secrets.get(name)
        elif variable == reference:
            raise UsageError(
                f"{what}: unknown reference ${{{reference}}} in operator.headers; known are ${{secret:NAME}} and "
                "${env:NAME}"
            )
        elif variable not in os.environ:
            raise UsageError(f"{what}: environment variable {variable} is not set; operator.headers needs it")
        else:
            value = os.environ[variable]
        hidden.append(value)
        return value


def exchange(
    address: Address,
    request: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
    timeout_s: float,
    what: str,
) -> tuple[int, str]:
    """Ask once; the status and the beginning of the body.

    Raises:
        OperationTimedOut: no whole answer by then, however slowly it dribbles.
        TargetError: no answer.
    """
    method, path = request.split(" ", 1)
    content = None if body is None else json.dumps(body)
    more = {} if body is None else {"Content-Type": "application/json"}
    deadline = Deadline.after(timeout_s)
    connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    try:
        connection.connect()
        with _ended_at(deadline, connection.sock):
            connection.request(method, path, content, {**more, **headers})
            response = connection.getresponse()
            text = response.read(_READ).decode(errors="replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if deadline.passed() or isinstance(error, TimeoutError):
            raise OperationTimedOut(f"{what}: no answer within {timeout_s:g} s") from error
        # not the error's own words: a header that cannot be sent is quoted in them
        reason = error.strerror if isinstance(error, OSError) else None
        raise TargetError(f"{what}: no answer: {reason or type(error).__name__}") from None
    finally:
        connection.close()
    if deadline.passed():
        raise OperationTimedOut(f"{what}: no answer within {timeout_s:g} s")
    return response.status, text


@contextmanager
def _ended_at(deadline: Deadline, connection: socket.socket) -> Iterator[None]:
    """A socket's own time-out counts from its last byte; this ends the connection at the deadline."""

    def end() -> None:
        with suppress(OSError):  # it is closed already
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(deadline.left_s(), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
