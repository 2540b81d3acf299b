"""Reading a runbook's Markdown: headings, prose and `yaml step` blocks to the values of `model`.

A block that looks like a step and would silently not be one (misspelled, in a list, without a heading, in a
section that is never executed, behind a block that nobody closed) is an error: a drill that skips a step
without a word proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import Field

from gameday.errors import InvalidFile, Problem
from gameday.fields import AlertName, Model, PositiveDuration, Text, validate
from gameday.files import Document, parse_yaml, read_text
from gameday.runbook.actions import StepBlock
from gameday.runbook.model import (
    EXECUTED,
    MAX_PROSE,
    MAX_STEPS,
    READ_ONLY,
    SECTIONS,
    VALIDATION,
    Runbook,
    Section,
    Severity,
    Step,
    key,
)

__all__ = ["Runbook", "Section", "Step", "load_runbook", "parse_runbook"]


class FrontMatter(Model):
    """The `---` block at the top of a runbook."""

    alerts: tuple[AlertName, ...]
    """Alerts that this runbook answers."""
    severity: Severity
    rto: PositiveDuration
    """The service is back within this time from the fault's effect; the main path must fit into it."""
    covers: tuple[Text, ...] = Field(default=(), max_length=20)
    """The kinds of failure it is for."""


def load_runbook(path: Path) -> Runbook:
    """Read and check a runbook.

    Raises:
        InvalidFile: with every problem found: file, line in the Markdown file, field, what would be right.
    """
    return parse_runbook(read_text(path, "a Markdown file"), path)


