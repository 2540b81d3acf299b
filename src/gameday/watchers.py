"""What a drill knows of its probes while it runs: which hold, since when, and how exactly that is known."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gameday.clock import Instant
from gameday.probes import Answer
from gameday.record import SAMPLE_COLUMNS


@dataclass(frozen=True, slots=True)
class Seen:
    """A change seen by a sample at `at`; it happened in the `resolution_s` seconds before."""

    at: Instant
    resolution_s: float


class ProbeState:
    """Folds one probe's answers into its current state. Answers come in the order of asking."""

    def __init__(self) -> None:
        self.ok: bool | None = None
        self.since: Seen | None = None
        self.last: Answer | None = None
        self.count = 0
        self.usual_s = 0.0
        """The slowest good answer before the first bad one: how long an answer takes when all is well."""
        self._ever_failed = False

    def add(self, answer: Answer) -> None:
        if answer.ok is not self.ok:
            self.since = self._seen(answer)
            self.ok = answer.ok
        self.last = answer
        self.count += 1
        self._ever_failed = self._ever_failed or not answer.ok
        if not self._ever_failed:
            self.usual_s = max(self.usual_s, answer.ended - answer.started)

    def _seen(self, answer: Answer) -> Seen:
        """A good answer proves the service at its end; a bad one was already in vain when it was asked.

        How long before its first good answer a service was back: had it been before the last bad question was
        asked, that one had been answered. A good answer that took longer than usual was waiting for the service,
        which then came back when it was given.
        """
        at = answer.ended if answer.ok else answer.started
        if self.last is None:
            return Seen(at, 0.0)
        if not answer.ok:
            return Seen(at, max(0.0, at - self.last.ended))
        asked_apart_s = answer.started - self.last.started
        took_s = answer.ended - answer.started
        return Seen(at, max(0.0, asked_apart_s + (min(took_s, self.usual_s) if self.usual_s else took_s)))


class Watchers:
    """The states of all probes of a drill, and their samples on disk."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        folder.mkdir(exist_ok=True)
        self.states = {name: ProbeState() for name in names}
        self._files = {
            name: (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") for name in self.states
        }
        self._writers = {name: csv.writer(file) for name, file in self._files.items()}
        for writer in self._writers.values():
            writer.writerow(SAMPLE_COLUMNS)

    def add(self, name: str, answer: Answer) -> None:
        self.states[name].add(answer)
        row = (
            answer.started.mono_ns,
            answer.ended.mono_ns,
            int(answer.ok),
            "" if answer.ok else answer.detail,
        )
        self._writers[name].writerow(row)

    def holding(self, names: Iterable[str]) -> Seen | None:
        """Since when all of `names` hold without a failure; None when one does not."""
        seen: list[Seen] = []
        for name in names:
            state = self.states[name]
            if not state.ok or state.since is None:
                return None
            seen.append(state.since)
        return max(seen, key=lambda since: since.at.mono_ns)

    def held_for_s(self, names: Iterable[str]) -> float:
        """How long all of `names` have held, up to the last answer of the one asked longest ago."""
        chosen = tuple(names)
        since = self.holding(chosen)
        if since is None:
            return 0.0
        last = [state.last for state in (self.states[name] for name in chosen) if state.last is not None]
        return max(0.0, min(answer.ended - since.at for answer in last))

    def failing(self, name: str) -> Seen | None:
        """Since when `name` fails; None while it holds or has not been asked."""
        state = self.states[name]
        return state.since if state.ok is False else None

    def answers(self) -> Mapping[str, Answer]:
        return {name: state.last for name, state in self.states.items() if state.last is not None}

    def flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
