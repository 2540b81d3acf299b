"""Images of a compose file's services through the SDK: built when anything that goes into them changed, else kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO, cast

from gameday.errors import TargetError
from gameday.targets.base import Progress
from gameday.targets.docker.build import build_image, labels_of
from gameday.targets.docker.compose_file import Build
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline

CONTEXT_LABEL = "gameday.context"
"""A hash of what an image was made from. What its base image was is not part of it: that is not known without a
builder's help."""
_CHUNK = 1 << 20


def ensure_built(
    engine: Engine,
    folder: Path,
    image: str,
    build: Build,
    variables: Mapping[str, str],
    deadline: Deadline,
    say: Progress,
) -> None:
    """Build `image` unless it is there and made from the same files, target and arguments.

    Raises:
        OperationTimedOut, TargetError
    """
    root = (folder / Path(build.context).expanduser()).resolve()
    dockerfile = _dockerfile(root, build, image)
    arguments = {name: variables.get(name) if text is None else text for name, text in build.args.items()}
    given = {name: text for name, text in arguments.items() if text is not None}
    files = _context_files(root, dockerfile)
    wanted = _hash(root, files, [dockerfile, build.target, given])
    if (labels_of(engine, image) or {}).get(CONTEXT_LABEL) == wanted:
        return
    say(f"building {image}")
    with contextlib.closing(_archive(root, files)) as context:
        build_image(
            engine,
            context,
            image,
            deadline,
            say,
            dockerfile=dockerfile,
            buildargs=given,
            labels={CONTEXT_LABEL: wanted},
            **({"target": build.target} if build.target else {}),
        )


def _dockerfile(root: Path, build: Build, image: str) -> str:
    """Relative to the context, as the engine wants it."""
    path = Path(os.path.normpath(root / build.dockerfile))
    if not path.is_file():
        raise TargetError(f"build of image {image}: there is no {path}")
    if not path.is_relative_to(root):
        raise TargetError(f"build of image {image}: {path} is outside of its context {root}; put it inside")
    return path.relative_to(root).as_posix()


def _context_files(root: Path, dockerfile: str) -> list[str]:
    """Relative paths of what `.dockerignore` leaves."""
    from docker.utils.build import exclude_paths

    ignore = root / ".dockerignore"
    patterns = [
        line.strip()
        for line in (ignore.read_text("utf-8").splitlines() if ignore.is_file() else ())
        if line.strip() and not line.startswith("#")
    ]
    return sorted(path for path in exclude_paths(str(root), patterns, dockerfile=dockerfile) if path)


def _hash(root: Path, files: list[str], more: object) -> str:
    """Of names, permissions and content; not of times and owners, which a clone does not keep."""
    digest = hashlib.sha256(json.dumps(more, sort_keys=True).encode())
    for name in files:
        path = root / name
        mode = path.lstat().st_mode
        digest.update(f"\0{name}\0{stat.S_IFMT(mode):o}{stat.S_IMODE(mode) & 0o111:o}\0".encode())
        if stat.S_ISLNK(mode):
            digest.update(os.fsencode(path.readlink()))
        elif stat.S_ISREG(mode):
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()


def _archive(root: Path, files: list[str]) -> IO[bytes]:
    from docker.utils.build import create_archive

    return cast(IO[bytes], create_archive(str(root), files=files))
