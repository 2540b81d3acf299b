"""Whether a component that was started answers, asked from outside."""

from __future__ import annotations

import http.client

from gameday.targets import ports

_TIMEOUT_S = 1.0


def answers(host: str, port: int, path: str | None) -> bool:
    """By a GET of `path` that gives 200; without a path, by an accepted connection."""
    return ports.accepts(port, host=host) if path is None else _answers_200(host, port, path)


def _answers_200(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
