"""The log of undos against a list, while its writer crashes again and again."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gameday.journal import Recorded, Undo, UndoLog


class Journal(RuleBasedStateMachine):
    """`model` holds what is recorded, and whether it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="gameday-journal-"))
        self.model: list[tuple[Recorded, bool]] = []

    @initialize()
    def begin(self) -> None:
        self.log = UndoLog.create(self.folder, "d1", {"instance": "fake"})

    @rule(name=st.text(max_size=10), ttl_s=st.integers(1, 1000))
    def record(self, name: str, ttl_s: int) -> None:
        recorded = self.log.record(Undo("start", name, {"name": name}), ttl_s)
        assert recorded.id == len(self.model)
        self.model.append((recorded, False))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), ok=st.booleans(), detail=st.text(max_size=10))
    def mark(self, data: st.DataObject, ok: bool, detail: str) -> None:
        index = data.draw(st.integers(0, len(self.model) - 1))
        recorded, done = self.model[index]
        self.log.mark(recorded, ok=ok, by="runner", detail=detail)
        self.model[index] = (recorded, done or ok)

    @rule(name=st.text(max_size=10), kept=st.floats(0, 1, exclude_max=True))
    def crash_while_recording(self, name: str, kept: float) -> None:
        """The writer dies after a part of the line was written: the change was never made."""
        before = self.log.path.read_bytes()
        self.log.record(Undo("start", name), 1.0)
        self._tear(before, kept)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), kept=st.floats(0, 1, exclude_max=True))
    def crash_while_marking(self, data: st.DataObject, kept: float) -> None:
        before = self.log.path.read_bytes()
        recorded, _ = data.draw(st.sampled_from(self.model))
        self.log.mark(recorded, ok=True, by="runner", detail="")
        self._tear(before, kept)

    def _tear(self, before: bytes, kept: float) -> None:
        added = self.log.path.read_bytes()[len(before) :]
        self.log.path.write_bytes(before + added[: int(len(added) * kept)])
        self.log = UndoLog(self.log.path)

    @invariant()
    def pending_is_what_is_not_done_last_in_first_out(self) -> None:
        if hasattr(self, "log"):
            expected = [recorded for recorded, done in reversed(self.model) if not done]
            assert list(UndoLog(self.log.path).pending()) == expected
            assert UndoLog(self.log.path).header["instance"] == "fake"

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestJournal = Journal.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
