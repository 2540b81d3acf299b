"""Small environments of only what a test needs, and a look at processes that is not the code under test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gameday.environment import Environment
from gameday.targets.process import ProcessTarget

DATABASE: dict[str, Any] = {"postgresql": {"database": "shop", "user": "shop"}}
CACHE: dict[str, Any] = {"valkey": {}}
WEB: dict[str, Any] = {
    "command": ["${python}", "-m", "http.server", "${port}", "--bind", "${host}"],
    "ready": {"http": "/"},
}

ECHO: dict[str, Any] = {
    "command": ["${python}", str(Path(__file__).parent / "echo.py"), "${port}"],
    "ready": {"http": "/"},
}

MakeTarget = Callable[..., ProcessTarget]


def make_environment(components: dict[str, Any], links: Sequence[tuple[str, str]] = ()) -> Environment:
    first = next(iter(components))
    return Environment.model_validate(
        {
            "environment": "small",
            "target": "process",
            "components": components,
            "links": [{"client": client, "server": server} for client, server in links],
            "probes": {"answers": {"tcp": "", "component": first}},
            "detector": {
                "kind": "embedded",
                "rules": "rules.yaml",
                "scrape": [{"job": "job", "component": first}],
            },
        },
        strict=False,
    )


def marked(folder: Path) -> list[int]:
    """Pids of living processes that carry an instance's mark: read here anew, not by the code under test."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            where = (entry / "cwd").readlink()
        except OSError:
            continue
        if state not in "ZX" and (os.fsencode(folder) in text or where.is_relative_to(folder)):
            found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def variables(target: ProcessTarget, component: str) -> dict[str, str]:
    """The environment variables that a running component has."""
    pid = int(target.status()[component].targets[0].split()[1])
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if word)


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def run_starter(
    root: Path, components: dict[str, Any], action: str, *more: str, links: Sequence[tuple[str, str]] = ()
) -> subprocess.Popen[str]:
    """The starter, when it has come to the point before its action."""
    here = Path(__file__).parent
    child = subprocess.Popen(
        [
            sys.executable,
            str(here / "starter.py"),
            str(root),
            json.dumps(components),
            json.dumps(links),
            action,
            *more,
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), *_python_path()])},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child
