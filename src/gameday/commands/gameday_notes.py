"""What people say during a game day, from the words that they type to an entry of its log."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from datetime import date

from gameday.commands.gameday_files import find_folder
from gameday.errors import UsageError
from gameday.gamedays import entries as e
from gameday.gamedays.log import GameDayLog
from gameday.gamedays.model import ROLES, Role
from gameday.gamedays.state import fold
from gameday.project import Project

_FINDING = re.compile(r"[1-9][0-9]*\.[1-9][0-9]*")
_HANDS_OVER = re.compile(r"\s*([a-z][a-z -]*?)\s*(?::|=|->|→)\s*(.+)")


def me() -> str:
    """Who types on this terminal, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def role_named(text: str) -> Role:
    """Raises UsageError for what is none."""
    wanted = text.strip().lower().replace(" ", "-")
    for role in ROLES:
        if role == wanted:
            return role
    raise UsageError(f"{text!r} is not a role; expected one of {', '.join(ROLES)}")


def hand_over(text: str, by: str) -> e.HandOver:
    """Of `scribe: Ana`.

    Raises:
        UsageError: it is not of that form.
    """
    found = _HANDS_OVER.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r}: expected a role and a person, such as `scribe: Ana`")
    return e.HandOver(role=role_named(found[1]), to=found[2].strip(), by=by)


def action(text: str, owner: str | None, due: str | None, by: str, finding: str | None = None) -> e.Action:
    """An action item, which has an owner and a due date.

    Raises:
        UsageError: one of them is absent, or no date.
    """
    if not owner or not due:
        missing = " and ".join(name for name, given in (("owner", owner), ("due date", due)) if not given)
        raise UsageError(f"an action item without {missing} is a wish; expected its text, owner and due date")
    try:
        date.fromisoformat(due)
    except ValueError as error:
        raise UsageError(f"due {due!r} is not a date; expected one such as 2026-12-20") from error
    if finding is not None and not _FINDING.fullmatch(finding):
        raise UsageError(f"finding {finding!r}: expected a number such as 2.1, as the report has it")
    return e.Action(text=text, owner=owner, due=due, by=by, finding=finding)


def typed_action(text: str, by: str) -> e.Action:
    """Of `Shorten the rule's window; Ana; 2026-12-20`, and the finding behind it where there is one."""
    parts = [part.strip() for part in text.split(";")]
    if len(parts) not in (3, 4):
        raise UsageError(
            f"{text!r}: expected `what; owner; due date`, such as `Shorten the window; Ana; 2026-12-20`"
        )
    return action(parts[0], parts[1], parts[2], by, parts[3] if len(parts) == 4 else None)


def note(reference: str | None, entry: e.Entry, out: Callable[[str], None]) -> None:
    """Write an entry into the log of a game day, which may be running.

    Raises:
        UsageError: there is no such game day, or its log cannot be written.
    """
    folder = find_folder(Project.find(), reference)
    with GameDayLog(folder) as log:
        logged = log.append(entry)
        finished = fold(log.lines).finished
    out(f"{folder.name}, {logged.at.utc:%H:%M:%S} UTC: {describe(entry)}")
    if finished:
        out("its report is written already; `gameday gameday finish` writes it anew")


def describe(entry: e.Entry) -> str:
    """One line, for the terminal."""
    match entry:
        case e.Note():
            return f"note by {entry.by}: {entry.text}"
        case e.Decision():
            return f"decision by {entry.by}: {entry.text}"
        case e.HandOver():
            return f"{entry.role} is now {entry.to} (said by {entry.by})"
        case e.Action():
            return f"action: {entry.text} ({entry.owner}, due {entry.due})"
    return type(entry).__name__
