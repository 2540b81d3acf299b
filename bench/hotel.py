"""An instance of the hotel for measurements: the shipped environment with other probes or rules, up and down again.

The files are written below gameday's own state folder and not to a temporary one, so that after a bench that was
killed `gameday env down .gameday/bench/NAME.yaml@bench` still finds what it left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.processes import GAMEDAY, ROOT, BenchError, timed

FOLDER = ROOT / ".gameday" / "bench"
SHIPPED = ROOT / "environments" / "hotel-local.yaml"
RULES = ROOT / "examples" / "hotel" / "rules" / "corrected.yaml"
UP_S = 120.0
API_LABELS = 'job="agente-api"'


@dataclass(frozen=True, slots=True)
class Hotel:
    """A running instance. `reference` is what `--environment` takes."""

    reference: str

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(
            timed([GAMEDAY, "env", "status", self.reference, "--output", "json"]).output
        )
        return status

    def address(self, component: str) -> str:
        return str(self.status()[component]["address"])


@contextmanager
def hotel(name: str, changes: Mapping[str, Any]) -> Iterator[Hotel]:
    """The shipped environment under another name, with `changes` to its top level; None removes a key."""
    document = {**yaml.safe_load(SHIPPED.read_text(encoding="utf-8")), "environment": name, **changes}
    path = write_yaml(name, {key: value for key, value in document.items() if value is not None})
    reference = f"{path.relative_to(ROOT)}@bench"
    timed([GAMEDAY, "env", "down", reference], timeout_s=UP_S)
    try:
        timed([GAMEDAY, "env", "up", reference], timeout_s=UP_S)
        yield Hotel(reference)
    finally:
        timed([GAMEDAY, "env", "down", reference], timeout_s=UP_S)


def write_yaml(name: str, value: Any) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return path


def relative(path: Path) -> str:
    """As files of a project name it."""
    return str(path.relative_to(ROOT))


def only(folder: Path) -> Path:
    """The one evidence folder in a reports folder.

    Raises:
        BenchError: there is none, or several.
    """
    found = [path for path in folder.glob("*") if (path / "timeline.jsonl").exists()]
    if len(found) != 1:
        raise BenchError(f"expected one drill's evidence in its reports folder, found {len(found)}")
    return found[0]


def events(evidence: Path) -> list[dict[str, Any]]:
    """The timeline as plain data: the bench reads what everybody can read."""
    lines = (evidence / "timeline.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def instant_ns(found: list[dict[str, Any]], kind: str, alert: str | None = None) -> int:
    """When the first event of a kind was.

    Raises:
        BenchError: the drill has none.
    """
    for event in found:
        if event["event"] == kind and (alert is None or event["data"]["alert"] == alert):
            return int(event["at"]["mono_ns"])
    raise BenchError(f"the drill has no event {kind}{f' of {alert}' if alert else ''}")
