"""Acting in the network namespaces of containers, by helpers that share them: the containers' images need nothing.

A helper puts its rules, says so, and stays. It removes them when its time is over, when it is asked to, and when it is
ended in an orderly way. What a helper that was killed has left is removed by another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from gameday.errors import GamedayError, OperationTimedOut, TargetError
from gameday.targets.base import Execution
from gameday.targets.docker.containers import Container, discard
from gameday.targets.docker.engine import Engine, NotThere
from gameday.targets.docker.helper import hear, helpers, run_helper, start_helper
from gameday.targets.docker.sidecar_script import SCRIPT
from gameday.targets.waiting import Deadline

NETWORK_LABEL = "gameday.network"
COMPONENT_LABEL, CLIENT_LABEL = "gameday.network.component", "gameday.network.client"
FAULT_LABEL, KIND_LABEL = "gameday.network.fault", "gameday.network.kind"
VICTIM_LABEL = "gameday.network.victim"
_POLL_S = 0.01
_AT_ONCE = 4
_IN_FORCE, _FAILED = "in force", "failed: "

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Impairment:
    """What is put into one namespace: documents for iptables-restore and ip6tables-restore, and where packets wait."""

    victim: Container
    base: str
    rules4: str
    rules6: str
    class_id: str = ""
    leaf: str = ""


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper as the engine lists it."""

    id: str
    running: bool
    component: str
    client: str
    fault: str
    kind: str
    victim: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Helper:
        labels = entry["Labels"]
        named = (COMPONENT_LABEL, CLIENT_LABEL, FAULT_LABEL, KIND_LABEL, VICTIM_LABEL)
        return cls(entry["Id"], entry["State"] == "running", *(labels.get(label, "") for label in named))


def find(engine: Engine, environment: str) -> tuple[Helper, ...]:
    """Helpers of this environment that impair a network now."""
    return tuple(Helper.of(entry) for entry in helpers(engine, environment, **{NETWORK_LABEL: "1"}))


def put(
    engine: Engine,
    environment: str,
    one: Impairment,
    labels: Mapping[str, str],
    ttl_s: float,
    deadline: Deadline,
) -> None:
    """Start the helper in one namespace, in place of the one of its name, and return when the rules are in force.

    Raises:
        TargetError: they could not be put; nothing is left of them.
    """
    name = f"{one.base.lower()}-{one.victim.id[:12]}"
    discard(engine, name, deadline)
    variables = {
        "RULES4": one.rules4,
        "RULES6": one.rules6,
        "CLASS": one.class_id,
        "LEAF": one.leaf,
    }
    what = f"network of {one.victim.name}"
    with engine.translated(what):
        helper = start_helper(
            engine,
            ["sh", "-c", SCRIPT, "gameday", "put", one.base, f"{ttl_s:.3f}"],
            environment=environment,
            name=name,
            labels={NETWORK_LABEL: "1", VICTIM_LABEL: one.victim.id, **labels},
            options={"environment": variables},
            network_mode=f"container:{one.victim.id}",
            cap_add=["NET_ADMIN"],
            log_config={
                "Type": "json-file",
                "Config": {},
            },  # what it says is read, whatever the engine's default is
        )
    try:
        _await_in_force(engine, helper, what, deadline)
    except GamedayError:
        discard(engine, name, Deadline.after(10.0))
        raise


def _await_in_force(engine: Engine, helper: str, what: str, deadline: Deadline) -> None:
    said, in_time = hear(
        engine, helper, lambda text: _IN_FORCE in text or _FAILED in text, what, deadline, _POLL_S
    )
    if not in_time:
        raise OperationTimedOut(f"{what}: its rules were not in force within {deadline.timeout_s:g} s")
    if _FAILED in said:
        raise TargetError(f"{what}: {said.partition(_FAILED)[2].strip()[:1000]}")
    if _IN_FORCE not in said:
        raise TargetError(f"{what}: its helper ended before its rules were in force: {said.strip()[:1000]}")


def heal(
    engine: Engine,
    environment: str,
    victim: Container,
    patterns: Sequence[str],
    present: Sequence[Helper],
    deadline: Deadline,
) -> tuple[str, ...]:
    """Remove every chain of these patterns from one namespace, verify that none is left, and name what was removed.
    A container that stopped meanwhile has no namespace, and so no rules.

    A command in one of the helpers that are there already is several times faster than another helper.
    """
    argv = ("sh", "-c", SCRIPT, "gameday", "heal", *patterns)
    for helper in present:
        if helper.running and helper.victim == victim.id and _still_in(engine, helper, victim):
            try:
                done = engine.execute(helper.id, argv, deadline)
            except TargetError:  # it ended just now
                continue
            if done.exit_code == 0:
                return _removed(done)
    try:
        done = run_helper(
            engine,
            argv,
            deadline,
            environment=environment,
            network_mode=f"container:{victim.id}",
            cap_add=["NET_ADMIN"],
        )
    except TargetError:
        if _running(engine, victim.id):
            raise
        return ()
    return _removed(done)


def _removed(done: Execution) -> tuple[str, ...]:
    return tuple(line for line in done.output.splitlines() if line.startswith("removed "))


def _still_in(engine: Engine, helper: Helper, victim: Container) -> bool:
    """Whether the helper is in the namespace that the container has now: one that was restarted has a new one."""
    try:
        began = engine.inspect(victim.id)["State"]["StartedAt"]
        return bool(began <= engine.inspect(helper.id)["Created"])
    except NotThere:
        return False


def _running(engine: Engine, container: str) -> bool:
    try:
        return bool(engine.inspect(container)["State"]["Running"])
    except NotThere:
        return False


def at_once(engine: Engine, calls: Iterable[Callable[[], ResultT]]) -> list[ResultT]:
    """Results of calls that may be made side by side; when some fail the others still end, and the first is raised."""
    todo = list(calls)
    if len(todo) < 2:
        return [call() for call in todo]

    def one(call: Callable[[], ResultT]) -> ResultT:
        try:
            return call()
        finally:
            engine.close()  # of this thread, which ends

    with ThreadPoolExecutor(min(_AT_ONCE, len(todo))) as pool:
        futures = [pool.submit(one, call) for call in todo]
    return [future.result() for future in futures]
