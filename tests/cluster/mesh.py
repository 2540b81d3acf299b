"""What the API server of a cluster with Chaos Mesh knows, and somebody who answers as its daemon does.

No packet is touched: the daemon itself needs kernel modules and images that the cluster of the tests has not. What it
says of a resource, and that it holds one back until it has reverted it, is as its documentation and sources say.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from cluster.quarters import Quarters, kubectl
from targets.eventually import eventually

CRD = "networkchaos.chaos-mesh.org"
FINALIZER = "chaos-mesh/records"
SCHEMA = Path(__file__).parent / "networkchaos.yaml"
Says = Callable[[dict[str, Any], list[str]], dict[str, str]]
"""Of a resource and the pods that it selects: the phase of each that it has taken up."""


def is_served() -> bool:
    return bool(kubectl("get", "crd", CRD, "--ignore-not-found", "-o", "name"))


@contextmanager
def chaos_mesh_known() -> Iterator[None]:
    """Its resources can be made meanwhile, in the whole cluster."""
    if is_served():
        pytest.skip("this cluster has a Chaos Mesh of its own")
    kubectl("apply", "-f", str(SCHEMA))
    try:
        kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=30s")
        assert eventually(lambda: "networkchaos" in kubectl("get", "--raw", f"/apis/{CRD[13:]}/v1alpha1"), 20)
        yield
    finally:
        kubectl("delete", "crd", CRD, "--wait=true", "--timeout=60s")


def resources(quarters: Quarters) -> list[dict[str, Any]]:
    return quarters.listed(CRD)


def injected(_: dict[str, Any], pods: list[str]) -> dict[str, str]:
    """As when all is well."""
    return dict.fromkeys(pods, "Injected")


class Daemon:
    """Takes up what is made in one namespace, and lets it go when it has reverted it, unless it is told that it cannot
    (`reverts`)."""

    def __init__(self, quarters: Quarters, says: Says = injected, reverts_after_s: float = 0.0) -> None:
        self.quarters = quarters
        self.says = says
        self.reverts_after_s = reverts_after_s
        self.reverts = True
        self.problem: Exception | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reverts = True
        ended = eventually(lambda: not any(map(_is_ending, resources(self.quarters))), 30)
        self._end.set()
        self._thread.join()
        for one in resources(self.quarters):  # of a test that failed: nobody would ever let them go
            self._patch(one, {"metadata": {"finalizers": None}})
        assert self.problem is None, self.problem
        assert ended

    def _work(self) -> None:
        try:
            while not self._end.wait(0.1):
                for one in resources(self.quarters):
                    self._look_at(one)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test says it
            self.problem = error

    def _look_at(self, one: dict[str, Any]) -> None:
        finalizers = one["metadata"].get("finalizers") or []
        if _is_ending(one):
            if FINALIZER in finalizers and self.reverts:
                self._end.wait(self.reverts_after_s)
                self._patch(one, {"metadata": {"finalizers": None}})
        elif "status" not in one:
            self._patch(one, {"metadata": {"finalizers": [FINALIZER]}, "status": self._status(one)})

    def _status(self, one: dict[str, Any]) -> dict[str, Any]:
        records: list[dict[str, Any]] = []
        for key, selector in ((".", one["spec"]["selector"]), (".Target", one["spec"]["target"]["selector"])):
            (namespace,) = selector["namespaces"]
            assert namespace == self.quarters.namespace
            labels = ",".join(f"{name}={value}" for name, value in selector["labelSelectors"].items())
            pods = [pod["metadata"]["name"] for pod in self.quarters.listed("pods", labels)]
            said = self.says(one, pods) if key == "." else injected(one, pods)
            records += [
                {"id": f"{namespace}/{pod}", "selectorKey": key, "phase": phase,
                 "injectedCount": int(phase == "Injected"), "recoveredCount": 0}
                for pod, phase in said.items()
            ]  # fmt: skip
        all_in = all(record["phase"] == "Injected" for record in records)
        conditions = {
            "Selected": bool(records),
            "AllInjected": all_in,
            "AllRecovered": False,
            "Paused": False,
        }
        return {
            "conditions": [{"type": kind, "status": str(value)} for kind, value in conditions.items()],
            "experiment": {"desiredPhase": "Run", "containerRecords": records},
        }

    def _patch(self, one: dict[str, Any], body: dict[str, Any]) -> None:
        """One that has gone meanwhile is no matter."""
        words = ("patch", CRD, one["metadata"]["name"], "--type=merge", "-p", json.dumps(body))
        self.quarters.do(*words, check=False)


def _is_ending(one: dict[str, Any]) -> bool:
    return "deletionTimestamp" in one["metadata"]
