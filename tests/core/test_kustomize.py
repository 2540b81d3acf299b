"""Our reader of kustomizations: the same objects as kustomize, and a refusal of what it does not know."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gameday.errors import InvalidFile, TargetError
from gameday.targets.kubernetes.json_patch import Operation, PatchError, parse_patch, patched
from gameday.targets.kubernetes.kustomization import documents, rendered
from gameday.targets.kubernetes.kustomize import content_hash, render

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted(
    path.parent for path in (ROOT / "examples/hotel/kubernetes/overlays").glob("*/*/kustomization.yaml")
)
KUBECTL = shutil.which("kubectl")
POD = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      envFrom: [{configMapRef: {name: words}}, {configMapRef: {name: others}}]
      env: [{name: A, valueFrom: {configMapKeyRef: {name: words, key: a}}}]
  volumes:
    - {name: one, configMap: {name: words}}
    - {name: two, projected: {sources: [{configMap: {name: words}}]}}
---
# nothing but this
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk, labels: {number: "1"}}
"""
FILES = {
    "base/kustomization.yaml": """
        apiVersion: kustomize.config.k8s.io/v1beta1
        kind: Kustomization
        namespace: inn
        resources: [pod.yaml, ../words]
    """,
    "base/pod.yaml": POD,
    "words/kustomization.yaml": """
        configMapGenerator:
          - {name: words, files: [a.txt, b=other.txt]}
    """,
    "words/a.txt": "on <one> & \u201ctwo\u201d\u2028\n\n  three\t",
    "words/other.txt": "x",
    "parts/kustomization.yaml": """
        apiVersion: kustomize.config.k8s.io/v1alpha1
        kind: Component
        resources: [more.yaml]
        patches:
          - target: {kind: Pod}
            patch: |-
              - {op: add, path: /spec/volumes/-, value: {name: three, emptyDir: {}}}
              - {op: replace, path: /spec/containers/0/name, value: other}
              - {op: remove, path: /spec/volumes/0}
          - target: {kind: PersistentVolume, name: disk}
            patch: |-
              - {op: add, path: /metadata/labels/a~1b, value: "2"}
    """,
    "parts/more.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: more, namespace: elsewhere}\n"
    "spec: {containers: [{name: a}], volumes: [{name: b, emptyDir: {}}]}\n",
    "top/kustomization.yaml": "resources: [../base]\ncomponents: [../parts]\n",
}


def written(folder: Path, files: Mapping[str, str], **changed: str) -> Path:
    """The kustomization `top` of these files."""
    for name, text in {**files, **changed}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("\n".join(line.removeprefix(" " * 8) for line in text.split("\n")).encode())
    return folder / "top"


def by_name(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        f"{one['kind']} {one['metadata'].get('namespace', '')} {one['metadata']['name']}": one
        for one in bodies
    }


def without_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)


# --- the same as kustomize ------------------------------------------------------------------------------------


@pytest.mark.skipif(KUBECTL is None, reason="compares with `kubectl kustomize`")
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: "/".join(path.parts[-2:]))
def test_the_hotel_is_the_same_with_and_without_kubectl(overlay: Path) -> None:
    assert by_name(render(overlay)) == by_name(rendered(overlay))


@pytest.mark.skipif(KUBECTL is None, reason="compares with `kubectl kustomize`")
def test_every_part_that_is_read_gives_what_kustomize_gives(tmp_path: Path) -> None:
    top = written(tmp_path, FILES)
    assert by_name(render(top)) == by_name(rendered(top))


def test_the_parts_do_what_they_say(tmp_path: Path) -> None:
    found = by_name(render(written(tmp_path, FILES)))

    words = "words-" + content_hash({"data": {"a.txt": FILES["words/a.txt"], "b": "x"}})
    assert list(found) == [
        "Pod inn web",
        "PersistentVolume  disk",
        f"ConfigMap inn {words}",
        "Pod elsewhere more",
    ]
    assert found[f"ConfigMap inn {words}"]["data"] == {"a.txt": FILES["words/a.txt"], "b": "x"}
    spec = found["Pod inn web"]["spec"]
    [container] = spec["containers"]
    assert container["name"] == "other"
    assert [one["configMapRef"]["name"] for one in container["envFrom"]] == [words, "others"]
    assert container["env"][0]["valueFrom"]["configMapKeyRef"]["name"] == words
    assert [one["name"] for one in spec["volumes"]] == ["two", "three"]
    assert spec["volumes"][0]["projected"]["sources"][0]["configMap"]["name"] == words
    assert found["PersistentVolume  disk"]["metadata"]["labels"] == {"number": "1", "a/b": "2"}


def test_a_hash_is_that_of_kustomizes_own_tests() -> None:
    assert content_hash({"data": {"one": ""}}) == "9g67k2htb6"
    assert content_hash({"data": {"two": "2", "one": "", "three": "3"}}) == "f5h7t85m9b"


def test_without_kubectl_our_reader_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_kubectl(monkeypatch)
    refused = written(tmp_path, FILES, **{"top/kustomization.yaml": "namePrefix: a-\nresources: [../base]\n"})
    with pytest.raises(InvalidFile, match="namePrefix: is not known here"):
        rendered(refused)


@pytest.mark.skipif(KUBECTL is None, reason="asks kubectl")
def test_what_kubectl_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    wrong = written(tmp_path, FILES, **{"top/kustomization.yaml": "resources: [../nowhere]\n"})
    with pytest.raises(TargetError, match=r"(?s)kustomize .*failed with exit code 1: .*nowhere"):
        rendered(wrong)