def parse_runbook(text: str, path: Path) -> Runbook:
    """Like `load_runbook`, for text that is already read."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    document, end = _front_matter(lines, path)
    reader = _Reader(path, lines)
    front: FrontMatter | None = None
    try:
        front = validate(FrontMatter, document)
    except InvalidFile as error:
        reader.problems += error.problems
    # blank lines in place of the front matter keep the line numbers of what follows
    reader.read(MarkdownIt("commonmark").parse("\n" * end + "\n".join(lines[end:])))
    sections = reader.sections()
    if not reader.title:
        reader.problem(1, "no title; expected one heading such as '# Database down'")
    if front is None or reader.problems:
        raise InvalidFile(sorted(reader.problems, key=lambda problem: problem.line))
    return Runbook(
        name=path.stem,
        title=reader.title,
        path=path,
        alerts=front.alerts,
        severity=front.severity,
        rto_s=front.rto,
        sections=sections,
        covers=front.covers,
        lines=document.lines,
    )


def _front_matter(lines: list[str], path: Path) -> tuple[Document, int]:
    """The `---` block at the top as a document, and the number of lines that it takes."""
    if lines[0].rstrip() != "---":
        message = "expected '---' and a block with alerts, severity and rto before everything else"
        raise InvalidFile([Problem(path, 1, "", message)])
    for index, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            block = "\n".join(lines[1:index])
            if not block.strip():
                raise InvalidFile([Problem(path, 1, "", "an empty block; expected alerts, severity and rto")])
            return parse_yaml(block, path, first_line=2), index + 1
    raise InvalidFile([Problem(path, 1, "", "the block that '---' begins is not closed by another '---'")])


@dataclass(slots=True)
class _Draft:
    """A `### ` heading while its content is being read; line ranges are half-open and count from 0."""

    heading: str
    line: int
    section: str
    begin: int
    end: int = 0
    block: Token | None = None
    fences: list[tuple[int, int]] = field(default_factory=list)


class _Reader:
    """Tokens to sections and steps, gathering problems so that one run shows all of them."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path = path
        self.lines = lines
        self.problems: list[Problem] = []
        self.title = ""
        self._sections: list[tuple[str, int]] = []
        self._drafts: list[_Draft] = []
        self._open: _Draft | None = None

    def problem(self, line: int, message: str, name: str = "") -> None:
        self.problems.append(Problem(self.path, line, name, message))

    def read(self, tokens: list[Token]) -> None:
        for index, token in enumerate(tokens):
            if token.type == "heading_open" and token.level == 0:
                self._heading(token, _plain(tokens[index + 1]))
            elif token.type == "fence":
                self._fence(token)
        self._close(len(self.lines))

    def sections(self) -> tuple[Section, ...]:
        """The sections with their steps, once everything is read."""
        if sum(draft.block is not None for draft in self._drafts) > MAX_STEPS:
            self.problem(1, f"more than {MAX_STEPS} steps")
            return ()
        steps = [step for draft in self._drafts if (step := self._step(draft)) is not None]
        self._refuse_twins(steps)
        self._refuse_circles(steps)
        return tuple(
            Section(title, line, tuple(step for step in steps if step.section == title))
            for title, line in self._sections
        )

    def _heading(self, token: Token, text: str) -> None:
        begin, end = _range(token)
        if token.tag not in ("h1", "h2", "h3"):
            return
        self._close(begin)
        if not text:
            self.problem(begin + 1, "a heading without text")
        elif token.tag == "h1":
            if self.title:
                self.problem(begin + 1, f"a second title beside {self.title!r}; sections begin with '##'")
            self.title = self.title or text
        elif token.tag == "h2":
            self._begin_section(text, begin + 1)
        elif self._sections:
            self._open = _Draft(text, begin + 1, self._sections[-1][0], end)

    def _begin_section(self, text: str, line: int) -> None:
        title = next((known for known in SECTIONS if key(known) == key(text)), text)
        first = next((at for name, at in self._sections if key(name) == key(title)), None)
        if first is not None:
            self.problem(line, f"section {title!r} stands twice; first on line {first}")
            # its steps are still read, so that their own problems show
        self._sections.append((title, line))

    def _close(self, end: int) -> None:
        if self._open is not None:
            self._open.end = end
            self._drafts.append(self._open)
            self._open = None

    def _fence(self, token: Token) -> None:
        begin, end = _range(token)
        if not _closed(token, self.lines[end - 1], end - begin):
            self.problem(begin + 1, f"the block is not closed; expected a line {token.markup} after it")
        words = token.info.casefold().split()
        if words != ["yaml", "step"]:
            if {"step", "steps"} & set(words):
                self.problem(begin + 1, f"unknown block {token.info!r}; expected 'yaml step'")
            return
        if token.level:
            self.problem(begin + 1, "a step inside a list or a quotation; expected it at the left margin")
        elif self._open is None:
            self.problem(begin + 1, "a step without a heading; expected '### ' and what it does above it")
        elif self._open.block is not None:
            first = _range(self._open.block)[0] + 1
            self.problem(begin + 1, f"a second block in one step; the first is on line {first}")
        elif self._open.section not in EXECUTED:
            message = f"never executed in {self._open.section!r}; steps belong to {', '.join(EXECUTED)}"
            self.problem(begin + 1, message)
        else:
            self._open.block = token
            self._open.fences.append((begin, end))

    def _step(self, draft: _Draft) -> Step | None:
        if draft.block is None:
            return None
        line = _range(draft.block)[0] + 2
        if not draft.block.content.strip():
            self.problem(line - 1, "the step is empty; expected one of do, run, ask or check, and a budget")
            return None
        try:
            document = parse_yaml(draft.block.content, self.path, first_line=line)
            block = validate(StepBlock, document)
        except InvalidFile as error:
            self.problems += error.problems
            return None
        step = Step(
            heading=draft.heading,
            line=draft.line,
            section=draft.section,
            text=self._prose(draft),
            action=block.action,
            budget_s=block.budget,
            check=block.check,
            otherwise=block.otherwise,
            then=block.then,
            mitigation=block.mitigation,
            lines=document.lines,
        )
        self._refuse_misplaced(step)
        return step

    def _prose(self, draft: _Draft) -> str:
        skipped = {index for begin, end in draft.fences for index in range(begin, end)}
        kept = [self.lines[index] for index in range(draft.begin, draft.end) if index not in skipped]
        text = "\n".join(kept).strip()
        return text if len(text) <= MAX_PROSE else text[: MAX_PROSE - 1] + "…"

    def _refuse_misplaced(self, step: Step) -> None:
        if step.section in READ_ONLY and step.may_change:
            message = f"{step.describe()!r} changes something; {step.section} takes status, logs, a check"
            self.problem(step.line_of("do"), message, "do")
        elif step.section == VALIDATION and step.check is None and step.kind != "manual":
            self.problem(step.line, f"{step.heading!r} checks nothing; steps of {VALIDATION} do", "check")

    def _refuse_twins(self, steps: list[Step]) -> None:
        seen: dict[str, Step] = {}
        for step in steps:
            first = seen.setdefault(key(step.heading), step)
            if first is not step:
                self.problem(step.line, f"step {step.heading!r} stands twice; first on line {first.line}")

    def _refuse_circles(self, steps: list[Step]) -> None:
        by_key = {key(step.heading): step for step in steps}
        finished: set[str] = set()

        def visit(step: Step, path: tuple[str, ...]) -> None:
            for name, heading in step.following:
                following = by_key.get(key(heading))
                if following is None or following.heading in finished:
                    continue
                inner = (*path, following.heading)
                if following.heading in path:
                    circle = " -> ".join(inner[inner.index(following.heading) :])
                    self.problem(step.line_of(name), f"goes in a circle: {circle}", name)
                else:
                    visit(following, inner)
            finished.add(step.heading)

        for step in steps:
            if step.heading not in finished:
                visit(step, (step.heading,))


def _plain(inline: Token) -> str:
    """The text of a heading as a reader sees it, without marks of emphasis, code or links."""
    return " ".join("".join(_texts(inline)).split())


def _texts(token: Token) -> Iterator[str]:
    if token.children is None:
        yield token.content if token.type in ("text", "code_inline") else " " * (token.type == "softbreak")
    else:
        for child in token.children:
            yield from _texts(child)


def _range(token: Token) -> tuple[int, int]:
    begin, end = token.map or (0, 0)
    return begin, end


def _closed(token: Token, last_line: str, length: int) -> bool:
    """Markdown lets an unclosed block swallow the rest of the file, and every step in it, without a word."""
    mark = last_line.lstrip("> \t").rstrip()
    return length > 1 and len(mark) >= len(token.markup) and set(mark) == set(token.markup)
