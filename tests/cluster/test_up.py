"""Bringing small environments up and down: what goes wrong is said, and what is others' is left alone."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.quarters import CONTEXT, SECURITY, kubectl
from containers.worlds import SERVER
from gameday.environment import load_environment
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.kubernetes_spec import ImageBuild
from gameday.project import Project
from gameday.targets.base import Running
from gameday.targets.kubernetes.images import Images
from gameday.targets.kubernetes.target import KubernetesTarget

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("cluster-up"), pytest.mark.timeout(300)]
IMAGE = "python:3.11-slim"
WEB = {
    "name": "web",
    "image": IMAGE,
    "imagePullPolicy": "IfNotPresent",
    "command": ["python3", "-u", "-c", SERVER],
    "env": [{"name": "SAYS", "value": "web"}],
    "securityContext": SECURITY,
    "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
}


class Small:
    """An environment of one deployment, `web`, in a namespace that its manifests bring."""

    def __init__(self, folder: Path) -> None:
        self.namespace = f"hk-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.project = Project(folder, folder / ".gameday", folder / "reports")
        self.objects: list[dict[str, Any]] = [
            self.space(),
            self.thing(
                "Service", spec={"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 8000}]}
            ),
            self.deployment(),
        ]

    def space(self, **labels: str) -> dict[str, Any]:
        own = {"gameday.dev/allow": "true", "pod-security.kubernetes.io/enforce": "restricted", **labels}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": own}}

    def thing(self, kind: str, name: str = "web", api: str = "v1", **more: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **more}

    def deployment(self, **changed: Any) -> dict[str, Any]:
        labels = {"app": "web"}
        pod = {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{**WEB, **changed}],
        }
        spec = {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        return self.thing("Deployment", api="apps/v1", spec=spec)

    def target(self, up_timeout_s: float = 60.0) -> KubernetesTarget:
        """By the files as they are now."""
        manifests = self.folder / "manifests"
        manifests.mkdir(exist_ok=True)
        for index, one in enumerate(self.objects):
            (manifests / f"{index}.yaml").write_text(json.dumps(one))
        resources = [f"{index}.yaml" for index in range(len(self.objects))]
        (manifests / "kustomization.yaml").write_text(json.dumps({"resources": resources}))
        environments = self.folder / "environments"
        environments.mkdir(exist_ok=True)
        (environments / "small.yaml").write_text(
            json.dumps(
                {
                    "environment": "small",
                    "target": "kubernetes",
                    "drills": "allowed",
                    "kubernetes": {
                        "context": CONTEXT,
                        "namespace": self.namespace,
                        "manifests": "manifests",
                        "runner_image": IMAGE,  # not gameday's own, which would be built and loaded
                    },
                    "components": {"web": {"kubernetes": {"workload": "deployment/web"}, "port": 8000}},
                    "probes": {"web-answers": {"http": "GET /", "component": "web"}},
                    "detector": {
                        "kind": "embedded",
                        "rules": "rules.yaml",
                        "scrape": [{"job": "web", "component": "web"}],
                    },
                }
            )
        )
        target = KubernetesTarget(load_environment(environments / "small.yaml"), "small", self.project)
        target.up_timeout_s = up_timeout_s
        return target

    def there(self, kinds: str) -> list[str]:
        found = json.loads(kubectl("-n", self.namespace, "get", kinds, "-o", "json"))["items"]
        return sorted(f"{one['kind']}/{one['metadata']['name']}" for one in found)

    def make_namespace(self, **labels: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": labels},
        }
        kubectl("create", "-f", "-", stdin=json.dumps(body))


@contextmanager
def gone_afterwards(small: Small) -> Iterator[Small]:
    try:
        yield small
    finally:
        kubectl("delete", "namespace", small.namespace, "--ignore-not-found", "--timeout=90s", check=False)


@pytest.fixture
def small(real_cluster: str, tmp_path: Path) -> Iterator[Small]:
    with gone_afterwards(Small(tmp_path)) as made:
        yield made


def volume(name: str) -> dict[str, Any]:
    spec = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "nobodys",
        "hostPath": {"path": "/nowhere"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def test_up_and_down_without_kubectl(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.objects.append(volume(small.namespace))
    target = small.target()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda _: None)
        assert target.up() == ("web",)
        assert target.status()["web"].running is Running.UP
        assert target.up() == ()
        kubectl("-n", small.namespace, "scale", "deployment/web", "--replicas=0")
        assert target.up() == ("web",)
        assert target.down() == ("web",)
        assert target.down() == ()
    assert kubectl("get", "namespace", small.namespace, "--ignore-not-found") == ""
    assert kubectl("get", "persistentvolume", small.namespace, "--ignore-not-found") == ""


# --- what goes wrong is said -------------------------------------------------------------------------------------


def test_a_container_that_ends_is_named_with_its_last_lines(small: Small) -> None:
    script = "print('no such module: rooms'); raise SystemExit(3)"
    small.objects[-1] = small.deployment(command=["python3", "-c", script])
    with pytest.raises(OperationTimedOut, match="not everything is ready after 12 s") as raised:
        small.target(12).up()
    said = str(raised.value)
    assert "deployment/web has 0 of 1 ready" in said
    assert "container web: " in said
    assert "ended with exit code 3 (Error)" in said
    assert "no such module: rooms" in said
    assert "BackOff: Back-off restarting failed container web" in said


def test_an_image_that_is_nowhere_is_not_waited_for_long(small: Small) -> None:
    small.objects[-1] = small.deployment(image="hk-no-such-image:none")
    begun = time.monotonic()
    with pytest.raises(TargetError, match=r"deployment/web has 0 of 1 ready") as raised:
        small.target(200).up()
    assert time.monotonic() - begun < 100
    assert not isinstance(raised.value, OperationTimedOut)
    assert "container web: waits (" in str(raised.value)
    assert "hk-no-such-image:none" in str(raised.value)


def test_a_pod_that_the_namespace_forbids_is_not_waited_for_long(small: Small) -> None:
    small.objects[-1] = small.deployment(securityContext={"privileged": True})
    begun = time.monotonic()
    with pytest.raises(TargetError, match=r"deployment/web cannot make its pods: .*violates PodSecurity"):
        small.target(200).up()
    assert time.monotonic() - begun < 60


def test_a_kind_that_the_cluster_does_not_have_is_named(small: Small) -> None:
    small.objects.append(small.thing("Wish", api="example.org/v1"))
    with pytest.raises(UsageError, match=r"wish/web: this cluster has no Wish of example\.org/v1"):
        small.target().up()


def test_what_the_server_refuses_is_named(small: Small) -> None:
    small.objects.append(small.thing("Service", "UPPER", spec={"ports": [{"port": 1}]}))
    with pytest.raises(TargetError, match=r"^apply service/UPPER: .*Invalid value"):
        small.target().up()


def test_what_cannot_be_changed_in_place_says_what_to_do(small: Small) -> None:
    small.target().up()
    labels = {"app": "other"}
    small.objects[-1]["spec"]["selector"]["matchLabels"] = labels
    small.objects[-1]["spec"]["template"]["metadata"]["labels"] = labels
    kubectl("-n", small.namespace, "scale", "deployment/web", "--replicas=0")
    with pytest.raises(
        TargetError, match=r"apply deployment/web: .*immutable.*; take the environment down first"
    ):
        small.target().up()


# --- others' things ------------------------------------------------------------------------------------------------


def test_in_a_namespace_that_does_not_allow_it_nothing_is_applied_or_removed(small: Small) -> None:
    small.make_namespace(team="others")
    said = rf"namespace {small.namespace} of context {CONTEXT} does not carry gameday.dev/allow: \"true\""
    with pytest.raises(UsageError, match=said):
        small.target().up()
    assert small.there("deployments,services,secrets") == []
    with pytest.raises(UsageError, match=said):
        small.target().down()
    labels = json.loads(kubectl("get", "namespace", small.namespace, "-o", "json"))["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": small.namespace, "team": "others"}


@pytest.mark.parametrize("brings_namespace", [True, False])
def test_of_a_namespace_that_others_made_only_what_was_applied_is_removed(
    small: Small, brings_namespace: bool
) -> None:
    small.make_namespace(**{"gameday.dev/allow": "true"})
    kubectl("-n", small.namespace, "create", "configmap", "theirs")
    if not brings_namespace:
        small.objects.pop(0)
    target = small.target()
    assert target.up() == ("web",)
    assert target.down() == ("web",)
    there = small.there("deployments,replicasets,pods,services,secrets,configmaps")
    assert there == ["ConfigMap/kube-root-ca.crt", "ConfigMap/theirs"]


def test_a_namespace_that_nobody_brings_is_asked_for(small: Small) -> None:
    small.objects.pop(0)
    with pytest.raises(
        UsageError, match=f"namespace {small.namespace} of context .* does not exist, and the"
    ):
        small.target().up()


def test_a_volume_that_is_others_is_not_taken(small: Small) -> None:
    theirs = volume(small.namespace)
    kubectl("create", "-f", "-", stdin=json.dumps(theirs))
    try:
        small.objects.append(theirs)
        with pytest.raises(
            UsageError, match=f"persistentvolume/{small.namespace} is there already and is not of small"
        ):
            small.target().up()
        small.target().down()
        assert kubectl("get", "persistentvolume", small.namespace)
    finally:
        kubectl("delete", "persistentvolume", small.namespace)


def test_a_secret_is_made_once_and_what_is_in_it_stays(small: Small) -> None:
    reference = {"secretKeyRef": {"name": "gameday-secrets", "key": "word"}}
    small.objects[-1] = small.deployment(env=[{"name": "SAYS", "valueFrom": reference}])
    target = small.target()
    target.up()
    word = target.secret("word")
    assert target.execute("web", ["printenv", "SAYS"], 20).output.strip() == "[redacted]"

    elsewhere = Small.__new__(Small)
    elsewhere.__dict__.update(small.__dict__)
    elsewhere.project = Project(small.folder, small.folder / "elsewhere", small.folder / "reports")
    other = elsewhere.target()
    kubectl("-n", small.namespace, "scale", "deployment/web", "--replicas=0")
    assert other.up() == ("web",)
    assert other.secret("word") == word


# --- images --------------------------------------------------------------------------------------------------------


@pytest.mark.docker
def test_an_image_is_built_and_loaded_once_and_again_when_it_changed(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, log = f"{small.namespace}:local", tmp_path / "loaded"
    context = tmp_path / "image"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY word /word\n")
    (context / "word").write_text("one")
    command = tmp_path / "load"
    command.write_text(f'#!/bin/sh\necho "$@" >>{log}\n')
    command.chmod(0o755)
    monkeypatch.setenv("LOAD_IMAGE", f"{command} 'into it'")
    images = Images(
        tmp_path, {image: ImageBuild(context="image")}, small.target().cluster, tmp_path / "record"
    )
    told: list[str] = []
    try:
        images.provide(frozenset({image}), told.append)
        assert log.read_text() == f"into it {image}\n"
        assert f"loading {image} into the cluster" in told

        (context / "word").write_text("two")
        images.provide(frozenset({image}), told.append)
        assert log.read_text() == f"into it {image}\n" * 2

        command.write_text("#!/bin/sh\necho no such cluster >&2\nexit 4\n")
        (context / "word").write_text("three")
        with pytest.raises(
            TargetError, match=r"(?s)failed with exit code 4; its last lines:.*no such cluster"
        ):
            images.provide(frozenset({image}), told.append)

        monkeypatch.delenv("LOAD_IMAGE")
        told.clear()
        images.provide(frozenset({image}), told.append)
        assert any("LOAD_IMAGE is not set, so the cluster is taken to have" in line for line in told)
    finally:
        os.system(f"docker image rm --force {image} >/dev/null")  # noqa: S605
