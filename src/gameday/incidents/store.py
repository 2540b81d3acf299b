"""Where incidents lie: `reports/incidents/INC-YYYYMMDD-XXX/`, with numbers that several processes never give twice.

    incident.json    the record that others' tools read
    response.json    what gameday knows beside it
    drills/NAME      which incident a drill is: one line, so that it becomes one once

A number is taken by making its folder, which the file system does for one of several at most. A folder whose process
died before its record was written keeps its number and is no incident.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from gameday.errors import GamedayError, InvalidFile, Problem, UsageError
from gameday.incidents.model import ID_PATTERN, Incident, Response
from gameday.reporting.document import json_text
from gameday.reporting.write import write_text

FOLDER = "incidents"
RECORD, RESPONSE = "incident.json", "response.json"
_LOCK_TIMEOUT_S = 10.0
_ID = re.compile(ID_PATTERN)
_NOT_IN_NAMES = re.compile("[^A-Za-z0-9._@-]")


class IncidentError(GamedayError):
    """A record could not be written or read. The drill and its verdict are what they are."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One incident as it lies on disk."""

    folder: Path
    incident: Incident
    response: Response

    @property
    def evidence(self) -> Path:
        """The drill's folder; it may be gone."""
        return (self.folder / self.response.evidence).resolve()


class Incidents:
    """The incidents of one project."""

    def __init__(self, reports: Path) -> None:
        self.folder = reports / FOLDER

    def of_drill(self, drill: str) -> Stored | None:
        """The incident that a drill is; None when it is none yet."""
        marker = self._marker(drill)
        if not marker.exists():
            return None
        folder = self.folder / marker.read_text(encoding="utf-8").strip()
        return self._read(folder) if _is_incident(folder) else None

    def create(
        self, drill: str, day: datetime, make: Callable[[str, Path], tuple[Incident, Response]]
    ) -> tuple[Stored, bool]:
        """The drill's incident, and whether it is new. `make` gets the number and the folder.

        Raises:
            IncidentError: it cannot be written, or others write all the time.
        """
        with self._locked():
            there = self.of_drill(drill)
            if there is not None:
                return there, False
            folder = self._take_number(day)
            incident, response = make(folder.name, folder)
            write_text(folder / RESPONSE, json_text(response.model_dump(mode="json")))
            write_text(folder / RECORD, json_text(incident.model_dump(mode="json")))
            marker = self._marker(drill)
            marker.parent.mkdir(exist_ok=True)
            write_text(marker, folder.name + "\n")
            return Stored(folder, incident, response), True

    def all(self) -> Iterator[Stored | InvalidFile]:
        """The newest first; in place of one that cannot be read, why."""
        for folder in self._folders():
            try:
                yield self._read(folder)
            except InvalidFile as error:
                yield error

    def find(self, reference: str) -> Stored:
        """By its number, the end of it, the drill's name, or `latest`.

        Raises:
            UsageError: there is none, or several.
            InvalidFile: it is damaged.
        """
        folders = self._folders()
        matching = (
            folders[:1] if reference == "latest" else [f for f in folders if f.name.endswith(reference)]
        )
        exact = [folder for folder in matching if folder.name == reference]
        if len(exact or matching) == 1:
            return self._read((exact or matching)[0])
        of_drill = self.of_drill(reference) if reference != "latest" else None
        if of_drill is not None:
            return of_drill
        found = "several" if matching else "none"
        raise UsageError(
            f"{reference!r}: {found} of the {len(folders)} incidents in {self.folder}; "
            "`gameday incident list` lists them"
        )

    def change(self, stored: Stored, how: Callable[[Response], Response]) -> Stored:
        """The incident with another response, from what it is by now: others may have written meanwhile.

        Raises:
            IncidentError: it cannot be written.
            ValueError: of `how`; nothing is written.
        """
        with self._locked():
            response = how(self._read(stored.folder).response)
            write_text(stored.folder / RESPONSE, json_text(response.model_dump(mode="json")))
            return Stored(stored.folder, stored.incident, response)

    def _take_number(self, day: datetime) -> Path:
        prefix = f"INC-{day:%Y%m%d}-"
        taken = [
            int(path.name.removeprefix(prefix)) for path in self._numbered() if path.name.startswith(prefix)
        ]
        number = max(taken, default=0)
        while True:
            number += 1
            folder = self.folder / f"{prefix}{number:03d}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue  # by somebody whose file system does not keep our lock
            return folder

    def _numbered(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if _ID.fullmatch(path.name)]

    def _folders(self) -> list[Path]:
        """Of incidents, the newest first."""
        return sorted(filter(_is_incident, self._numbered()), key=_order, reverse=True)

    def _marker(self, drill: str) -> Path:
        return self.folder / "drills" / _NOT_IN_NAMES.sub("_", drill)[:200]

    def _read(self, folder: Path) -> Stored:
        try:
            return Stored(folder, *_parsed(folder))
        except (OSError, ValidationError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InvalidFile([Problem(folder, 1, "", f"not an incident's record: {reason}")]) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock", timeout=_LOCK_TIMEOUT_S):
                yield
        except Timeout as error:
            raise IncidentError(
                f"{self.folder}: others have been writing for {_LOCK_TIMEOUT_S:g} s"
            ) from error
        except OSError as error:
            raise IncidentError(f"{self.folder}: {error}") from error


def _is_incident(folder: Path) -> bool:
    return (folder / RECORD).exists()


def _order(folder: Path) -> tuple[str, int]:
    _, day, number = folder.name.split("-")
    return day, int(number)


def _parsed(folder: Path) -> tuple[Incident, Response]:
    record, response = ((folder / name).read_text(encoding="utf-8") for name in (RECORD, RESPONSE))
    return Incident.model_validate_json(record), Response.model_validate_json(response)


def probes_of(evidence: Path) -> dict[str, Any]:
    """The environment's probes as the evidence has them; none where it has no environment."""
    from gameday.files import load_yaml

    try:
        value = load_yaml(evidence / "environment.yaml").value
    except InvalidFile:
        return {}
    probes = value.get("probes") if isinstance(value, dict) else None
    return probes if isinstance(probes, dict) else {}
