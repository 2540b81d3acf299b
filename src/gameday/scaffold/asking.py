"""Which question a component answers: well-known health paths by GET, else whether it takes a connection.

Only reads, and asks each path once. What users really ask of the service, nobody can see from outside.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from gameday.scaffold.place import Part

PATHS = (
    "/health/ready",
    "/healthz",
    "/readyz",
    "/health",
    "/health/live",
    "/-/ready",
    "/ready",
    "/ping",
    "/",
)
_NOWHERE = "/no-such-page-of-gameday"
"""What answers this answers anything, and a health path that it answers says nothing."""
_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Question:
    """A probe. `path` None: a TCP connection is all that could be found. `said`: what came back, for people."""

    component: str
    path: str | None
    said: str
    answered: bool = True

    @property
    def probe(self) -> str:
        """The name of the probe."""
        return f"{self.component}-answers"


def ask(part: Part) -> Question:
    """What it answers now. Never raises: what does not answer is a question that is still to be found."""
    import httpx

    if part.url is None or part.host is None or part.published is None:
        return Question(part.name, None, part.unreachable, answered=False)
    said: list[str] = []
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False) as client:
        for path in (_NOWHERE, *PATHS):
            try:
                status = client.get(part.url + path).status_code
            except httpx.ConnectError:
                return Question(part.name, None, f"nothing answers at {part.url}", answered=False)
            except httpx.TimeoutException:
                said.append(f"GET {path}: no answer within {_TIMEOUT_S:g} s")
                break  # it would be the same for each of the others
            except httpx.HTTPError:
                break  # it speaks something else
            if status == 200 and path == _NOWHERE:
                return Question(part.name, "/", "any path answers 200, so this one is the first page")
            if status == 200:
                return Question(part.name, path, f"GET {path} answers 200")
            if path != _NOWHERE:
                said.append(f"GET {path} answers {status}")
    try:
        with socket.create_connection((part.host, part.published), _TIMEOUT_S):
            return Question(part.name, None, "; ".join([*said, "takes connections"]))
    except OSError as error:
        return Question(part.name, None, f"nothing answers at {part.url}: {error}", answered=False)
