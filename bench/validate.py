"""How long a repository of a thousand scenarios takes to check, and in how much memory."""

from __future__ import annotations

from pathlib import Path

from bench.arithmetic import alternate, spread
from bench.engine import ENVIRONMENT, SCENARIO
from bench.processes import GAMEDAY, PYTHON, timed
from bench.result import Result

FILES = 1000
PAIRS = 3
LOAD = """\
import pathlib, sys, yaml
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.yaml")):
    yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
"""


def measure(work: Path) -> list[Result]:
    """The same files, checked whole and merely loaded."""
    (work / "environments").mkdir()
    (work / "environments" / "fake.yaml").write_text(ENVIRONMENT, encoding="utf-8")
    folder = work / "scenarios"
    folder.mkdir()
    for number in range(FILES):
        text = SCENARIO.replace("scenario: instant", f"scenario: instant-{number}")
        (folder / f"instant-{number}.yaml").write_text(text, encoding="utf-8")
    own, other = alternate(
        lambda: timed([GAMEDAY, "validate", str(folder)], cwd=work),
        lambda: timed([PYTHON, "-c", LOAD, str(folder)], cwd=work),
        PAIRS,
    )
    loaded_mb = spread([one.rss_mb for one in other]).median
    return [
        Result(
            f"validate {FILES} files",
            "s",
            tuple(one.wall_s for one in own),
            "yaml.CSafeLoader",
            tuple(one.wall_s for one in other),
        ),
        Result(
            f"validate {FILES} files, memory",
            "MB",
            tuple(one.rss_mb for one in own),
            f"yaml.CSafeLoader, {loaded_mb:.0f} MB",
            tuple(one.rss_mb for one in other),
        ),
    ]
