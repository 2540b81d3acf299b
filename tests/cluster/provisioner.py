"""What provisions volumes in a cluster that has nothing for it: a default StorageClass, and a thread that makes a
volume of a folder for each claim of it. The node must be this machine."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.quarters import kubectl

CLASS = "gameday-test"
_LABEL = "gameday.test/provisioned"
_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": CLASS,
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "gameday.dev/test",
}


@contextmanager
def provisioning(folder: Path, namespace: str) -> Iterator[None]:
    """While it lasts, claims of `namespace` get volumes below `folder`; afterwards none of them is there."""
    kubectl("apply", "-f", "-", stdin=json.dumps(_CLASS))
    over = threading.Event()
    thread = threading.Thread(target=_provision, args=(folder, namespace, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=60)
        kubectl("delete", "persistentvolumes", "-l", f"{_LABEL}=true", "--ignore-not-found")
        kubectl("delete", "storageclass", CLASS)
        shutil.rmtree(folder, ignore_errors=True)


def _provision(folder: Path, namespace: str, over: threading.Event) -> None:
    made: set[str] = set()
    while not over.wait(0.5):
        listed = kubectl("-n", namespace, "get", "persistentvolumeclaims", "-o", "json", check=False)
        for claim in json.loads(listed or '{"items": []}')["items"]:
            uid, spec = claim["metadata"]["uid"], claim["spec"]
            if spec.get("storageClassName") != CLASS or uid in made:
                continue
            made.add(uid)
            place = folder / uid
            place.mkdir(parents=True)
            kubectl(
                "apply",
                "-f",
                "-",
                stdin=json.dumps(_volume(claim["metadata"]["name"], uid, namespace, spec, place)),
            )


def _volume(name: str, uid: str, namespace: str, spec: dict[str, Any], place: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"test-{uid}", "labels": {_LABEL: "true"}},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": name, "uid": uid},
            "local": {"path": str(place)},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}
                    ]
                }
            },
        },
    }
