"""`gameday simulate`: an incident chosen from a menu, for people who want to see one happen."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gameday.commands.menu import ask_which
from gameday.commands.run import Options, run
from gameday.errors import UsageError

INCIDENTS: Mapping[str, str] = {
    "database-down": "the database is down",
    "high-latency": "answers are slow (high latency)",
    "high-error-rate": "requests fail (high error rate)",
    "circuit-breaker-open": "the circuit breaker to the PMS is open",
}


def simulate(scenario: str | None, environment: str, speed: float) -> int:
    """Run the drill of an incident, with its environment brought up and down; returns its exit code.

    Raises:
        UsageError: not one of the menu, or nobody there to choose.
    """
    chosen = scenario or _ask()
    if chosen not in INCIDENTS:
        raise UsageError(f"{chosen!r} is not one of the incidents: {', '.join(INCIDENTS)}")
    return run(chosen, Options(environment, speed, yes=True, up=True))


def _ask() -> str:
    if not sys.stdin.isatty():
        raise UsageError(f"nobody can be asked; name one (or set SCENARIO): {', '.join(INCIDENTS)}")
    menu = {name: f"{words} ({name})" for name, words in INCIDENTS.items()}
    return ask_which("incident", menu, "nothing chosen; nothing was touched")
