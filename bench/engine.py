"""What gameday costs beside Chaos Toolkit: one drill in which nothing takes time, whole processes.

`gameday run` starts a runner, the engine's process and the dead-man switch, and afterwards writes reports in four
forms and the history; `chaos run` of the same experiment opens the same drill in its own process and writes its
verdict only. The no-op experiment shows what of that is Chaos Toolkit itself.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.arithmetic import alternate, spread
from bench.processes import CHAOS, GAMEDAY, Timed, surroundings, timed
from bench.result import Result

PAIRS = 10
BAR = 2.0

ENVIRONMENT = """\
environment: fake
target: fake
drills: allowed
components: {database: {fake: {}}}
probes: {answers: {state: up, component: database, every: 5ms}}
detector: {kind: fake, alert: database_down, watches: database}
"""
SCENARIO = """\
scenario: instant
title: Nothing takes time
owner: bench
tier: 1
severity: SEV2
hypothesis: What is left is the cost of the engine.
steady_state: [answers]
fault: {kill: database}
impact: {probe: answers, fails_within: 5s}
expect: {alert: database_down, fires_within: 5s, resolves_within: 5s}
respond: {runbook: instant}
recovered: {probes: [answers], stable_for: 10ms}
objectives: {rto: 5s}
safety: {ttl: 10s}
"""
RUNBOOK = """\
---
alerts: [database_down]
severity: HIGH
rto: 5s
---
# Instant

## Resolution Steps

### Start it

Start it.

```yaml step
do: {start: database}
budget: 2s
check: {probe: answers, within: 1s}
```
"""
NO_OP = {
    "title": "Nothing",
    "description": "Chaos Toolkit by itself.",
    "method": [
        {"type": "action", "name": "none", "provider": {"type": "python", "module": "os", "func": "getpid"}}
    ],
}


def measure(work: Path) -> list[Result]:
    """Both drill the same project by turns."""
    _write_project(work)
    timed([GAMEDAY, "env", "up", "fake"], cwd=work)
    timed([GAMEDAY, "compile", "instant"], cwd=work)
    env = surroundings(GAMEDAY_ENVIRONMENT="fake")

    def drill() -> Timed:
        return timed([GAMEDAY, "run", "instant", "--yes"], cwd=work, env=env)

    def chaos(experiment: str) -> Timed:
        return timed([CHAOS, "--no-version-check", "run", experiment], cwd=work, env=env)

    own, other = alternate(drill, lambda: chaos("experiments/instant.json"), PAIRS)
    floor = [chaos("no-op.json") for _ in range(PAIRS // 2)]
    cpu_s = spread([one.cpu_s for one in own]).median, spread([one.cpu_s for one in other]).median
    return [
        Result(
            "engine",
            "s",
            tuple(one.wall_s for one in own),
            "chaos run, the same experiment",
            tuple(one.wall_s for one in other),
            bar=BAR,
            judged="ratio",
            note=f"processor time {cpu_s[0]:.2f} s against {cpu_s[1]:.2f} s",
        ),
        Result("chaos run of a no-op", "s", tuple(one.wall_s for one in floor), note="for information"),
    ]


def _write_project(work: Path) -> None:
    files = {
        "environments/fake.yaml": ENVIRONMENT,
        "scenarios/instant.yaml": SCENARIO,
        "runbooks/instant.md": RUNBOOK,
        "no-op.json": json.dumps(NO_OP),
    }
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
