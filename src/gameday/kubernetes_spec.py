"""What an environment says of a Kubernetes cluster: which namespace of which, and which pods a component is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from gameday.fields import Misfit, Model, Text

_WORKLOAD = r"^(deployment|statefulset)/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")

ObjectName = Annotated[str, Field(pattern=_LABEL)]


class PodSelector(Model):
    """Which pods a component is."""

    workload: str | None = Field(default=None, pattern=_WORKLOAD)
    """`deployment/NAME` or `statefulset/NAME`: all of its pods."""
    labels: dict[Text, str] = {}
    """Labels that its pods carry."""
    container: ObjectName | None = None
    """The container of these pods that is meant; absent: their default container, else the first."""

    @model_validator(mode="after")
    def _one_way(self) -> PodSelector:
        given = [name for name in ("workload", "labels") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise Misfit(((), f"expected exactly one of workload and labels; found {found}"))
        return self


class ImageBuild(Model):
    """An image that `gameday env up` builds on this machine's Docker engine."""

    context: Text
    """The build context, relative to the project."""
    target: Text | None = None
    """A stage of its Dockerfile; absent: the last."""


class ClusterSpec(Model):
    """The namespace that the environment is. A drill writes nowhere else, but for nodes that it cordons."""

    context: Text
    """A context of the kubeconfig: never the current one, which others change. Takes `${env:NAME}`. `in-cluster` is the
    service account of the pod in which gameday runs."""
    namespace: ObjectName
    """It must carry the label `gameday.dev/allow: "true"`, otherwise every drill is refused."""
    node_host: Text | None = None
    """Where node ports answer, from this machine; absent or empty: the host of the API server. Takes `${env:NAME}` and
    `${env:NAME:-DEFAULT}`."""
    manifests: Text | None = None
    """A kustomization, relative to the project: `gameday env up` applies it. Absent: others bring it up. Takes
    `${env:NAME}` and `${env:NAME:-DEFAULT}`."""
    images: dict[Text, ImageBuild] = {}
    """Images that its manifests name and `gameday env up` builds, then loads by the command in the environment variable
    LOAD_IMAGE, such as `kind load docker-image`."""

    runner_image: Text = "gameday/runner:latest"
    """The image of gameday in the cluster: of the dead-man switch. Nodes must have it or be able to pull it."""

    @field_validator("namespace")
    @classmethod
    def _is_no_system_namespace(cls, namespace: str) -> str:
        if namespace in _SYSTEM:
            raise ValueError(f"{namespace} keeps the cluster itself alive; gameday drills nothing there")
        return namespace

    @model_validator(mode="after")
    def _images_are_for_manifests(self) -> ClusterSpec:
        if self.images and self.manifests is None:
            raise Misfit((("images",), "is for manifests that gameday applies; there are none"))
        return self
