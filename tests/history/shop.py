"""A project with a drill in which nothing takes time, and gameday as a command in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

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
owner: tests
tier: 1
severity: SEV2
hypothesis: It is back at once.
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


def write_project(root: Path) -> Path:
    """Environment `fake`, which is up, and scenario `instant`."""
    files = {
        "environments/fake.yaml": ENVIRONMENT,
        "scenarios/instant.yaml": SCENARIO,
        "runbooks/instant.md": RUNBOOK,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    up = gameday(root, "env", "up", "fake")
    assert up.returncode == 0, up.stderr
    return root


def gameday(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GAMEDAY_")}
    command = [sys.executable, "-m", "gameday", *arguments]
    return subprocess.run(
        command, cwd=root, env=env | variables, capture_output=True, text=True, timeout=120, check=False
    )


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
