"""How long `database-down` takes at speed 10, beside the waiting that nobody can take from it.

The waiting is computed from the rule: it must hold for its `for`; afterwards its window must run empty before the
alert resolves, and meanwhile the service must hold through the stability window. Everything beyond that is ours, the
database's and the alert's next tick.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from bench.hotel import RULES, hotel
from bench.processes import GAMEDAY, ROOT, surroundings, timed
from bench.result import Result

DRILLS = 2
SPEED = 10
BAR_S = 60.0
ALERT = "database_connection_failures"


def measure(work: Path) -> list[Result]:
    """Whole processes, with the environment up."""
    walls = []
    with hotel("bench-drill", {}) as place:
        for number in range(DRILLS):
            env = surroundings(GAMEDAY_REPORTS=str(work / str(number)))
            argv = [GAMEDAY, "run", "database-down", "--yes", "--speed", str(SPEED)]
            walls.append(timed([*argv, "--environment", place.reference], env=env).wall_s)
    waiting_s = irreducible_s()
    return [
        Result(
            f"database-down at speed {SPEED}",
            "s",
            tuple(walls),
            f"the rule's own waiting, {waiting_s:g} s",
            tuple(waiting_s for _ in walls),
            bar=BAR_S,
        )
    ]


def irreducible_s() -> float:
    """`for`, then the longer of window and stability, which run at the same time."""
    from gameday.detectors.rules import load_rules
    from gameday.fields import parse_duration_s

    rule = next(rule for rule in load_rules(RULES, speed=SPEED).rules if rule.name == ALERT)
    scenario = yaml.safe_load((ROOT / "scenarios" / "database-down.yaml").read_text(encoding="utf-8"))
    stable_s = parse_duration_s(scenario["recovered"]["stable_for"]) / SPEED
    return rule.for_s + max(rule.expression.window_s, stable_s)
