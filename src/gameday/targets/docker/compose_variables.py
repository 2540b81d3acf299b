"""Variables in a compose file: `$X`, `${X}`, `${X:-default}`, `${X:?message}` and the rest, as Compose documents them.

Source: https://docs.docker.com/reference/compose-file/interpolation/. What the plugin does where that page is silent
(a `$` before anything else stays, braces of a default are counted) was tried with Compose 2.40.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gameday.errors import InvalidFile, Problem
from gameday.files import Document, Location, read_text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")
_SECTIONS = ("name", "services", "networks", "volumes")
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*[=:]\s*(.*)")


class BadVariable(ValueError):
    """A text that cannot be filled in; the message says what would be right."""


def fill(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its variables' values; one that is not set is empty.

    Raises:
        BadVariable: a form that is none, or a variable that is required and absent.
    """
    result: list[str] = []
    at = 0
    while True:
        dollar = text.find("$", at)
        if dollar < 0:
            return "".join([*result, text[at:]])
        result.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            result.append("$")
            at = dollar + 2
        elif following == "{":
            end = _closing(text, dollar + 1)
            result.append(_braced(text[dollar + 2 : end], variables))
            at = end + 1
        elif name := _NAME.match(text, dollar + 1):
            result.append(variables.get(name[0], ""))
            at = name.end()
        else:
            result.append("$")
            at = dollar + 1


def _closing(text: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    raise BadVariable(f"{text[opening - 1 :][:80]!r} is not closed; expected ${{NAME}}, or $$ for a plain $")


def _braced(inner: str, variables: Mapping[str, str]) -> str:
    name = _NAME.match(inner)
    rest = inner[name.end() :] if name else inner
    operator = next((one for one in _OPERATORS if rest.startswith(one)), "")
    if name is None or (rest and not operator):
        raise BadVariable(
            f"{'${' + inner[:80] + '}'!r} is no variable; expected ${{NAME}}, ${{NAME:-default}}, "
            f"${{NAME:?message}} or ${{NAME:+other}}, or $$ for a plain $"
        )
    value = variables.get(name[0])
    given = bool(value) if operator.startswith(":") else value is not None
    argument = rest[len(operator) :]
    match operator[-1:]:
        case "-":
            return str(value) if given else fill(argument, variables)
        case "+":
            return fill(argument, variables) if given else ""
        case "?" if not given:
            why = fill(argument, variables)
            raise BadVariable(f"variable {name[0]} is required and not set{': ' if why else ''}{why}")
    return value or ""


def filled(document: Document, variables: Mapping[str, str]) -> Document:
    """The document with the variables of its values filled in; keys and `x-` fields stay as they are.

    Raises:
        InvalidFile: naming every text that cannot be filled in.
    """
    problems: list[Problem] = []

    def walk(value: Any, location: Location) -> Any:
        if isinstance(value, dict):
            return {key: walk(inner, (*location, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, (*location, index)) for index, inner in enumerate(value)]
        if isinstance(value, str) and "$" in value:
            try:
                return fill(value, variables)
            except BadVariable as error:
                problems.append(document.problem(location, str(error)))
        return value

    if not isinstance(document.value, dict):
        return document
    value = {key: walk(inner, (key,)) if key in _SECTIONS else inner for key, inner in document.value.items()}
    if problems:
        raise InvalidFile(problems)
    return replace(document, value=value)


def dotenv(path: Path) -> dict[str, str]:
    """Variables of the file `.env` beside a compose file: `NAME=text`, in quotes or not. Absent: none.

    Raises:
        InvalidFile: a line of another form, one that refers to variables among them.
    """
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for number, raw in enumerate(read_text(path, "a file of variables").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        text = _unquoted(match[2]) if match else None
        if match is None or text is None:
            message = "expected NAME=text or NAME='text', without variables, escapes and further lines"
            raise InvalidFile([Problem(path, number, "", message)])
        found[match[1]] = text
    return found


def _unquoted(text: str) -> str | None:
    quoted = re.fullmatch(r"""(["'])(.*?)\1\s*(?:#.*)?""", text)
    if quoted is not None:
        plain = quoted[1] == "'" or not re.search(r"[$\\]", quoted[2])
        return quoted[2] if plain else None
    text = re.sub(r"(^|\s+)#.*", "", text).rstrip()
    return None if re.search(r"""^["']|[$]""", text) else text
