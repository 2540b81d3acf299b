"""What a step gives back, made fit for evidence: no secrets, no control characters, a bounded size.

Secrets are masked before the text is cut: a cut could remove the name that tells that a value is one. Masking
rather takes too much than too little.
"""

from __future__ import annotations

import re

MAX_OUTPUT_BYTES = 8192
MAX_SCANNED_CHARACTERS = 262_144
MASK = "***"

_NAMES = (
    r"password|passwd|passphrase|pwd|token|secret|api[-_]?key|access[-_]?key|private[-_]?key|credentials?"
)
_QUOTED = r"(?P<quote>[\"'])(?:(?!(?P=quote))[^\\\n]|\\.)*(?P=quote)?"
_IS = r"\\?[\"']?[ \t]*[:=][ \t]*"
_PATTERNS = (
    # -----BEGIN … PRIVATE KEY-----, to its end or that of the text
    re.compile(
        r"(?P<name>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?P<quote>)(?s:.*?)"
        r"(?=-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
    ),
    # scheme://user:password@host
    re.compile(r"(?P<name>\w://)(?P<quote>)[^/\s\"'<>]+(?=@)"),
    # Authorization: Bearer …, Cookie: …: several words, so all of the line
    re.compile(rf"(?i)(?P<name>(?:authorization|cookie){_IS})(?:{_QUOTED}|[^\r\n]+)"),
    # password=…, PGPASSWORD=…, "token": "…", access_token: …
    re.compile(rf"(?i)(?P<name>(?:{_NAMES}){_IS})(?:{_QUOTED}|[^\s\"']\S*)"),
    # --password …
    re.compile(rf"(?i)(?P<name>--[\w-]{{0,40}}?(?:{_NAMES})[ \t]+)(?:{_QUOTED}|[^\s\"'-]\S*)"),
)
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def redact(text: str) -> str:
    """`text` with `***` in place of passwords, tokens, authorization headers and the userinfo of URLs."""
    for pattern in _PATTERNS:
        text = pattern.sub(_mask, text)
    return text


def _mask(match: re.Match[str]) -> str:
    quote = match["quote"] or ""  # kept, so that JSON stays JSON
    return f"{match['name']}{quote}{MASK}{quote}"


def presentable(text: str, limit: int = MAX_OUTPUT_BYTES) -> str:
    """`text` as evidence may keep it: redacted, without control characters, at most `limit` bytes of UTF-8.

    Of a longer text the beginning and, three times as much of it, the end are kept: commands say what went
    wrong last.
    """
    if len(text) > MAX_SCANNED_CHARACTERS:
        # cut at the front, where a value could lose its name: drop the rest of that line too
        text = text[-MAX_SCANNED_CHARACTERS:].partition("\n")[2] or "(one line too long to be looked through)"
    cleaned = redact(_CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))).strip("\n")
    raw = cleaned.encode("utf-8", errors="replace")
    if len(raw) <= limit:
        return raw.decode()
    mark = f"\n... {len(raw) - limit} bytes or more left out ...\n"
    room = limit - len(mark.encode())
    head = raw[: room // 4].decode(errors="ignore")
    tail = raw[-(room - room // 4) :].decode(errors="ignore")
    return head + mark + tail
