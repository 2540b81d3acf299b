"""What a stream can show: a rich console for a terminal, a pipe or a CI log.

Light on purpose: commands that only print a table must not load what a drill needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import IO

from rich.console import Console

SIGNS: Mapping[str, str] = {
    "PASS": "\u2713",
    "FAIL": "\u2717",
    "INCONCLUSIVE": "?",
    "met": "\u2713",
    "missed": "\u2717",
    "unknown": "?",
}
"""A shape beside each colour, by verdict and by result: they must be told apart without seeing colours."""


class _Console(Console):
    """rich ends the whole process when a pipe is closed; here that would abandon a fault."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called while the BrokenPipeError is being handled


def console_for(stream: IO[str], *, live: bool = False) -> Console:
    """A rich console that writes what the stream can show: colours, boxes and redrawing only on a terminal."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # `±` on a terminal that has only ASCII must not end a drill
    return _Console(
        file=stream,
        force_terminal=live,
        force_interactive=live,
        no_color=not live or bool(os.environ.get("NO_COLOR")),
        color_system="auto" if live else None,
        width=None if live else 10_000,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
        legacy_windows=False,
    )


def can_redraw(stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """A person sits in front of it: a terminal, not a dumb one, not a CI job that has a pseudo-terminal."""
    if environ.get("TERM", "dumb") in {"dumb", "unknown"} or environ.get("CI", "").lower() not in {
        "",
        "false",
        "0",
    }:
        return False
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


class Shown:
    """What is written for whoever looks on. The drills go on whatever becomes of their audience."""

    live: bool
    _gone = False

    def _attempt(self, write: Callable[[], None]) -> None:
        """Write, unless nobody is there any more: a closed pipe only ends the showing."""
        if self._gone:
            return
        try:
            write()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._gone = True
            self.live = False
