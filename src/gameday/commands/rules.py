"""`gameday rules lint`: what alert rules cannot see, or see wrongly."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

from gameday.detectors.advice_file import advise_file

WIDTH = 110


def lint(paths: list[Path], out: Callable[[str], None]) -> int:
    """Print every finding with its file and line; returns 1 when one of them is an error, else 0."""
    errors = notes = rules = 0
    for path in paths:
        for found in advise_file(path):
            rules += 1
            for advice in found.advice:
                errors, notes = errors + (advice.level == "error"), notes + (advice.level == "note")
                out(f"{path}:{found.line}: {advice.code} {advice.level}: {found.rule}: {advice.title}")
                for text in (advice.explanation, f"Instead: {advice.instead}"):
                    out(textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="    "))
    out(f"{rules} rules: {errors} errors, {notes} notes")
    return 1 if errors else 0
