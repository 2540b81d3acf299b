"""Where a project's files are: `scenarios/`, `environments/`, `runbooks/`, `reports/` and gameday's own state.

A project is the nearest folder, from the current one upwards, that has an `environments/` folder, so that
`gameday` works from a sub-folder like git does. `GAMEDAY_PROJECT` overrides the search.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import UsageError


@dataclass(frozen=True, slots=True)
class Project:
    """The folders of one project. Paths inside its files are relative to `root`.

    Whoever finishes a drill that another process began names the folders which that one had used.
    """

    root: Path
    state_folder: Path | None = None
    reports_folder: Path | None = None

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """The project around `start` (by default the current folder).

        Raises:
            UsageError: there is none.
        """
        named = os.environ.get("GAMEDAY_PROJECT")
        if named and start is None:
            return cls(Path(named).resolve())
        origin = (start or Path.cwd()).resolve()
        for folder in (origin, *origin.parents):
            if (folder / "environments").is_dir():
                return cls(folder)
        raise UsageError(
            f"no project found: neither {origin} nor a folder above it has a folder 'environments'; "
            "change into one, or set GAMEDAY_PROJECT"
        )

    @property
    def reports(self) -> Path:
        return self.reports_folder or Path(os.environ.get("GAMEDAY_REPORTS", self.root / "reports"))

    @property
    def state(self) -> Path:
        """Environments' processes and data, logs of undos, locks. `GAMEDAY_STATE` overrides it."""
        return self.state_folder or Path(os.environ.get("GAMEDAY_STATE", self.root / ".gameday"))

    def scenario_file(self, reference: str) -> Path:
        return self._file(reference, "scenarios", ".yaml")

    def environment_file(self, reference: str) -> Path:
        return self._file(reference, "environments", ".yaml")

    def runbook_file(self, reference: str) -> Path:
        return self._file(reference, "runbooks", ".md")

    def _file(self, reference: str, folder: str, suffix: str) -> Path:
        """A name stands for `folder/name.suffix`; anything with a slash or the suffix is a path."""
        if "/" in reference or reference.endswith(suffix):
            path = Path(reference)
        else:
            path = self.root / folder / f"{reference}{suffix}"
        if not path.exists():
            present = sorted(file.stem for file in (self.root / folder).glob(f"*{suffix}"))
            choice = f"; {folder} here: {', '.join(present)}" if present else ""
            raise UsageError(f"{path} does not exist{choice}")
        return path
