"""The table for people and the file for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.result import Result

PACKAGES = ("gameday-runner", "chaostoolkit", "chaostoolkit-lib", "pydantic", "httpx", "typer", "sqlalchemy")


def surroundings() -> dict[str, Any]:
    """What a reader must know to compare two runs. Says nothing of the machine's name or folders."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def write(path: Path, results: Sequence[Result], before: dict[str, Any], missing: dict[str, str]) -> None:
    """The results and what they were measured in; `missing` says which could not be measured, and why."""
    after = surroundings()
    document = {
        **before,
        "load_average": {"before": before["load_average"], "after": after["load_average"]},
        "ended": after["when"],
        "not_measured": missing,
        "results": [result.to_json() for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def show(results: Sequence[Result], console: Console) -> None:
    table = Table(title="gameday, measured against its yardsticks")
    for heading in ("what", "median", "quartiles", "yardstick", "ratio", "bar", ""):
        table.add_column(heading, justify="right" if heading in {"median", "ratio", "bar"} else "left")
    for result in results:
        table.add_row(*row(result))
    console.print(table)
    for result in results:
        if result.note:
            console.print(f"  {result.name}: {result.note}", highlight=False, soft_wrap=True)


def row(result: Result) -> tuple[str, ...]:
    """One line of the table, as text."""
    value, ratio = result.value, result.ratio
    shown_ratio = "" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
    return (
        result.name,
        _figure(value.maximum if result.judged == "maximum" else value.median, result.unit),
        f"{value.low:.3g} to {value.high:.3g}",
        result.yardstick,
        shown_ratio,
        "" if result.bar is None else _bar(result),
        {None: "", True: "met", False: "NOT MET"}[result.met],
    )


def _bar(result: Result) -> str:
    if result.judged == "ratio":
        return f"{result.bar:g} times"
    return _figure(result.bar or 0.0, result.unit)


def _figure(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}"
