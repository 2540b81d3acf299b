"""The evidence folder of a drill: what was asked for, before anything happens."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from gameday.environment import Environment
from gameday.errors import UsageError
from gameday.experiment import render, scenario_document
from gameday.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Evidence:
    """One drill's folder, `<utc>-<scenario>-<id>`; its name is the drill's name."""

    folder: Path

    @property
    def drill(self) -> str:
        return self.folder.name

    @property
    def timeline(self) -> Path:
        return self.folder / "timeline.jsonl"

    @property
    def samples(self) -> Path:
        return self.folder / "samples"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.json"

    @classmethod
    def named(cls, reports: Path, scenario: str) -> Evidence:
        """The folder of a new drill, not made yet."""
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        return cls(reports / f"{stamp}-{scenario}-{secrets.token_hex(3)}")

    def create(self, scenario: Scenario, environment: Environment, experiment: Mapping[str, Any]) -> None:
        """Make the folder and write what the drill will work from. `scenario` is as written, not at speed.

        Raises:
            UsageError: the folder cannot be written.
        """
        try:
            self.samples.mkdir(parents=True)
            _write_yaml(self.folder / "scenario.yaml", scenario_document(scenario))
            _write_yaml(
                self.folder / "environment.yaml", environment.model_dump(mode="json", exclude_unset=True)
            )
            (self.folder / "experiment.json").write_text(render(dict(experiment)), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write evidence to {self.folder}: {error}") from error


def _write_yaml(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), encoding="utf-8")
