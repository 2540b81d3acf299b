"""JSON Patch (RFC 6902), as far as kustomizations of this project use it: add, replace, remove."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.errors import InvalidFile
from gameday.files import parse_yaml

_OPERATIONS = ("add", "replace", "remove")


class PatchError(ValueError):
    """A patch that cannot be read, or does not fit."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One change. `path`: the parts of its JSON Pointer."""

    op: str
    path: tuple[str, ...]
    value: Any = None

    def __str__(self) -> str:
        return f"{self.op} /{'/'.join(self.path)}"


def parse_patch(text: str, path: Path) -> tuple[Operation, ...]:
    """The operations of a patch that stands in `path`. Raises PatchError."""
    try:
        entries = parse_yaml(text, path).value
    except InvalidFile as error:
        raise PatchError(error.problems[0].message) from error
    if not isinstance(entries, list):
        raise PatchError("expected a list of operations (JSON Patch); merge patches are not known here")
    return tuple(_operation(entry) for entry in entries)


def _operation(entry: object) -> Operation:
    if not isinstance(entry, dict) or not entry.keys() <= {"op", "path", "value"}:
        raise PatchError("expected operations of op, path and value")
    op, path = entry.get("op"), entry.get("path")
    if op not in _OPERATIONS:
        raise PatchError(f"operation {op!r} is not known here; known are {', '.join(_OPERATIONS)}")
    if not isinstance(path, str) or not path.startswith("/"):
        raise PatchError(f"path {path!r} is none; expected one such as /spec/replicas")
    if (op == "remove") == ("value" in entry):
        raise PatchError(f"{op} {path}: add and replace have a value, remove has none")
    parts = tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))
    return Operation(str(op), parts, entry.get("value"))


def patched(body: Any, operations: Sequence[Operation]) -> Any:
    """A copy of `body` with all of them done, in order. Raises PatchError for one that does not fit."""
    result = copy.deepcopy(body)
    for operation in operations:
        *above, last = operation.path
        at = result
        for part in above:
            at = _inner(at, part, operation)
        _do(at, last, operation)
    return result


def _do(at: Any, last: str, operation: Operation) -> None:
    value = copy.deepcopy(operation.value)
    if operation.op == "add" and isinstance(at, dict):
        at[last] = value
    elif operation.op == "add" and isinstance(at, list):
        at.insert(len(at) if last == "-" else _index(at, last, operation, len(at) + 1), value)
    else:
        _inner(at, last, operation)  # there is something to replace or to remove
        key = _index(at, last, operation, len(at)) if isinstance(at, list) else last
        if operation.op == "remove":
            del at[key]
        else:
            at[key] = value


def _inner(at: Any, part: str, operation: Operation) -> Any:
    if isinstance(at, list):
        return at[_index(at, part, operation, len(at))]
    if not isinstance(at, dict) or part not in at:
        raise PatchError(f"{operation}: there is no {part!r}")
    return at[part]


def _index(at: list[Any], part: str, operation: Operation, below: int) -> int:
    if not part.isascii() or not part.isdigit() or int(part) >= below:
        raise PatchError(f"{operation}: there is no entry {part!r} in a list of {len(at)}")
    return int(part)
