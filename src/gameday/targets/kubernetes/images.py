"""Images that manifests name and this machine makes: built by its Docker engine, then loaded into the cluster.

How a cluster gets an image differs with its kind: LOAD_IMAGE has the command, to which the image's name is added, such
as `kind load docker-image`. Without it the cluster is taken to see the engine's images, as some do.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from gameday.errors import TargetError
from gameday.kubernetes_spec import ImageBuild
from gameday.targets.base import Progress
from gameday.targets.docker.compose import run_command
from gameday.targets.docker.compose_file import Build
from gameday.targets.docker.compose_image import ensure_built
from gameday.targets.docker.engine import Engine
from gameday.targets.docker.image import REPOSITORY, helper_image
from gameday.targets.kubernetes.cluster import Cluster
from gameday.targets.state import write_private
from gameday.targets.waiting import Deadline

LOAD_IMAGE = "LOAD_IMAGE"
RUNNER = f"{REPOSITORY}:latest"
_BUILD_TIMEOUT_S = 1800.0
_LOAD_TIMEOUT_S = 600.0
_LISTED_AT_MOST = 50


class Images:
    """Of one environment. `record` is the file that says what was loaded into which cluster."""

    def __init__(self, root: Path, builds: Mapping[str, ImageBuild], cluster: Cluster, record: Path) -> None:
        self._root = root
        self._builds = builds
        self._cluster = cluster
        self._record = record

    def provide(self, named: frozenset[str], say: Progress) -> None:
        """Build what is not built, and load what is not loaded yet; `named` are the images that pods will name.

        Raises:
            UsageError: what is to be built cannot be.
            TargetError, OperationTimedOut: a build or the command failed; the message has its last lines.
        """
        wanted = [*self._builds, *([RUNNER] if RUNNER in named else [])]
        if not wanted:
            return
        engine = Engine.connect()
        deadline = Deadline.after(_BUILD_TIMEOUT_S)
        for image, build in self._builds.items():
            ensure_built(
                engine,
                self._root,
                image,
                Build(context=build.context, target=build.target),
                {},
                deadline,
                say,
            )
        if RUNNER in named:
            tag = helper_image(engine, say)
            with engine.translated(f"tag {tag}"):
                engine.api.tag(tag, REPOSITORY, "latest")
        self._load(engine, wanted, say)

    def _load(self, engine: Engine, wanted: Sequence[str], say: Progress) -> None:
        command = shlex.split(os.environ.get(LOAD_IMAGE, ""))
        if not command:
            say(
                f"{LOAD_IMAGE} is not set, so the cluster is taken to have {', '.join(wanted)} from this machine's "
                f"Docker engine; otherwise set it, such as {LOAD_IMAGE}='kind load docker-image'"
            )
            return
        cluster = self._cluster_uid()
        loaded = self._loaded(cluster)
        for image in wanted:
            with engine.translated(f"image {image}"):
                identity = str(engine.api.inspect_image(image)["Id"])
            if loaded.get(image) == identity and self._nodes_have(image):
                continue
            say(f"loading {image} into the cluster")
            run_command([*command, image], os.environ, Deadline.after(_LOAD_TIMEOUT_S), say)
            loaded[image] = identity
            write_private(self._record, {"cluster": cluster, "images": loaded})

    def _loaded(self, cluster: str) -> dict[str, str]:
        """Identity of each image that was loaded; nothing where the record is of another cluster, or unreadable: it
        only saves time."""
        try:
            known = json.loads(self._record.read_text(encoding="utf-8"))
            return dict(known["images"]) if known["cluster"] == cluster else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _nodes_have(self, image: str) -> bool:
        """Whether it is still there: nodes remove images that no pod uses when their disk fills. A node lists its
        largest images only; where there are more, the record is believed."""
        try:
            with self._cluster.translated("list nodes"):
                nodes = self._cluster.core.list_node().items
        except TargetError:  # who may not ask loads once more
            return False
        listed = [
            [name for entry in node.status.images or [] for name in entry.names or []] for node in nodes
        ]
        return all(
            len(node.status.images or []) >= _LISTED_AT_MOST
            or any(name == image or name.endswith(f"/{image}") for name in names)
            for node, names in zip(nodes, listed, strict=True)
        )

    def _cluster_uid(self) -> str:
        """What tells this cluster from one that was made anew under the same name."""
        with self._cluster.translated("namespace kube-system"):
            return str(self._cluster.core.read_namespace("kube-system").metadata.uid)
