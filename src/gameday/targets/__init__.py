"""Targets: where components live. `open_target` imports only the one that an environment asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gameday.environment import Environment
    from gameday.project import Project
    from gameday.targets.base import OwnedTarget


def open_target(environment: Environment, instance: str, project: Project) -> OwnedTarget:
    """The target of one instance of an environment (`hotel-local`, `hotel-local@blue`)."""
    target: OwnedTarget = target_class(environment.target)(environment, instance, project)
    return target


def target_class(kind: str) -> type[Any]:
    """What an environment's `target` stands for: a class that implements `OwnedTarget`, and abilities beside it."""
    if kind == "fake":
        from gameday.targets.fake import FakeTarget

        return FakeTarget
    if kind == "docker":
        from gameday.targets.docker.target import DockerTarget

        return DockerTarget
    if kind == "kubernetes":
        from gameday.targets.kubernetes.target import KubernetesTarget

        return KubernetesTarget
    from gameday.targets.process import ProcessTarget

    return ProcessTarget
