"""The image of gameday's own helper containers: this very gameday, with what it needs, and iptables.

Built from the code that runs, so that what reverts a drill is never another version than what made it. The tag is a
hash of what goes in: as long as it is there, nothing is built.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.docker.build import build_image, has_image, pull_image
from gameday.targets.docker.engine import Engine
from gameday.targets.waiting import Deadline

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "gameday-runner"
REPOSITORY = "gameday/runner"
_BUILD_TIMEOUT_S = 900.0
_LABEL, _HELPER = "gameday.image", "helper"
_KEPT = 5
"""Images: several versions may be at work side by side, in checkouts of their own."""
_BASE = re.compile(r"^FROM\s+(\S+)(?:\s+AS\s+(\S+))?", re.MULTILINE)
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
    if not has_image(engine, tag):
        deadline = Deadline.after(_BUILD_TIMEOUT_S)
        with _alone(deadline):
            if not has_image(engine, tag):  # else another has built it meanwhile
                say(
                    f"building {tag}, the image of gameday's helper containers; this takes a minute or two "
                    "the first time"
                )
                _build(engine, tag, deadline)
    _known.add(tag)
    return tag


@contextlib.contextmanager
def _alone(deadline: Deadline) -> Iterator[None]:
    """One build at a time on this machine: a second would be the same work, and leave an image without a name."""
    path = Path(tempfile.gettempdir()) / f"gameday-helper-image-{os.getuid()}.lock"
    lock = FileLock(
        path, timeout=deadline.left_s(), poll_interval=0.1, is_singleton=False, thread_local=False
    )
    try:
        lock.acquire()
    except Timeout as error:
        raise OperationTimedOut(
            f"the helper image is being built by another gameday for {deadline.timeout_s:g} s (lock {path})"
        ) from error
    except OSError as error:
        raise TargetError(f"the helper image cannot be built: lock {path}: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _build(engine: Engine, tag: str, deadline: Deadline) -> None:
    _ensure_base(engine, deadline)
    build_image(engine, io.BytesIO(_context()), tag, deadline, _quiet, labels={_LABEL: _HELPER})
    with engine.translated(f"tag {tag}"):
        engine.api.tag(tag, REPOSITORY, "latest")
    _remove_old(engine)


def _remove_old(engine: Engine) -> None:
    """Each version of gameday has an image of its own: all but the newest go. One that a container uses stays."""
    import docker.errors

    with engine.translated("list images"):
        images = engine.api.images(name=REPOSITORY, filters={"label": f"{_LABEL}={_HELPER}"})
    newest_first = sorted(images, key=lambda one: one["Created"], reverse=True)
    for one in newest_first[_KEPT:]:
        for tag in one["RepoTags"] or ():
            with contextlib.suppress(docker.errors.APIError):  # in use, or somebody else has removed it
                engine.api.remove_image(tag)


def _ensure_base(engine: Engine, deadline: Deadline) -> None:
    """An engine without access to a registry says only that something was refused: say of what, and what to do."""
    stages: set[str] = set()
    for base, stage in _BASE.findall(_dockerfile().decode()):
        stages.add(stage)
        if base in stages or has_image(engine, base):
            continue
        try:
            pull_image(engine, base, deadline, _quiet)
        except TargetError as error:
            raise TargetError(
                f"the helper image is built on {base}, which the Docker engine neither has nor can pull; get it "
                f"there by `docker pull {base}`, or by `docker save {base}` where it is and `docker load` here: "
                f"{error}"
            ) from error


def _quiet(_: str) -> None:
    """The error has the last lines; a build that succeeds has nothing to tell."""


def _dockerfile() -> bytes:
    return (Path(__file__).parent / "image" / "Dockerfile").read_bytes()


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
    yield "Dockerfile", _dockerfile()
    yield "requirements.txt", "\n".join([*_requirements(), ""]).encode()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"src/gameday/{path.relative_to(package).as_posix()}", path.read_bytes()


@cache
def _hash() -> str:
    return hashlib.sha256(_context()).hexdigest()[:12]


def _requirements() -> list[str]:
    """Everything that gameday with its extras for containers needs, at the versions that are installed here.

    Raises:
        TargetError: something is not installed.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pinned: dict[str, str] = {}
    todo: list[tuple[str, frozenset[str]]] = [(DISTRIBUTION, _extras())]
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


def _extras() -> frozenset[str]:
    """Docker, and Kubernetes where this gameday has it: then the image is also that of its dead-man switch there."""
    try:
        importlib.metadata.distribution("kubernetes")
        importlib.metadata.distribution("chaostoolkit-kubernetes")
    except importlib.metadata.PackageNotFoundError:
        return frozenset({"docker"})
    return frozenset({"docker", "kubernetes"})


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    surroundings: list[dict[str, Any]] = [{"extra": extra} for extra in (extras or {""})]
    return any(requirement.marker.evaluate(environment) for environment in surroundings)
