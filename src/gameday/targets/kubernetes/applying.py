"""Applying an environment's objects, and removing them: by server-side apply, as field manager `gameday`.

Only in namespaces that carry the opt-in label. An object outside of namespaces that is there already and is not this
environment's is left alone, and the rest not applied.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Progress
from gameday.targets.kubernetes.cluster import ALLOW_LABEL, Cluster, NotThere
from gameday.targets.kubernetes.manifests import MANIFESTS_LABEL, Manifest
from gameday.targets.kubernetes.patience import wait_patiently
from gameday.targets.kubernetes.secrets import SECRET
from gameday.targets.waiting import Deadline

FIELD_MANAGER = "gameday"
_POLL_S = 0.25
_NOT_FOUND = 404
_FIXED = ("is immutable", "updates to statefulset spec")
"""What the server says of fields that are for ever."""


class Applier:
    """One environment's objects in one cluster."""

    def __init__(self, cluster: Cluster, environment: str) -> None:
        self._cluster = cluster
        self._environment = environment
        self._selector = f"{MANIFESTS_LABEL}={environment}"

    # --- applying ------------------------------------------------------------------------------------------

    def await_removal(self, manifests: Sequence[Manifest], deadline: Deadline) -> None:
        """Until namespaces that are being removed are gone: nothing can be made in them any more.

        Raises:
            OperationTimedOut
        """
        for name in {one.name for one in manifests if one.kind == "Namespace"} | {self._cluster.namespace}:
            self._await_gone(
                f"namespace {name}, which is being removed,",
                partial(self._what_holds, name, ending=True),
                deadline,
            )

    def check(self, manifests: Sequence[Manifest]) -> None:
        """Whether all may be applied here. Changes nothing.

        Raises:
            UsageError: a namespace that does not allow it, or an object that is somebody else's.
        """
        names = {one.name for one in manifests if one.kind == "Namespace"}
        if self._cluster.namespace not in names and self._labels_of(self._cluster.namespace) is None:
            raise UsageError(
                f"namespace {self._cluster.namespace} of context {self._cluster.context} does not exist, and the "
                f"manifests do not bring it; make it, and label it {ALLOW_LABEL}=true"
            )
        for name in sorted(names | {self._cluster.namespace}):
            self._check_namespace(name)
        for one in manifests:
            if not one.namespace and one.kind != "Namespace":
                self._check_own(one)

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """All of them; what is there already becomes as they say.

        Raises:
            TargetError: the server refused one; the message names it.
            UsageError: it has no such kind.
        """
        for one in manifests:
            body = one.labelled(self._environment)
            if one.kind == "Namespace" and not self._may_own(one.name):
                body = one.body
            try:
                self._apply(one, body)
            except TargetError as error:
                if not any(word in str(error) for word in _FIXED):
                    raise
                raise TargetError(
                    f"{error}; take the environment down first, this cannot be changed in place"
                ) from error

    def _apply(self, one: Manifest, body: dict[str, Any]) -> None:
        in_own = one.namespace == self._cluster.namespace
        writing = self._cluster.writing if in_own else self._cluster.pinned
        with writing(f"apply {one}"):
            self._resource(one).server_side_apply(
                body=body,
                name=one.name,
                namespace=one.namespace or None,
                field_manager=FIELD_MANAGER,
                force_conflicts=True,
            )

    def _may_own(self, namespace: str) -> bool:
        """A namespace that somebody else has made is used as it is, and not removed."""
        labels = self._labels_of(namespace)
        return labels is None or labels.get(MANIFESTS_LABEL) == self._environment

    def make_secret(self, values: dict[str, str]) -> None:
        """Put what is missing into the Secret of gameday's own; what is there stays."""
        namespace = self._cluster.namespace
        data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
        metadata = {"name": SECRET, "labels": {MANIFESTS_LABEL: self._environment}}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
        with self._cluster.writing(f"secret {SECRET}"):
            try:
                with self._cluster.translated(f"secret {SECRET}"):
                    there = self._cluster.core.read_namespaced_secret(SECRET, namespace).data or {}
            except NotThere:
                self._cluster.core.create_namespaced_secret(namespace, body, field_manager=FIELD_MANAGER)
                return
            missing = {name: value for name, value in data.items() if name not in there}
            if missing:
                self._cluster.core.patch_namespaced_secret(
                    SECRET, namespace, {"data": missing}, field_manager=FIELD_MANAGER
                )

    # --- removing ------------------------------------------------------------------------------------------

    def remove(self, manifests: Sequence[Manifest], deadline: Deadline, say: Progress) -> None:
        """Everything that was applied and what came of it; waits until it is gone. Nothing there is no error.

        First the environment's own namespace, then, when nothing of it runs any more, Jobs that tidy up after it run to
        their end, then the rest.

        Raises:
            OperationTimedOut: something is still there; the message says what holds it.
        """
        own = self._cluster.namespace
        self._remove_from(own, manifests, deadline, say)
        for one in manifests:
            if one.runs_at_down:
                self._run(one, deadline, say)
        for name in self._own_namespaces():
            self._remove_from(name, manifests, deadline, say)
        for volume in self._own_volumes():
            say(f"removing volume {volume}")
            with self._cluster.pinned(f"delete persistentvolume {volume}"), _gone_is_fine():
                self._cluster.core.delete_persistent_volume(volume)
        self._await_gone("volumes", lambda: ", ".join(self._own_volumes()), deadline)

    def _remove_from(
        self, namespace: str, manifests: Sequence[Manifest], deadline: Deadline, say: Progress
    ) -> None:
        """The namespace where it is the environment's own; else what was applied in it."""
        labels = self._labels_of(namespace)
        if labels is None:
            return
        self._check_namespace(namespace)
        if labels.get(MANIFESTS_LABEL) == self._environment:
            say(f"removing namespace {namespace}")
            with self._cluster.pinned(f"delete namespace {namespace}"), _gone_is_fine():
                self._cluster.core.delete_namespace(namespace)
            self._await_gone(f"namespace {namespace}", partial(self._what_holds, namespace), deadline)
            return
        say(f"removing what was applied in namespace {namespace}")
        kinds = {(one.api_version, one.kind): one for one in manifests if one.namespace == namespace}
        kinds["v1", "Secret"] = Manifest({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}})
        for one in reversed(kinds.values()):
            self._remove_kind(one, namespace)
        for one in kinds.values():
            self._await_gone(
                f"{one.kind} in namespace {namespace}", partial(self._named, one, namespace), deadline
            )

    def _remove_kind(self, kind: Manifest, namespace: str) -> None:
        for name in self._names(kind, namespace):
            with self._cluster.writing(f"delete {kind.kind} {name}"), _gone_is_fine():
                self._resource(kind).delete(
                    name=name, namespace=namespace, body={"propagationPolicy": "Foreground"}
                )

    def _named(self, kind: Manifest, namespace: str) -> str:
        return ", ".join(self._names(kind, namespace))

    def _names(self, kind: Manifest, namespace: str) -> list[str]:
        with self._cluster.translated(f"list {kind.kind} in {namespace}"):
            found = self._resource(kind).get(namespace=namespace, label_selector=self._selector)
        return [str(one.metadata.name) for one in found.items]

    def _run(self, job: Manifest, deadline: Deadline, say: Progress) -> None:
        """Let a suspended Job run to its end, where it is there."""
        labels = self._labels_of(job.namespace)
        if labels is None or labels.get(MANIFESTS_LABEL) != self._environment:
            return
        self._check_namespace(job.namespace)
        status: Any = None

        def ended() -> bool:
            nonlocal status
            with self._cluster.translated(str(job)):
                status = self._cluster.batch.read_namespaced_job_status(job.name, job.namespace).status
            return bool(status.succeeded) or _condition(status, "Failed") is not None

        try:
            with self._cluster.pinned(f"run {job}"):
                self._cluster.batch.patch_namespaced_job(
                    job.name, job.namespace, {"spec": {"suspend": False}}, field_manager=FIELD_MANAGER
                )
            say(f"{job.name} runs")
            in_time = wait_patiently(ended, deadline, _POLL_S)
        except NotThere:
            return
        failed = None if status is None else _condition(status, "Failed")
        if failed is not None:
            raise TargetError(f"{job} in namespace {job.namespace} failed: {failed.reason}: {failed.message}")
        if not in_time:
            raise OperationTimedOut(
                f"{job} in namespace {job.namespace} did not end within {deadline.timeout_s:g} s"
            )

    # --- looking -------------------------------------------------------------------------------------------

    def _await_gone(self, what: str, left: Callable[[], str], deadline: Deadline) -> None:
        """`left` says what is still there, empty when nothing is."""
        found = ""

        def gone() -> bool:
            nonlocal found
            found = left()
            return not found

        if not wait_patiently(gone, deadline, _POLL_S):
            raise OperationTimedOut(f"{what} is not gone after {deadline.timeout_s:g} s: {found}")

    def _what_holds(self, namespace: str, *, ending: bool = False) -> str:
        """Why a namespace is still there; empty when it is not. `ending`: of those only that are being removed."""
        try:
            with self._cluster.translated(f"namespace {namespace}"):
                found = self._cluster.core.read_namespace(namespace)
        except NotThere:
            return ""
        if ending and found.metadata.deletion_timestamp is None:
            return ""
        conditions = [one.message for one in found.status.conditions or [] if one.status == "True"]
        return "; ".join(conditions) or f"it is {found.status.phase}"

    def _own_namespaces(self) -> list[str]:
        with self._cluster.translated("list namespaces"):
            found = self._cluster.core.list_namespace(label_selector=self._selector)
        return sorted(one.metadata.name for one in found.items)

    def _own_volumes(self) -> list[str]:
        with self._cluster.translated("list persistent volumes"):
            found = self._cluster.core.list_persistent_volume(label_selector=self._selector)
        return sorted(one.metadata.name for one in found.items)

    def _labels_of(self, namespace: str) -> dict[str, str] | None:
        """None where there is no such namespace."""
        try:
            with self._cluster.translated(f"namespace {namespace}"):
                return dict(self._cluster.core.read_namespace(namespace).metadata.labels or {})
        except NotThere:
            return None

    def _check_namespace(self, name: str) -> None:
        """Raises UsageError where it is there and does not allow drills."""
        labels = self._labels_of(name)
        if labels is not None and labels.get(ALLOW_LABEL) != "true":
            raise UsageError(
                f'namespace {name} of context {self._cluster.context} does not carry {ALLOW_LABEL}: "true": nothing is '
                f"applied or removed there. If it may be drilled: kubectl --context {self._cluster.context} label "
                f"namespace {name} {ALLOW_LABEL}=true"
            )

    def _check_own(self, one: Manifest) -> None:
        try:
            with self._cluster.translated(str(one)):
                found = self._resource(one).get(name=one.name)
        except NotThere:
            return
        labels = dict(found.metadata.labels or {})
        if labels.get(MANIFESTS_LABEL) != self._environment:
            raise UsageError(
                f"{one} is there already and is not of {self._environment}, as its labels would say; remove it, or "
                "name the one in the manifests otherwise"
            )

    def _resource(self, one: Manifest) -> Any:
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        try:
            return self._cluster.dynamic.resources.get(api_version=one.api_version, kind=one.kind)
        except ResourceNotFoundError as error:
            raise UsageError(f"{one}: this cluster has no {one.kind} of {one.api_version}") from error


def _condition(status: Any, kind: str) -> Any:
    """The condition of that kind, where it holds."""
    return next((one for one in status.conditions or [] if one.type == kind and one.status == "True"), None)


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    """For deleting what somebody else may have deleted meanwhile."""
    from kubernetes.client.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        if error.status != _NOT_FOUND:
            raise
