"""`gameday validate`, `schema` and `compile`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gameday.errors import InvalidFile, Problem
from gameday.project import Project

Out = Callable[[str], None]


def validate(paths: Sequence[Path], out: Out, complain: Out) -> int:
    """Check each file by what it is; folders are searched. Returns 0, or 2 when anything is wrong."""
    files = [file for path in paths for file in _files(path)]
    bad = 0
    for file in files:
        try:
            _validate_one(file)
            _refuse_undecided(file)
        except InvalidFile as error:
            bad += 1
            for problem in error.problems:
                complain(str(problem))
    out(f"{len(files) - bad} of {len(files)} files are valid")
    return 2 if bad or not files else 0


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for suffix in ("*.yaml", "*.yml", "*.md") for file in path.rglob(suffix)]
    return sorted(file for file in found if file.name != "README.md")


def _refuse_undecided(file: Path) -> None:
    """A file of `gameday init` is not done while it leaves something to people."""
    from gameday.files import read_text
    from gameday.todo import todos

    left = list(todos(read_text(file), file))
    if left:
        raise InvalidFile(left)


def _validate_one(file: Path) -> None:
    from gameday.environment import load_environment
    from gameday.files import load_yaml
    from gameday.gamedays.model import load_game_day
    from gameday.oncall import load_roster
    from gameday.runbook.parse import load_runbook
    from gameday.scenario import load_scenario
    from gameday.schedule import load_schedule

    if file.suffix == ".md":
        load_runbook(file)
        return
    value = load_yaml(file).value
    keys = set(value) if isinstance(value, dict) else set()
    if "game_day" in keys or file.parent.name == "gamedays":
        load_game_day(file)
    elif "schedule" in keys or file.parent.name == "schedules":
        load_schedule(file)
    elif "on_call" in keys or file.parent.name == "on-call":
        load_roster(file)
    elif "environment" in keys or file.parent.name == "environments":
        load_environment(file)
    elif "scenario" in keys or "scenarios" in (file.parent.name, file.parent.parent.name):
        load_scenario(file)
    else:
        raise InvalidFile(
            [
                Problem(
                    file,
                    1,
                    "",
                    "neither a scenario nor an environment: expected a field 'scenario' or 'environment'",
                )
            ]
        )


def schema(kind: str) -> dict[str, Any]:
    """JSON Schema of a kind of file."""
    from gameday.environment import Environment
    from gameday.gamedays.model import GameDay
    from gameday.incidents.model import Incident
    from gameday.oncall import Roster
    from gameday.scenario import Scenario
    from gameday.schedule import Schedule

    models = {"scenario": Scenario, "environment": Environment, "gameday": GameDay}
    models |= {"schedule": Schedule, "roster": Roster, "incident": Incident}
    model: Any = models[kind]
    document: dict[str, Any] = _closed(model.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def _closed(part: Any) -> Any:
    """`part` with mappings of names refusing what is no name, which pydantic leaves open."""
    if isinstance(part, list):
        return [_closed(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(inner) for name, inner in part.items()}
    return {**closed, "additionalProperties": False} if "patternProperties" in closed else closed


def compile_all(project: Project, scenarios: Sequence[str], *, check: bool, out: Out) -> int:
    """Write the experiments of `scenarios` (all by default). With `check`: 1 when one is not as it should be."""
    from gameday.experiment import compile_experiment, render
    from gameday.scenario import load_scenario

    paths = [project.scenario_file(name) for name in scenarios] or project.scenario_files()
    stale = 0
    for path in paths:
        text = render(compile_experiment(load_scenario(path)))
        target = project.root / "experiments" / f"{path.stem}.json"
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            out(f"{target}: is not what {path} compiles to; run `gameday compile`")
        else:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
            out(f"wrote {target}")
    return 1 if check and stale else 0
