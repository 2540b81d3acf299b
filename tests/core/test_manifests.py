"""What an environment's manifests may be, in which order they are applied, and what they need."""

from __future__ import annotations

from typing import Any

import pytest

from gameday.errors import OperationTimedOut, UsageError
from gameday.targets.kubernetes.cluster import ClusterAway, referred
from gameday.targets.kubernetes.manifests import Manifest, images, manifests_of, secret_keys
from gameday.targets.kubernetes.patience import wait_patiently
from gameday.targets.waiting import Deadline


def thing(kind: str, name: str = "a", namespace: str = "inn", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": {**metadata, **more.pop("metadata", {})}, **more}


def namespace(name: str, allow: str = "true") -> dict[str, Any]:
    return thing("Namespace", name, "", metadata={"labels": {"gameday.dev/allow": allow}})


def checked(*bodies: dict[str, Any]) -> tuple[Manifest, ...]:
    return manifests_of(bodies, "inn", "kubernetes.manifests of inn")


def test_what_others_need_is_applied_before_them_and_the_files_order_kept() -> None:
    kinds = [
        "Deployment",
        "Job",
        "Secret",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "Service",
        "ConfigMap",
    ]
    found = checked(*(thing(kind) for kind in kinds), namespace("inn"), thing("Deployment", "b"))
    assert [str(one) for one in found] == [
        "namespace/inn", "configmap/a", "secret/a", "persistentvolume/a", "persistentvolumeclaim/a", "service/a",
        "deployment/a", "job/a", "deployment/b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            thing("Pod", namespace="kube-system"),
            r"pod/a is in namespace kube-system; expected inn, or one that",
        ),
        (thing("Pod", namespace=""), r"pod/a is in no namespace; expected inn"),
        (namespace("other", "false"), r'namespace/other does not carry gameday\.dev/allow: "true"'),
        (namespace("kube-extra"), r"namespace/kube-extra belongs to the cluster itself"),
        (thing("ClusterRole", namespace=""), r"clusterrole/a is of a kind that is the whole cluster's"),
        (thing("Secret", "gameday-secrets"), r"secret/gameday-secrets is made by gameday"),
    ],
)
def test_what_no_environment_may_bring_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=rf"^kubernetes\.manifests of inn: {said}"):
        checked(thing("Service"), body)


def test_manifests_may_bring_another_namespace_and_things_in_it() -> None:
    assert (
        len(
            checked(
                namespace("more"), thing("Job", namespace="more"), thing("PersistentVolume", namespace="")
            )
        )
        == 3
    )


def test_images_and_secrets_are_found_wherever_pods_are() -> None:
    container = {
        "image": "b",
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "gameday-secrets", "key": "one"}}}],
    }
    foreign = {
        "image": "c",
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "others", "key": "two"}}}],
    }
    pod = {"initContainers": [{"image": "a"}], "containers": [container, foreign]}
    found = checked(
        thing("CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": pod}}}}), thing("Pod", spec=pod)
    )
    assert images(found) == {"a", "b", "c"}
    assert secret_keys(found) == ("one",)


def test_only_a_job_that_says_so_runs_at_the_end() -> None:
    said = {"annotations": {"gameday.dev/run": "down"}}
    found = checked(thing("Job", metadata=said), thing("Job", "b"), thing("Pod", metadata=said))
    assert [one.name for one in found if one.runs_at_down] == ["a"]


def test_what_is_applied_is_marked_and_its_file_is_not() -> None:
    [one] = checked(thing("Service", metadata={"labels": {"app": "web"}}))
    assert one.labelled("inn")["metadata"]["labels"] == {"app": "web", "gameday.dev/manifests": "inn"}
    assert one.body["metadata"]["labels"] == {"app": "web"}


def test_a_reference_may_have_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "overlays/${env:VOLUMES:-provisioned}/${env:RULES:-}x"
    monkeypatch.delenv("VOLUMES", raising=False)
    monkeypatch.setenv("RULES", "shortened")
    assert referred(text, "manifests") == "overlays/provisioned/shortenedx"
    monkeypatch.setenv("VOLUMES", "static")
    monkeypatch.setenv("RULES", "")
    assert referred(text, "manifests") == "overlays/static/x"
    with pytest.raises(UsageError, match=r"manifests refers to \$\{env:RULES\}, and RULES is not set"):
        referred("${env:RULES}", "manifests")


def test_who_waits_bears_with_an_api_server_that_is_away_for_a_while() -> None:
    answers = iter([ClusterAway("away"), OperationTimedOut("no answer"), False, True])

    def condition() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_patiently(condition, Deadline.after(30), 0.001)


def test_who_waited_in_vain_says_so_if_the_api_server_was_away_at_last() -> None:
    def away() -> bool:
        raise ClusterAway("away")

    with pytest.raises(ClusterAway, match="away"):
        wait_patiently(away, Deadline.after(0.01), 0.001)
    assert not wait_patiently(lambda: False, Deadline.after(0.01), 0.001)
