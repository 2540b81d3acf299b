"""Bringing an environment in Kubernetes up and down, where its manifests are gameday's to apply."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from gameday.environment import start_order
from gameday.errors import UsageError
from gameday.targets.base import ComponentStatus, Progress, Running
from gameday.targets.kubernetes.cluster import referred
from gameday.targets.kubernetes.workloads import Workloads
from gameday.targets.waiting import Deadline

if TYPE_CHECKING:
    from gameday.targets.kubernetes.applying import Applier
    from gameday.targets.kubernetes.manifests import Manifest

_UP_TIMEOUT_S = 600.0
_DOWN_TIMEOUT_S = 300.0
_LOCK_TIMEOUT_S = 30.0
_AWAY_TIMEOUT_S = 10.0


class UpAndDown(Workloads):
    """Implements `Lifecycle`."""

    up_timeout_s = _UP_TIMEOUT_S
    """For everything to be ready, once images are built and loaded."""

    def status(self) -> Mapping[str, ComponentStatus]:
        raise NotImplementedError

    def up(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """Build and load images, apply the manifests, and wait until all is ready. An environment that is up is left
        alone; of one that is partly up, everything becomes as the manifests say.

        Raises:
            UsageError: the manifests cannot be applied here; nothing was.
            OperationTimedOut, TargetError: with what is not ready and why, as the cluster knows it.
        """
        say = on_progress or (lambda _: None)
        self.cluster.await_cluster(Deadline.after(_AWAY_TIMEOUT_S))
        before = self.status()
        if before and all(found.running is Running.UP for found in before.values()):
            return ()
        with self._store.lock("lifecycle", Deadline.after(_LOCK_TIMEOUT_S)):
            self._bring_up(say)
        return tuple(name for name, found in before.items() if found.running is not Running.UP)

    def _bring_up(self, say: Progress) -> None:
        from gameday.targets.kubernetes.images import Images
        from gameday.targets.kubernetes.manifests import images, secret_keys
        from gameday.targets.kubernetes.rollout import await_all

        manifests, applier = self._manifests(), self._applier
        applier.check(manifests)
        record = self.folder.parent / "loaded-images.json"
        wanted = images(manifests) | {self.spec.runner_image}  # in which the dead-man switch of a drill runs
        Images(self.project.root, self.spec.images, self.cluster, record).provide(wanted, say)
        deadline = Deadline.after(self.up_timeout_s)
        applier.await_removal(manifests, deadline)
        namespaces = [one for one in manifests if one.kind == "Namespace"]
        say(f"applying {len(manifests)} objects in namespace {self.cluster.namespace}")
        applier.apply(namespaces)
        self._secrets.forget()
        applier.make_secret({name: self.secret(name) for name in secret_keys(manifests)})
        self._secrets.forget()
        for one in self._look().workloads:  # no fault holds them any more
            self._release(one)
        applier.apply([one for one in manifests if one not in namespaces])
        self._node_ports.clear()
        await_all(self.cluster, manifests, deadline, say)
        for component in start_order(self.environment.components):
            self._wait_ready(component, deadline)

    def down(self, *, on_progress: Progress | None = None) -> tuple[str, ...]:
        """Remove everything that was applied and its data, and wait until it is gone.

        Raises:
            UsageError: a namespace does not allow it.
            OperationTimedOut: something is still there, and why.
        """
        say = on_progress or (lambda _: None)
        manifests = self._manifests()
        self.cluster.await_cluster(Deadline.after(_AWAY_TIMEOUT_S))
        stopped = tuple(name for name, found in self.status().items() if found.running is not Running.DOWN)
        with self._store.lock("lifecycle", Deadline.after(_LOCK_TIMEOUT_S)):
            self._applier.remove(manifests, Deadline.after(_DOWN_TIMEOUT_S), say)
            self._secrets.forget()
            self._node_ports.clear()  # the next Services get others
            if self.folder.exists():
                shutil.rmtree(self.folder)
        return stopped

    @cached_property
    def _applier(self) -> Applier:
        from gameday.targets.kubernetes.applying import Applier

        return Applier(self.cluster, self.environment.environment)

    def _manifests(self) -> tuple[Manifest, ...]:
        from gameday.targets.kubernetes.kustomization import rendered
        from gameday.targets.kubernetes.manifests import manifests_of

        what = f"kubernetes.manifests of {self.environment.environment}"
        if self.spec.manifests is None:
            raise UsageError(
                f"{self.environment.environment} has no `kubernetes.manifests`: others bring it up and down, gameday "
                "does not"
            )
        folder = self.project.root / referred(self.spec.manifests, what)
        if not folder.is_dir():
            raise UsageError(f"{what}: there is no folder {folder}")
        return manifests_of(rendered(folder), self.cluster.namespace, what)
