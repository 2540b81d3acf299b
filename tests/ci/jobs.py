"""The shell steps of the job files in ci/, run as their servers run them: by `bash -e`, in order, in a folder.

What a server does besides (checking out, caches, artifacts) is left out; which steps it still runs once one has failed
is not.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
ACTIONS = {
    "actions/checkout@v4",
    "actions/setup-python@v5",
    "actions/cache/restore@v4",
    "actions/cache/save@v4",
    "actions/upload-artifact@v4",
}
GITHUB, GITLAB = REPOSITORY / "ci" / "github-actions.yaml", REPOSITORY / "ci" / "gitlab-ci.yaml"


@dataclass
class Ran:
    """What became of a job: exit code of each step by name, and what was said."""

    codes: dict[str, int] = field(default_factory=dict)
    said: str = ""
    summary: str = ""

    @property
    def red(self) -> str | None:
        """The first step that failed."""
        return next((name for name, code in self.codes.items() if code), None)

    @property
    def code(self) -> int:
        """Of the first step that failed; 0 where none did."""
        return self.codes[self.red] if self.red else 0


def github(job: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(GITHUB.read_text(encoding="utf-8"))["jobs"][job]
    return found


def gitlab(job: str) -> dict[str, Any]:
    """With what it extends."""
    document = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    found = document[f"gameday-{job}"]
    return {**document[found["extends"]], **found}


def variables(job: Mapping[str, Any]) -> dict[str, str]:
    return dict(job.get("env") or job.get("variables") or {})


def run_github(job: Mapping[str, Any], folder: Path, scratch: Path, env: Mapping[str, str]) -> Ran:
    """`env` is what the machine has, and wins over the job's own."""
    ran = Ran()
    summary, added, paths = (scratch / name for name in ("summary.md", "env", "path"))
    for file in (summary, added, paths):
        file.touch()
    files = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ENV": str(added), "GITHUB_PATH": str(paths)}
    for step in job["steps"]:
        whatever = "always()" in str(step.get("if")) or "!cancelled()" in str(step.get("if"))
        if "run" not in step or (ran.red is not None and not whatever):
            continue
        more = dict(line.split("=", 1) for line in added.read_text(encoding="utf-8").splitlines())
        known = {**variables(job), **more, **env, **files}
        before = paths.read_text(encoding="utf-8").splitlines()
        known["PATH"] = ":".join([*before, known.get("PATH", os.environ["PATH"])])
        _run(ran, step["name"], step["run"], folder, scratch, known)
    ran.summary = summary.read_text(encoding="utf-8")
    return ran


def run_gitlab(job: Mapping[str, Any], folder: Path, scratch: Path, env: Mapping[str, str]) -> Ran:
    """One shell has `before_script` and `script`, another one `after_script`, whose exit code counts for nothing."""
    ran = Ran()
    known = {**variables(job), **env}
    _run(ran, "script", "\n".join([*job["before_script"], *job["script"]]), folder, scratch, known)
    after = Ran()
    _run(after, "after_script", "\n".join(job["after_script"]), folder, scratch, known)
    ran.said += after.said
    return ran


def _run(ran: Ran, name: str, script: str, folder: Path, scratch: Path, env: Mapping[str, str]) -> None:
    file = scratch / "step.sh"
    file.write_text(script + "\n", encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("GAMEDAY_", "VIRTUAL_"))}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", str(file)],
        cwd=folder,
        env={**clean, "CI": "true", **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=1800,
        check=False,
    )
    ran.codes[name] = done.returncode
    ran.said += f"== {name}\n{done.stdout}"
