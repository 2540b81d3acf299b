"""What a kustomization amounts to: by `kubectl kustomize` where kubectl is on PATH, else by a reader of our own.

kubectl's knows the whole format. Ours knows the part that the files of this project use, gives the same objects for it,
and refuses the rest.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gameday.errors import InvalidFile, OperationTimedOut, Problem, TargetError
from gameday.files import Document, parse_yaml, read_text

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_RENDER_TIMEOUT_S = 60.0
_KEPT = 2000
_SEPARATOR = re.compile(r"^---(?:[ \t].*)?$")

Body = dict[str, Any]


def rendered(folder: Path) -> list[Body]:
    """Every object of the kustomization in `folder`.

    Raises:
        InvalidFile: there is none, or it has what our reader does not know.
        TargetError: kubectl refused it; the message has what it said.
        OperationTimedOut
    """
    if kustomization_file(folder) is None:
        what = f"is no kustomization: it has no {' or '.join(FILE_NAMES)}"
        raise InvalidFile([Problem(folder, 1, "", what)])
    kubectl = shutil.which("kubectl")
    if kubectl is not None:
        text = _by_kubectl(kubectl, folder)
        return [document.value for document in documents(text, folder / "(as kubectl renders it)")]
    from gameday.targets.kubernetes.kustomize import render

    return render(folder)


def kustomization_file(folder: Path) -> Path | None:
    return next((folder / name for name in FILE_NAMES if (folder / name).is_file()), None)


def _by_kubectl(kubectl: str, folder: Path) -> str:
    argv = [kubectl, "kustomize", str(folder)]
    what = f"`{' '.join(argv)}`"
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_RENDER_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise OperationTimedOut(f"{what} did not end within {_RENDER_TIMEOUT_S:g} s") from error
    except OSError as error:
        raise TargetError(f"{what} cannot be run: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-_KEPT:]
        raise TargetError(f"{what} failed with exit code {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


def read_documents(path: Path) -> Iterator[Document]:
    """The objects in one file of manifests."""
    yield from documents(read_text(path, "a file of Kubernetes objects"), path)


def documents(text: str, path: Path) -> Iterator[Document]:
    """Each YAML document of `text` that says anything; lines are those of the whole.

    Raises:
        InvalidFile: what is no YAML, or no object with apiVersion, kind and a name.
    """
    part: list[str] = []
    first = 1
    for number, line in enumerate([*text.split("\n"), "---"], start=1):
        if not _SEPARATOR.match(line):
            part.append(line)
            continue
        if any(one.strip() and not one.lstrip().startswith("#") for one in part):
            document = parse_yaml("\n".join(part), path, first)
            _check_object(document)
            yield document
        part, first = [], number + 1


def _check_object(document: Document) -> None:
    value = document.value
    if not isinstance(value, dict):
        raise InvalidFile([document.problem((), "expected an object with apiVersion, kind and metadata")])
    for field in ("apiVersion", "kind"):
        if not isinstance(value.get(field), str) or not value[field]:
            raise InvalidFile([document.problem((field,), "is required, and text")])
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidFile([document.problem(("metadata", "name"), "is required, and text")])
