"""Targets: where components live. `open_target` imports only the one that an environment asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gameday.environment import Environment
    from gameday.project import Project
    from gameday.targets.base import OwnedTarget


def open_target(environment: Environment, instance: str, project: Project) -> OwnedTarget:
    """The target of one instance of an environment (`hotel-local`, `hotel-local@blue`)."""
    if environment.target == "fake":
        from gameday.targets.fake import FakeTarget

        return FakeTarget(environment, instance, project)
    if environment.target == "docker":
        from gameday.targets.docker.target import DockerTarget

        return DockerTarget(environment, instance, project)
    if environment.target == "kubernetes":
        from gameday.targets.kubernetes.target import KubernetesTarget

        return KubernetesTarget(environment, instance, project)
    from gameday.targets.process import ProcessTarget

    return ProcessTarget(environment, instance, project)
