"""An operator's HTTP requests to a component, wherever that lives."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.fields import REQUEST_PATTERN
from gameday.targets import secret
from gameday.targets.base import Address
from gameday.targets.reveal import revealed
from gameday.targets.secret import SecretFile
from gameday.targets.waiting import Deadline

_SHOWN = 300
_READ = 4096
_REFUSED = 400  # this status and all above


def request_by_operator(
    headers: Mapping[str, str],
    address: Address,
    http: str,
    body: Mapping[str, Any] | None,
    timeout_s: float,
    *,
    what: str,
    secrets: SecretFile,
) -> str:
    """Send it with the operator's headers; status and the beginning of the answer, without any secret.

    Raises:
        UsageError: no request, a header that refers to nothing, or a component that has no port.
        TargetError: no answer, or a status of 400 and above.
    """
    if not address.host:
        raise UsageError(f"{what}: it has no port in the environment, so nothing can ask it")
    if not re.match(REQUEST_PATTERN, http):
        raise UsageError(
            f"{http!r} is not a request; expected a method and a path, such as POST /admin/reset"
        )
    hidden: list[str] = []
    sent = {}
    for name, text in headers.items():
        sent[name], unseen = revealed(text, secrets.get, what, "operator.headers")
        hidden += unseen
    status, text = exchange(address, http, sent, body, timeout_s, what)
    shown = secret.remove(secrets.redact(text), hidden)[:_SHOWN].strip()
    answer = f"{what}: status {status}" + (f": {shown}" if shown else "")
    if status >= _REFUSED:
        raise TargetError(answer)
    return answer


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
