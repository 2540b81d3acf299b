"""A reader of kustomizations for machines without kubectl: the part of the format that this project's files use.

Objects, names and hashes are those that kustomize makes, so that what one brings up the other takes down. Fields that
are not known here are refused with file, line and name, before anything is applied.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gameday.errors import InvalidFile, Problem
from gameday.files import Document, Location, load_yaml, read_text
from gameday.targets.kubernetes.json_patch import PatchError, parse_patch, patched
from gameday.targets.kubernetes.kustomization import FILE_NAMES, Body, kustomization_file, read_documents

CLUSTER_SCOPED = frozenset({
    "APIService", "CSIDriver", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass",
    "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume", "PriorityClass", "RuntimeClass",
    "StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
    "VolumeAttributesClass",
})  # fmt: skip
"""Kinds to which a `namespace` means nothing."""
_KINDS = ("Kustomization", "Component")
_FIELDS = frozenset(
    {"apiVersion", "kind", "resources", "components", "namespace", "configMapGenerator", "patches"}
)
_GENERATOR_FIELDS = frozenset({"name", "files"})
_PATCH_FIELDS = frozenset({"target", "patch"})
_TARGET_FIELDS = frozenset({"kind", "name"})
_KEY = re.compile(r"[-._A-Za-z0-9]{1,253}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_MAX_DEPTH = 16
_CONFIG_MAP_FIELDS = ("configMap", "configMapKeyRef", "configMapRef")
"""Fields of pods that refer to a ConfigMap by `name`."""
_UNAMBIGUOUS = str.maketrans("013ae", "ghkmt")
_INSTEAD = "known here are {}; kubectl on PATH would know all"


@dataclass(slots=True)
class _Object:
    body: Body
    hashed: bool = False
    """Its name gets a hash of its content at the end."""


@dataclass(slots=True)
class _Kustomization:
    folder: Path
    document: Document
    objects: list[_Object] = field(default_factory=list)

    def problem(self, location: Location, message: str) -> InvalidFile:
        return InvalidFile([self.document.problem(location, message)])

    def text(self, value: object, location: Location) -> str:
        if not isinstance(value, str) or not value:
            raise self.problem(location, "expected text")
        return value

    def entries(self, name: str) -> Iterator[tuple[Location, Any]]:
        """What a list of the file has."""
        value = self.document.value.get(name)
        if value is None:
            return
        if not isinstance(value, list):
            raise self.problem((name,), "expected a list")
        for index, entry in enumerate(value):
            yield (name, index), entry

    def fields(self, value: object, location: Location, known: frozenset[str]) -> Mapping[str, Any]:
        """A mapping without any field that is not known."""
        if not isinstance(value, dict):
            raise self.problem(location, f"expected a mapping of {', '.join(sorted(known))}")
        for name in value:
            if name not in known:
                message = "is not known here; " + _INSTEAD.format(", ".join(sorted(known)))
                raise self.problem((*location, name), message)
        return value


def render(folder: Path) -> list[Body]:
    """The objects of the kustomization in `folder`.

    Raises:
        InvalidFile
    """
    objects = _accumulated(folder.resolve(), (), [])
    twice = _twice(objects)
    if twice:
        raise InvalidFile([Problem(folder, 1, "", f"has {twice} twice")])
    _add_hashes(objects)
    return [one.body for one in objects]


def _accumulated(folder: Path, above: tuple[Path, ...], given: list[_Object]) -> list[_Object]:
    """Objects of one kustomization, after its own changes. A component begins with those of who includes it."""
    if folder in above or len(above) > _MAX_DEPTH:
        raise InvalidFile([Problem(folder, 1, "", "includes itself")])
    path = kustomization_file(folder)
    if path is None:
        what = f"has no {' or '.join(FILE_NAMES)}"
        raise InvalidFile([Problem(folder, 1, "", what)])
    one = _Kustomization(folder, load_yaml(path), [*given])
    one.fields(one.document.value, (), _FIELDS)
    kind = one.document.value.get("kind", _KINDS[0])
    if kind not in _KINDS:
        raise one.problem(("kind",), f"expected {' or '.join(_KINDS)}")
    inner = (*above, folder)
    for location, entry in one.entries("resources"):
        one.objects += _resource(one, location, one.text(entry, location), inner)
    one.objects += [
        _config_map(one, location, entry) for location, entry in one.entries("configMapGenerator")
    ]
    for location, entry in one.entries("components"):
        one.objects = _accumulated(_folder(one, location, one.text(entry, location)), inner, one.objects)
    for location, entry in one.entries("patches"):
        _patch(one, location, entry)
    if "namespace" in one.document.value:
        _put_into(one.text(one.document.value["namespace"], ("namespace",)), one.objects)
    return one.objects


def _resource(one: _Kustomization, location: Location, text: str, above: tuple[Path, ...]) -> list[_Object]:
    if (one.folder / text).is_dir():
        return _accumulated(_folder(one, location, text), above, [])
    return [_Object(document.value) for document in read_documents(_file(one, location, text))]


def _folder(one: _Kustomization, location: Location, text: str) -> Path:
    path = (one.folder / text).resolve()
    if not path.is_dir():
        raise one.problem(location, f"there is no folder {text}")
    return path


def _file(one: _Kustomization, location: Location, text: str) -> Path:
    path = (one.folder / text).resolve()
    if "://" in text or not path.is_file():
        raise one.problem(
            location, f"there is no file {text}; only files and folders of this project are read"
        )
    if not path.is_relative_to(one.folder):
        raise one.problem(location, f"{text} is outside of {one.folder}, as kustomize allows folders only")
    return path


def _config_map(one: _Kustomization, location: Location, entry: object) -> _Object:
    generator = one.fields(entry, location, _GENERATOR_FIELDS)
    name = one.text(generator.get("name"), (*location, "name"))
    data: dict[str, str] = {}
    files = generator.get("files")
    if not isinstance(files, list):
        raise one.problem((*location, "files"), "expected a list of files")
    for index, text in enumerate(files):
        where = (*location, "files", index)
        key, _, source = one.text(text, where).rpartition("=")
        path = _file(one, where, source)
        key = key or path.name
        if not _KEY.fullmatch(key) or key in data:
            raise one.problem(where, f"{key!r} cannot be a key, or is one already")
        data[key] = read_text(path, "a text file")
    body = {"apiVersion": "v1", "data": data, "kind": "ConfigMap", "metadata": {"name": name}}
    return _Object(body, hashed=True)


def _patch(one: _Kustomization, location: Location, entry: object) -> None:
    patch = one.fields(entry, location, _PATCH_FIELDS)
    target = one.fields(patch.get("target"), (*location, "target"), _TARGET_FIELDS)
    for name, value in target.items():
        pattern = one.text(value, (*location, "target", name))
        if name == "name" and not _NAME.fullmatch(pattern):
            raise one.problem((*location, "target", name), "expected a name; patterns are not known here")
    text = one.text(patch.get("patch"), (*location, "patch"))
    found = [
        known
        for known in one.objects
        if known.body["kind"] == target.get("kind", known.body["kind"])
        and known.body["metadata"]["name"] == target.get("name", known.body["metadata"]["name"])
    ]
    if not found:
        raise one.problem((*location, "target"), "no object is so")
    try:
        operations = parse_patch(text, one.document.path)
        for known in found:
            known.body = patched(known.body, operations)
    except PatchError as error:
        raise one.problem((*location, "patch"), str(error)) from error


def _put_into(namespace: str, objects: list[_Object]) -> None:
    for one in objects:
        metadata = one.body["metadata"]
        if one.body["kind"] == "Namespace":
            metadata["name"] = namespace  # so does kustomize
        elif one.body["kind"] not in CLUSTER_SCOPED:
            metadata["namespace"] = namespace


def _twice(objects: list[_Object]) -> str:
    seen = set()
    for one in objects:
        metadata = one.body["metadata"]
        key = (one.body["apiVersion"], one.body["kind"], metadata.get("namespace", ""), metadata["name"])
        if key in seen:
            return f"{one.body['kind']} {metadata['name']}"
        seen.add(key)
    return ""


# --- names with a hash, so that pods are made anew when what they are configured by changes -----------------


def _add_hashes(objects: list[_Object]) -> None:
    names: dict[tuple[str, str], str] = {}
    for one in objects:
        metadata = one.body["metadata"]
        if one.hashed:
            hashed = f"{metadata['name']}-{content_hash(one.body)}"
            names[metadata.get("namespace", ""), metadata["name"]] = hashed
            metadata["name"] = hashed
    for one in objects:
        namespace = one.body["metadata"].get("namespace", "")
        _rename({name: hashed for (where, name), hashed in names.items() if where == namespace}, one.body)


def _rename(names: Mapping[str, str], value: Any) -> None:
    """References in a body, to ConfigMaps whose names got a hash."""
    if isinstance(value, list):
        for inner in value:
            _rename(names, inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in _CONFIG_MAP_FIELDS and isinstance(inner, dict) and inner.get("name") in names:
                inner["name"] = names[inner["name"]]
            _rename(names, inner)


def content_hash(config_map: Body) -> str:
    """As kustomize's hasher has it: ten characters of SHA-256 of the data, those that look alike or spell words
    replaced. The name, which it looks for where it is not, is always empty."""
    known = {"data": config_map["data"], "kind": "ConfigMap", "name": ""}
    text = json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for (
        character
    ) in "&<>\u2028\u2029":  # encoding/json writes these so that browsers take them for nothing else
        text = text.replace(character, f"\\u{ord(character):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(_UNAMBIGUOUS)
