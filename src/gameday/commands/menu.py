"""A menu for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from gameday.errors import UsageError


def ask_which(what: str, options: Mapping[str, str], left: str) -> str:
    """Which of the options, by number or by name; `options` has the words for each name.

    Raises:
        UsageError: `left`: whoever was asked chose none.
    """
    names = list(options)
    print(f"Which {what}?")
    for number, name in enumerate(names, 1):
        print(f"  {number}  {options[name]}")
    while True:
        try:
            given = input(f"1 to {len(names)}, or q to leave: ").strip()
        except EOFError:
            given = "q"
        if given == "q":
            raise UsageError(left)
        if given in names:
            return given
        if given.isdecimal() and 1 <= int(given) <= len(names):
            return names[int(given) - 1]
