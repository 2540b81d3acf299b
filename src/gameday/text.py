"""Text that others wrote (probe answers, command output, titles), made safe to show as one line.

A control character in a probe's answer can move the cursor of a terminal, break an XML file or hide words;
a right-to-left override can make a report say the opposite. Both become visible here; letters of every script
stay as they are.
"""

from __future__ import annotations

import re

# C0 and C1 controls, line and paragraph separators, bidirectional controls, lone surrogates, non-characters
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_BREAKS = frozenset("\t\n\x0b\x0c\r\x85\u2028\u2029")


def one_line(text: object, limit: int | None = None) -> str:
    """`text` on one line without control characters, cut after `limit` characters with a note of the rest."""
    cleaned = _UNSAFE.sub(_spaced, str(text)).strip()
    return cleaned if limit is None else cut(cleaned, limit)


def lines(text: object, limit: int | None = None) -> str:
    """Like `one_line`, but line breaks stay: for the output of commands."""
    joined = "\n".join(_UNSAFE.sub(_kept_tab, line).rstrip() for line in str(text).splitlines()).strip("\n")
    return joined if limit is None else cut(joined, limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters and, where that was not all, how many are missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()}… ({len(text) - limit:,} more characters)"


def _spaced(found: re.Match[str]) -> str:
    return " " if found[0] in _BREAKS else _visible(found[0])


def _kept_tab(found: re.Match[str]) -> str:
    return "    " if found[0] == "\t" else _visible(found[0])


def _visible(character: str) -> str:
    """`<U+001B>` for ESC: in letters that every font has; `\ufffd` for what is no character at all."""
    code = ord(character)
    return "\ufffd" if code >= 0xD800 else f"<U+{code:04X}>"
