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


def _validate_one(file: Path) -> None:
    from gameday.environment import load_environment
    from gameday.files import load_yaml
    from gameday.runbook.parse import load_runbook
    from gameday.scenario import load_scenario

    if file.suffix == ".md":
        load_runbook(file)
        return
    value = load_yaml(file).value
    keys = set(value) if isinstance(value, dict) else set()
    if "environment" in keys or file.parent.name == "environments":
        load_environment(file)
    elif "scenario" in keys or file.parent.name == "scenarios":
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
    from gameday.scenario import Scenario

    model: Any = {"scenario": Scenario, "environment": Environment}[kind]
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

    names = list(scenarios) or sorted(str(path) for path in (project.root / "scenarios").glob("*.yaml"))
    stale = 0
    for name in names:
        path = project.scenario_file(name)
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
