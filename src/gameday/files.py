"""Reading YAML that people wrote: safely, within limits, and remembering the line of every field.

PyYAML's safe constructors build no objects, but a small file can still expand to gigabytes through aliases or
exhaust the stack through nesting; both are refused here before anything is built.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gameday.errors import InvalidFile, Problem

MAX_BYTES = 1_048_576
MAX_DEPTH = 32
MAX_ALIASES = 50
MAX_NODES = 20_000
MAX_DIGITS = (
    18  # a whole number beyond 64 bits is a mistake, and beyond 4300 digits Python refuses to print it
)

Location = tuple[str | int, ...]

_CORE = "tag:yaml.org,2002:"
_TAGS = frozenset(
    f"{_CORE}{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp", "value", "seq", "map")
)
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")

# libyaml's parser where the wheel has it: ten times as fast, the same grammar
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data of one file, with the line on which each field stands."""

    path: Path
    value: Any
    lines: dict[Location, int]

    def line(self, location: Location) -> int:
        """Line of a field, counted from 1; of its nearest known parent where the field is absent."""
        while location not in self.lines and location:
            location = location[:-1]
        return self.lines.get(location, 1)

    def problem(self, location: Location, message: str) -> Problem:
        return Problem(self.path, self.line(location), dotted(location), message)


def dotted(location: Location) -> str:
    """`("steps", 0, "do")` as `steps[0].do`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def load_yaml(path: Path) -> Document:
    """Read one YAML document.

    Raises:
        InvalidFile: not readable, not UTF-8, not one YAML document, a duplicate or non-text key, a tag outside
            YAML's own, or beyond a limit (size, depth, aliases, number of values).
    """
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, path: Path, first_line: int = 1) -> Document:
    """Like `load_yaml`, for text that stands in `path` from line `first_line` on (a block in a runbook)."""
    try:
        _check_limits(text, path, first_line)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = mark.line if mark is not None else 0
        at = max(0, min(at, len(text.splitlines()) - 1))  # at the end of the file: its last line
        what = " ".join(part for part in (error.context, error.problem) if part)
        if _starts_with_tab(text, at):
            what = "a tab cannot indent; use spaces"
        raise InvalidFile([Problem(path, first_line + at, "", f"not valid YAML: {what}")]) from error
    except yaml.YAMLError as error:
        message = str(error).splitlines()[0]
        line = first_line + text[: getattr(error, "position", 0)].count("\n")
        raise InvalidFile([Problem(path, line, "", f"not valid YAML: {message}")]) from error
    if node is None:
        raise InvalidFile([Problem(path, first_line, "", "the file is empty; expected a mapping of fields")])
    builder = _Builder(path, first_line)
    value = builder.build(node, ())
    return Document(path, value, builder.lines)


def read_text(path: Path, expected: str = "a YAML file") -> str:
    """The text of a file that people wrote.

    Raises:
        InvalidFile: not readable, not UTF-8, a folder, or too large.
    """
    try:
        if path.is_dir():
            raise InvalidFile([Problem(path, 1, "", f"is a folder; expected {expected}")])
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)  # bounded here: a device or a pipe does not tell its size
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InvalidFile([Problem(path, 1, "", f"cannot be read: {reason}")]) from error
    if len(content) > MAX_BYTES:
        raise InvalidFile([Problem(path, 1, "", f"too many bytes; at most {MAX_BYTES} are read")])
    try:
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"not UTF-8 text: byte {error.start} is invalid"
        raise InvalidFile([Problem(path, line, "", message)]) from error


def _starts_with_tab(text: str, line: int) -> bool:
    """Whether line `line`, counted from 0, is indented with a tab: the parser's own words do not say so."""
    content = "".join(text.split("\n")[line : line + 1])
    return "\t" in content[: len(content) - len(content.lstrip())]


def _check_limits(text: str, path: Path, first_line: int) -> None:
    depth = aliases = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = first_line + (event.start_mark.line if event.start_mark is not None else 0)
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidFile([Problem(path, line, "", f"nested deeper than {MAX_DEPTH} levels")])
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if aliases > MAX_ALIASES:
                raise InvalidFile([Problem(path, line, "", f"more than {MAX_ALIASES} aliases (*name)")])


class _Builder:
    """Nodes to plain data, noting lines; refuses duplicate keys, which YAML libraries silently merge."""

    def __init__(self, path: Path, first_line: int) -> None:
        self.path = path
        self.first_line = first_line
        self.lines: dict[Location, int] = {}
        self._scalars = SafeConstructor()
        self._count = 0

    def build(self, node: Node, location: Location) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            message = f"more than {MAX_NODES} values after expanding aliases"
            raise self._beyond(location, message)
        if len(location) > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels after expanding aliases"
            raise self._beyond(location, message)
        self.lines.setdefault(location, self._line(node))
        if node.tag not in _TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._invalid(node, location, f"the tag {tag} is not allowed; expected plain data")
        if isinstance(node, MappingNode):
            return self._mapping(node, location)
        if isinstance(node, SequenceNode):
            return [self.build(child, (*location, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, location)

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self._invalid(key_node, location, "'<<' does not merge here; write the fields out")
            if not isinstance(key_node, ScalarNode) or key_node.tag not in _TAGS:
                raise self._invalid(key_node, location, "expected a plain text key")
            inner = (*location, key)
            if key in result:
                first = self.lines[inner]
                raise self._invalid(key_node, inner, f"stands twice; first on line {first}")
            self.lines[inner] = self._line(key_node)
            result[key] = self.build(value_node, inner)
        return result

    def _scalar(self, node: Node, location: Location) -> Any:
        number = node.tag in (f"{_CORE}int", f"{_CORE}float")
        if node.tag in (f"{_CORE}timestamp", f"{_CORE}value") or (number and ":" in node.value):
            return (
                node.value
            )  # dates and times such as 1:30 stay text: a field that wants one parses it itself
        if number and len(node.value) > MAX_DIGITS + 8:
            raise self._invalid(node, location, f"a number of more than {MAX_DIGITS} digits")
        try:
            value = self._scalars.construct_object(node)
        except (ConstructorError, ValueError, KeyError) as error:
            raise self._invalid(node, location, f"not plain data: {node.value[:80]!r}") from error
        if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
            raise self._invalid(node, location, f"a number of more than {MAX_DIGITS} digits")
        if isinstance(value, str) and _NOT_TEXT.search(value):
            raise self._invalid(
                node, location, "contains a character that no text may have (NUL or half of a pair)"
            )
        return value

    def _line(self, node: Node) -> int:
        return self.first_line + int(node.start_mark.line)

    def _beyond(self, location: Location, message: str) -> InvalidFile:
        """Of the field at the top in which it happened: what is inside may stand elsewhere, and be endless."""
        top = location[:1]
        return InvalidFile([Problem(self.path, self.lines.get(top, self.first_line), dotted(top), message)])

    def _invalid(self, node: Node, location: Location, message: str) -> InvalidFile:
        return InvalidFile([Problem(self.path, self._line(node), dotted(location), message)])
