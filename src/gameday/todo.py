"""What a scaffolded file leaves to people: lines with a marker, which `gameday validate` lists until they are gone.

In YAML it is a comment, `# TODO(gameday): what would be right`; in Markdown `<!-- TODO(gameday): ... -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gameday.errors import Problem

MARK = "TODO(gameday)"
_LINE = re.compile(re.escape(MARK) + r":[ \t]*(.*?)[ \t]*(?:-->)?[ \t]*$", re.MULTILINE)


def todos(text: str, path: Path) -> Iterator[Problem]:
    """Every marked line, as something that is still wrong with the file."""
    for found in _LINE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Problem(path, line, "", f"still to be decided: {found[1] or 'what stands below this line'}")
