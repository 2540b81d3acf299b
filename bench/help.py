"""How long a person waits for `--help`: the cost of starting, since nothing else happens."""

from __future__ import annotations

from pathlib import Path

from bench.arithmetic import alternate
from bench.processes import CHAOS, GAMEDAY, timed
from bench.result import Result

PAIRS = 20
BAR = 0.5


def measure(work: Path) -> list[Result]:
    """Whole processes, from start to exit."""
    own, other = alternate(
        lambda: timed([GAMEDAY, "--help"], cwd=work), lambda: timed([CHAOS, "--help"], cwd=work), PAIRS
    )
    return [
        Result(
            "gameday --help",
            "s",
            tuple(one.wall_s for one in own),
            "chaos --help",
            tuple(one.wall_s for one in other),
            bar=BAR,
            judged="ratio",
        )
    ]
