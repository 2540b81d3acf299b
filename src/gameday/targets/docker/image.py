"""The image of gameday's own helper containers: this very gameday, with what it needs, and iptables.

Built from the code that runs, so that what reverts a drill is never another version than what made it. The tag is a
hash of what goes in: as long as it is there, nothing is built.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.docker.engine import Engine

DISTRIBUTION = "gameday-runner"
REPOSITORY = "gameday/runner"
_BUILD_TIMEOUT_S = 900.0
_SHOWN_LINES = 20
_known: set[str] = set()


def helper_image(engine: Engine, say: Callable[[str], None] = lambda _: None) -> str:
    """The tag of the image, which is built where the engine has none.

    Raises:
        TargetError: it could not be built; the message has the end of what was said.
        OperationTimedOut: not within fifteen minutes.
    """
    tag = f"{REPOSITORY}:{_hash()}"
    if tag in _known:
        return tag
    with engine.translated("look for the helper image"):
        there = engine.api.images(name=tag, quiet=True)
    if not there:
        say(
            f"building {tag}, the image of gameday's helper containers; this takes a minute or two the first time"
        )
        _build(engine, tag)
    _known.add(tag)
    return tag


def _build(engine: Engine, tag: str) -> None:
    begun, said = time.monotonic(), []
    with engine.translated(f"build {tag}"):
        # a client of its own: a layer may be silent for minutes
        client = engine.patient_api(_BUILD_TIMEOUT_S)
        context = io.BytesIO(_context())
        stream = client.build(
            fileobj=context,
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            decode=True,
            labels={"gameday.image": "helper"},
        )
        for entry in stream:
            said.append(str(entry.get("stream") or entry.get("error") or "").rstrip())
            if "error" in entry:
                last = "\n".join(f"    {line}" for line in said[-_SHOWN_LINES:] if line)
                raise TargetError(f"build {tag}: {entry['error']}\n{last}")
            if time.monotonic() - begun > _BUILD_TIMEOUT_S:
                raise OperationTimedOut(f"build {tag}: not built within {_BUILD_TIMEOUT_S:g} s")
        client.tag(tag, REPOSITORY, "latest")
        client.close()


def _context() -> bytes:
    """What is built, as a tar without anything of this machine or moment, so that equal contexts are equal bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in _files():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def _files() -> Iterator[tuple[str, bytes]]:
    package = Path(__file__).parents[2]
    yield "Dockerfile", (Path(__file__).parent / "image" / "Dockerfile").read_bytes()
    yield "requirements.txt", "\n".join([*_requirements(), ""]).encode()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"src/gameday/{path.relative_to(package).as_posix()}", path.read_bytes()


@cache
def _hash() -> str:
    return hashlib.sha256(_context()).hexdigest()[:12]


def _requirements() -> list[str]:
    """Everything that gameday with its docker extra needs, at the versions that are installed here.

    Raises:
        TargetError: something is not installed.
    """
    pinned: dict[str, str] = {}
    todo: list[tuple[str, frozenset[str]]] = [(DISTRIBUTION, frozenset({"docker"}))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise TargetError(f"the helper image needs {name}, which is not installed here") from error
        if name != DISTRIBUTION:
            pinned[canonicalize_name(name)] = found.version
        for text in found.requires or []:
            requirement = Requirement(text)
            if _applies(requirement, extras):
                todo.append((requirement.name, frozenset(requirement.extras)))
    return [f"{name}=={version}" for name, version in sorted(pinned.items())]


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    surroundings: list[dict[str, Any]] = [{"extra": extra} for extra in (extras or {""})]
    return any(requirement.marker.evaluate(environment) for environment in surroundings)
