"""The fault proxy as a component: one process for an instance, with a port for each link of the environment.

It is a component like others, so it is started, found, shown and ended like them. It must outlive every drill
that meddles with it: it gets none of the caller's variables by which a drill's strays are found.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gameday.component_spec import CommandComponent, Ready
from gameday.environment import Environment, Link
from gameday.errors import TargetError, UsageError
from gameday.targets import ports
from gameday.targets.privilege import Footing
from gameday.targets.program import Launch, Place, base_environment
from gameday.targets.waiting import Deadline

NAME = "fault-proxy"
_ASK_TIMEOUT_S = 1.0


def spec_of_proxy() -> CommandComponent:
    return CommandComponent(command=("python", "-m", "gameday.proxy"), ready=Ready())


def check_no_component(environment: Environment) -> None:
    """Raises UsageError where a component has the name that the proxy needs."""
    if NAME in environment.components:
        raise UsageError(
            f"environment {environment.environment}: components.{NAME}: this name is the fault proxy's own; "
            "choose another"
        )


def path_of(link: Link) -> str:
    """What people read, and what ports are recorded by."""
    return f"{link.client} -> {link.server}"


def link_name(path: str) -> str:
    """A name that the proxy takes (63 characters), and no other path has."""
    readable = path.replace(" -> ", "-to-")[:50].rstrip("-")
    return f"{readable}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One link of the proxy's configuration: where it listens, and where its server is."""

    path: str
    listen: int
    server: int


class FaultProxy:
    """Its folder has the configuration, the control socket and the file that says what is in force."""

    stop_signal = signal.SIGTERM

    def __init__(self, place: Place, links: Callable[[], tuple[Upstream, ...]]) -> None:
        self._place = place
        self._links = links

    @property
    def control(self) -> Path:
        return self._place.folder / "control.sock"

    def choose_footing(self) -> Footing:
        return Footing("same", Path(sys.executable).parent, self._place.folder)

    def prepare(self, footing: Footing, deadline: Deadline) -> None:  # noqa: ARG002
        links = [
            {
                "name": link_name(link.path),
                "listen": f"{ports.HOST}:{link.listen}",
                "upstream": f"{ports.HOST}:{link.server}",
            }
            for link in self._links()
        ]
        document = {"links": links, "control": self.control.name, "state": "in-force.json", "seed": 0}
        self._configuration.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def launch(self, footing: Footing, port: int) -> Launch:  # noqa: ARG002
        argv = (sys.executable, "-m", "gameday.proxy", "--config", str(self._configuration))
        return Launch(argv, base_environment(self._place.mark), Path("/"))

    def is_ready(self, port: int) -> bool:  # noqa: ARG002
        from gameday.proxy import ProxyClient

        try:
            return len(ProxyClient(self.control, _ASK_TIMEOUT_S).status().links) > 0
        except TargetError:
            return False

    def finish(self, footing: Footing, port: int, deadline: Deadline) -> None:
        """Nothing to set up."""

    def discard(self, footing: Footing) -> None:
        """All it has is in its folder."""

    def url(self, port: int) -> str:  # noqa: ARG002
        return f"unix:{self.control}"

    @property
    def _configuration(self) -> Path:
        return self._place.folder / "proxy.json"


def check_links(environment: Environment, recorded: Mapping[str, int]) -> None:
    """An instance keeps the links with which it was brought up.

    Raises:
        TargetError: the environment's file has others now.
    """
    wanted = {path_of(link) for link in environment.links}
    if wanted != set(recorded):
        changed = ", ".join(sorted(wanted ^ set(recorded)))
        raise TargetError(
            f"the links of {environment.environment} have changed since it was brought up ({changed}); "
            f"`gameday env down` and `gameday env up` make them"
        )
