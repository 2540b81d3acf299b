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

    def scenario_files(self) -> tuple[Path, ...]:
        """All scenarios: those of any target, and in a folder each those of one target (`scenarios/kubernetes/`).

        Raises:
            UsageError: a name is there twice; a scenario is known by it everywhere, whichever folder it lies in.
        """
        folder = self.root / "scenarios"
        files = sorted([*folder.glob("*.yaml"), *folder.glob("*/*.yaml")])
        known: dict[str, Path] = {}
        for file in files:
            if file.stem in known:
                raise UsageError(f"scenario {file.stem} is there twice: {known[file.stem]}, {file}")
            known[file.stem] = file
        return tuple(files)

    def scenario_file(self, reference: str) -> Path:
        """By a name, in whichever of the folders it lies, or by a path."""
        if _is_path(reference, ".yaml"):
            return self._file(reference, "scenarios", ".yaml")
        named = [file for file in self.scenario_files() if file.stem == reference]
        return named[0] if named else self._file(reference, "scenarios", ".yaml")

    def environment_file(self, reference: str) -> Path:
        return self._file(reference, "environments", ".yaml")

    def runbook_file(self, reference: str) -> Path:
        return self._file(reference, "runbooks", ".md")

    def game_day_file(self, reference: str) -> Path:
        return self._file(reference, "gamedays", ".yaml")

    def _file(self, reference: str, folder: str, suffix: str) -> Path:
        """A name stands for `folder/name.suffix`; anything with a slash or the suffix is a path."""
        named = self.root / folder / f"{reference}{suffix}"
        path = Path(reference) if _is_path(reference, suffix) else named
        if not path.exists():
            inside = (self.root / folder).glob(f"*{suffix}")
            there = self.scenario_files() if folder == "scenarios" else inside
            present = sorted(file.stem for file in there)
            choice = f"; {folder} here: {', '.join(present)}" if present else ""
            raise UsageError(f"{path} does not exist{choice}")
        return path


def _is_path(reference: str, suffix: str) -> bool:
    return "/" in reference or reference.endswith(suffix)
