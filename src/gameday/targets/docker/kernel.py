"""What the kernel of an engine can do to networks, found out by trying it in a namespace that nobody else has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gameday.fault_spec import DelayFault, LoseFault, NetworkFault, ThrottleFault
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.helper import run_helper
from gameday.targets.docker.sidecar_script import SCRIPT
from gameday.targets.waiting import Deadline

_known: dict[str, Kernel] = {}
_NEEDS = {
    DelayFault: ("classify", "htb", "class", "netem"),
    ThrottleFault: ("classify", "htb", "class", "tbf"),
    LoseFault: ("lose",),
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """`yes`, or what was said when it was tried, by name."""

    tried: Mapping[str, str]

    def lacks(self, fault: NetworkFault) -> str:
        """What this fault would need that is not there, for people; empty where nothing is missing."""
        needed = _NEEDS.get(type(fault), ("reject",))
        return ", ".join(name for name in needed if self.tried.get(name) != "yes")


def kernel_of(engine: Engine, environment: str, deadline: Deadline) -> Kernel:
    """Tried once in a process: a kernel does not change while its engine runs."""
    with engine.translated("Docker engine"):
        where = str(engine.socket or engine.api.base_url)
    if where not in _known:
        argv = ("sh", "-c", SCRIPT, "gameday", "probe")
        done = run_helper(
            engine, argv, deadline, environment=environment, network_mode="none", cap_add=["NET_ADMIN"]
        )
        lines = (line.partition(" ") for line in done.output.splitlines())
        _known[where] = Kernel({name: said for name, _, said in lines})
    return _known[where]
