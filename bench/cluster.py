"""The Kubernetes target: the death of many pods, against the command that people type."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.arithmetic import alternate
from bench.processes import ROOT, BenchError
from bench.result import Result

PAIRS = 3
PODS = int(os.environ.get("GAMEDAY_BENCH_PODS", "100"))
"""As many as one node usually takes is 110."""
_READY_WITHIN_S = 300.0


def measure(work: Path) -> list[Result]:
    if shutil.which("kubectl") is None or not os.environ.get("CONTEXT"):
        raise BenchError("needs kubectl, and CONTEXT with the context of a cluster")
    sys.path.insert(0, str(ROOT / "tests"))
    from cluster.quarters import quarters_in

    with quarters_in(work, prefix="bench") as many:
        # nothing asks them: what is measured is their end
        container = {"image": "python:3.11-slim", "command": ["sleep", "3600"]}
        many.apply(*many.workload("many", container, replicas=PODS))
        many.components["many"]["ready"] = {"within": f"{_READY_WITHIN_S:g}s"}
        target = many.target()
        command = ["kubectl", "--context", os.environ["CONTEXT"], "-n", many.namespace]
        command += ["delete", "pod", "-l", "app=many", "--grace-period=1"]

        def kubectl() -> float:
            target.start("many", _READY_WITHIN_S)
            begun = time.monotonic()
            subprocess.run(command, check=True, capture_output=True, timeout=_READY_WITHIN_S)
            return time.monotonic() - begun

        def gameday() -> float:
            target.start("many", _READY_WITHIN_S)
            begun = time.monotonic()
            # one fewer than all, so that here too the controller makes others meanwhile
            target.kill("many", "SIGKILL", _READY_WITHIN_S, PODS - 1)
            return time.monotonic() - begun

        ours, theirs = alternate(gameday, kubectl, PAIRS)
    return [
        Result(
            f"kill of {PODS} pods, until all are gone",
            "s",
            tuple(ours),
            "kubectl delete pod -l",
            tuple(theirs),
            bar=1.3,
            judged="ratio",
            note="both leave each pod a second, and its deployment makes others meanwhile",
        )
    ]
