"""Orders to a fault proxy that runs in a container of the environment, given by a command beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gameday.environment import Link
from gameday.errors import TargetError
from gameday.fault_spec import NetworkFault
from gameday.targets.base import Execution
from gameday.targets.links import toxic_of

CONTROL = "/run/gameday/control.sock"
"""Where the proxy in such a container takes its orders: `control` in its configuration."""
_DOWN = 44
_TELL = """
import socket, sys
try:
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(5)
        control.connect(sys.argv[1])
        control.sendall(sys.argv[2].encode() + b"\\n")
        print(control.makefile().readline(), end="")
except (FileNotFoundError, ConnectionRefusedError):
    sys.exit(44)
except OSError as error:
    sys.exit(f"it does not answer: {error}")
"""
"""What `gameday.proxy.control` does, without its imports: an order must be in force at once, on a busy machine too."""


class ProxyDown(TargetError):
    """The container runs, and no proxy in it takes orders."""


def name_in_proxy(link: Link) -> str:
    return link.name or f"{link.client}-{link.server}"


def proxied(links: Iterable[Link], server: str, client: str | None) -> tuple[Link, ...]:
    """Links to `server` through a fault proxy: of one client, or of all."""
    found = (link for link in links if link.server == server and link.via is not None)
    return tuple(link for link in found if client in (None, link.client))


def wanted(server: str, client: str | None) -> str:
    """What an environment lacks that routes no link so, for people."""
    return (
        f"the environment routes no link from {client or 'anybody'} to {server} through a fault proxy; it needs one: "
        f"`links: [{{client: {client or 'CLIENT'}, server: {server}, via: PROXY, port: PORT}}]`"
    )


@dataclass(frozen=True, slots=True)
class ContainedProxy:
    """One that runs. `execute` runs a command in its container, by a deadline of its own."""

    name: str
    execute: Callable[[Sequence[str]], Execution]

    def put(self, link: Link, fault: NetworkFault, name: str, ttl_s: float) -> int:
        """Bring it into force; the proxy itself ends it. Returns on how many open connections it acts."""
        toxic = toxic_of(fault, name, ttl_s).model_dump(mode="json")
        return int(self._order("put", link=name_in_proxy(link), toxic=toxic)["connections"])

    def heal(self, link: Link, name: str | None) -> tuple[str, ...]:
        """End one of them, or all of this link; names of what was ended. A proxy that is down has nothing in force."""
        try:
            return self._heal(link, name)
        except ProxyDown:
            return ()

    def _heal(self, link: Link, name: str | None) -> tuple[str, ...]:
        path = f"{link.client} -> {link.server}"
        if name is None:
            ended = self._order("reset", link=name_in_proxy(link))
            return tuple(f"{path}: {one.partition('/')[2]}" for one in ended)
        removed = self._order("remove", link=name_in_proxy(link), name=name)
        return (f"{path}: {name}",) if removed else ()

    def _order(self, do: str, **more: Any) -> Any:
        what = f"{do} {more['link']} by the fault proxy in {self.name}"
        order = json.dumps({"do": do, **more})
        done = self.execute(("python3", "-I", "-S", "-c", _TELL, CONTROL, order))
        said = done.output.strip()[-500:]
        if done.exit_code == _DOWN:
            raise ProxyDown(f"{what}: nothing takes orders at {CONTROL}")
        if done.exit_code != 0:
            raise TargetError(f"{what}: exit code {done.exit_code}: {said}")
        try:
            answer: dict[str, Any] = json.loads(done.output)
        except ValueError as error:
            raise TargetError(f"{what}: it gave a strange answer: {said}") from error
        if "error" in answer:
            raise TargetError(f"{what}: {answer['error']}")
        return answer["result"]