def test_a_folder_without_a_kustomization_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match=r"is no kustomization: it has no kustomization\.yaml or"):
        rendered(tmp_path)


# --- refusals -------------------------------------------------------------------------------------------------

UNKNOWN = {
    "namePrefix: a-": "namePrefix: is not known here; known here are apiVersion, components,",
    "helmCharts: []": "helmCharts: is not known here",
    "kind: List": "kind: expected Kustomization or Component",
    "resources: ../base": "resources: expected a list",
    "resources: [1]": r"resources\[0\]: expected text",
    "resources: [https://example.org/base]": r"resources\[0\]: there is no file https://example.org/base; only",
    "resources: [../base/pod.yaml]": r"resources\[0\]: \.\./base/pod\.yaml is outside of",
    "resources: [../top]": "includes itself",
    "resources: [../empty]": r"has no kustomization\.yaml",
    "components: [nowhere]": r"components\[0\]: there is no folder nowhere",
    "configMapGenerator: [{name: a, literals: [b=c]}]": r"configMapGenerator\[0\]\.literals: is not known here",
    "configMapGenerator: [{files: [x]}]": r"configMapGenerator\[0\]\.name: expected text",
    "configMapGenerator: [{name: a}]": r"configMapGenerator\[0\]\.files: expected a list of files",
    "configMapGenerator: [{name: a, files: [no.txt]}]": r"files\[0\]: there is no file no\.txt",
    "configMapGenerator: [{name: a, files: ['b c=kustomization.yaml']}]": r"files\[0\]: 'b c' cannot be a key",
    "patches: [{path: a.yaml}]": r"patches\[0\]\.path: is not known here",
    "patches: [{target: {kind: Pod, labelSelector: a=b}, patch: x}]": r"target\.labelSelector: is not known here",
    "patches: [{target: {name: 'a.*'}, patch: x}]": r"target\.name: expected a name; patterns are not known",
    "patches: [{target: {kind: Pod}, patch: x}]": r"patches\[0\]\.target: no object is so",
}


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_known_is_refused_with_file_line_and_field(text: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    top = written(tmp_path, FILES, **{"top/kustomization.yaml": f"# first\n{text}\n"})
    with pytest.raises(InvalidFile, match=UNKNOWN[text]) as raised:
        render(top)
    if "includes itself" not in UNKNOWN[text] and "has no kustomization" not in UNKNOWN[text]:
        assert f"{top / 'kustomization.yaml'}:2: " in str(raised.value)


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("spec: {replicas: 2}", "expected a list of operations"),
        ("- {op: move, path: /a, from: /b}", "expected operations of op, path and value"),
        ("- {op: test, path: /a, value: 1}", "operation 'test' is not known here"),
        ("- {op: add, path: a, value: 1}", "path 'a' is none"),
        ("- {op: add, path: /a}", "add and replace have a value"),
        ("- {op: remove, path: /spec/volumes/7}", "there is no entry '7' in a list of 2"),
        ("- {op: replace, path: /spec/nothing, value: 1}", "there is no 'nothing'"),
        ("- {op: add, path: /spec/nothing/more, value: 1}", "there is no 'nothing'"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(patch: str, said: str, tmp_path: Path) -> None:
    text = f"resources: [../base]\npatches:\n  - target: {{kind: Pod}}\n    patch: '{patch}'\n".replace(
        "'" + patch + "'", "|-\n      " + patch
    )
    top = written(tmp_path, FILES, **{"top/kustomization.yaml": text})
    with pytest.raises(InvalidFile, match=r"patches\[0\]\.patch: ") as raised:
        render(top)
    assert said in str(raised.value)


def test_the_same_object_twice_is_refused(tmp_path: Path) -> None:
    top = written(tmp_path, FILES, **{"top/kustomization.yaml": "resources: [../base, ../base]\n"})
    with pytest.raises(InvalidFile, match="has Pod web twice"):
        render(top)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "expected an object with apiVersion, kind and metadata"),
        ("kind: Pod\nmetadata: {name: a}", "apiVersion: is required"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a}", r"metadata\.name: is required"),
        ("apiVersion: v1\nkind: Pod\nkind: Pod\nmetadata: {name: a}", "kind: stands twice; first on line 7"),
    ],
)
def test_what_is_no_object_is_refused_at_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidFile, match=said) as raised:
        list(documents(f"apiVersion: v1\nkind: A\nmetadata: {{name: a}}\n---\n# b\n{text}\n", Path("a.yaml")))
    assert raised.value.problems[0].line >= 6


# --- patches ----------------------------------------------------------------------------------------------------


def test_a_patch_leaves_what_it_was_given_alone() -> None:
    body = {"a": [1, 2], "b": {"c": 3}}
    operations = parse_patch("[{op: add, path: /a/1, value: {x: 1}}, {op: remove, path: /b/c}]", Path("p"))
    assert patched(body, operations) == {"a": [1, {"x": 1}, 2], "b": {}}
    assert body == {"a": [1, 2], "b": {"c": 3}}


def test_an_entry_is_counted_from_the_front_only() -> None:
    with pytest.raises(PatchError, match="there is no entry '-1'"):
        patched({"a": [1]}, [Operation("remove", ("a", "-1"))])
