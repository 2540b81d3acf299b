"""An evidence folder as rows, and rows as a folder: whole, and the same bytes again."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gameday.history.connect import HistoryError

LARGEST = 256 * 2**20
"""A file of more bytes stays in its folder: a database is no place for it."""
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a drill's evidence. `name` is relative to its folder."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class EvidenceFile(StoredFile):
    """The same with its content, compressed."""

    content: bytes

    @classmethod
    def read(cls, folder: Path, path: Path) -> EvidenceFile:
        data = path.read_bytes()
        return cls(
            path.relative_to(folder).as_posix(),
            len(data),
            hashlib.sha256(data).hexdigest(),
            zlib.compress(data, _LEVEL),
        )

    def data(self) -> bytes:
        """The file's bytes.

        Raises:
            HistoryError: they are not what was stored.
        """
        try:
            data = zlib.decompress(self.content)
        except zlib.error as error:
            raise HistoryError(f"{self.name} is damaged in the history: {error}") from error
        if len(data) != self.size or hashlib.sha256(data).hexdigest() != self.sha256:
            raise HistoryError(f"{self.name} is damaged in the history: its sha256 is not {self.sha256}")
        return data


def read_folder(folder: Path) -> tuple[EvidenceFile, ...]:
    """Every file of an evidence folder, but for temporary ones and links.

    Raises:
        OSError: one cannot be read.
        HistoryError: one is too big.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        size = path.stat().st_size
        if size > LARGEST:
            raise HistoryError(f"{path} has {size:,} bytes; the history takes files of at most {LARGEST:,}")
        found.append(EvidenceFile.read(folder, path))
    return tuple(found)


def write_folder(folder: Path, files: Iterable[EvidenceFile]) -> None:
    """Make `folder` of them, whole or not at all.

    Raises:
        HistoryError: it is there and holds something; a file is damaged, or its name leads elsewhere.
        OSError: it cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise HistoryError(f"{folder} is not empty; name a folder that is not there yet")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for file in files:
            path = scratch / _safe(file.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data())
        scratch.chmod(0o755)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _safe(name: str) -> PurePosixPath:
    """What others wrote into the database may not lead out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\x00" in name:
        raise HistoryError(f"the history has a file {name!r}, which is none of an evidence folder")
    return path
