"""Reading a compose file's YAML, as Compose itself does: anchors and merges, and words such as `on` and `no` are text.

`gameday.files` reads gameday's own files, refuses merges and knows YAML 1.1, where `restart: no` is a boolean. The
limits are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gameday.errors import InvalidFile, Problem
from gameday.files import MAX_DEPTH, MAX_NODES, Document, Location, dotted, read_text

_CORE = "tag:yaml.org,2002:"
_MERGE = f"{_CORE}merge"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_QUOTED = ("'", '"', "|", ">")
# YAML 1.2's core schema; a number that begins with 0 is octal to some readers and decimal to others
_NULL = ("", "~", "null", "Null", "NULL")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)")
_AMBIGUOUS = re.compile(r"[-+]?(0[0-9box][0-9A-Fa-f_]*|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?)")


def load_compose_yaml(path: Path) -> Document:
    """One YAML document as plain data, with the line of each field.

    Raises:
        InvalidFile: not readable, not one YAML document, a duplicate key, a tag, or beyond a limit.
    """
    text = read_text(path, "a compose file")
    try:
        _check_depth(text, path)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        line = min(mark.line + 1, len(text.splitlines()) or 1) if mark is not None else 1
        raise InvalidFile([Problem(path, line, "", f"not valid YAML: {what}")]) from error
    except yaml.YAMLError as error:
        raise InvalidFile([Problem(path, 1, "", f"not valid YAML: {str(error).splitlines()[0]}")]) from error
    if node is None:
        raise InvalidFile([Problem(path, 1, "", "the file is empty; expected a mapping with `services`")])
    builder = _Builder(path)
    value = builder.build(node, ())
    return Document(path, value, builder.lines)


def _check_depth(text: str, path: Path) -> None:
    """Before anything is composed: composing is recursive."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark is not None else 1
                raise InvalidFile([Problem(path, line, "", f"nested deeper than {MAX_DEPTH} levels")])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Builder:
    """Nodes to plain data, noting lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Location, int] = {}
        self._count = 0

    def build(self, node: Node, location: Location) -> Any:
        self._count += 1
        if self._count > MAX_NODES or len(location) > MAX_DEPTH:
            top = location[:1]
            message = f"more than {MAX_NODES} values or {MAX_DEPTH} levels after expanding aliases"
            raise InvalidFile([Problem(self.path, self.lines.get(top, 1), dotted(top), message)])
        self.lines.setdefault(location, _line(node))
        if not node.tag.startswith(_CORE):
            raise self._invalid(node, location, f"the tag {node.tag} is not known here; expected plain data")
        if isinstance(node, MappingNode):
            return self._mapping(node, location)
        if isinstance(node, SequenceNode):
            return [self.build(child, (*location, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, location)

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, Any]:
        """Its own fields first, then what it merges: the first to name a field gives its value."""
        result: dict[str, Any] = {}
        for key_node, value_node in self._own(node, location):
            key = key_node.value
            if key in result:
                raise self._invalid(key_node, (*location, key), "stands twice")
            self.lines[(*location, key)] = _line(key_node)
            result[key] = self.build(value_node, (*location, key))
        for merged in self._merged(node, location, 0):
            for key_node, value_node in self._own(merged, location):
                key = key_node.value
                if key not in result:
                    self.lines[(*location, key)] = _line(key_node)
                    result[key] = self.build(value_node, (*location, key))
        return result

    def _own(self, node: MappingNode, location: Location) -> Iterator[tuple[ScalarNode, Node]]:
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            if not isinstance(key_node, ScalarNode):
                raise self._invalid(key_node, location, "expected a plain text key")
            yield key_node, value_node

    def _merged(self, node: MappingNode, location: Location, depth: int) -> Iterator[MappingNode]:
        """What `<<` names, and what that merges in turn, in the order in which they count."""
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                continue
            for one in value_node.value if isinstance(value_node, SequenceNode) else (value_node,):
                if not isinstance(one, MappingNode) or depth > MAX_DEPTH:
                    raise self._invalid(key_node, location, "'<<' merges mappings only, such as *name")
                self._count += 1
                yield one
                yield from self._merged(one, location, depth + 1)

    def _scalar(self, node: Node, location: Location) -> Any:
        text = node.value
        if "\x00" in text:
            raise self._invalid(node, location, "contains a NUL, which no text may have")
        if getattr(node, "style", None) in _QUOTED or node.tag == f"{_CORE}binary":
            return text  # in quotes or a block
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and abs(float(text)) < 1e6:
            return float(text)
        if _AMBIGUOUS.fullmatch(text):
            raise self._invalid(node, location, f"{text[:80]} is read in several ways; put it in quotes")
        return text

    def _invalid(self, node: Node, location: Location, message: str) -> InvalidFile:
        return InvalidFile([Problem(self.path, _line(node), dotted(location), message)])


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
