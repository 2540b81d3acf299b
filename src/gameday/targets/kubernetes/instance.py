"""What every operation on an environment in Kubernetes begins with: its pods, its locks, its addresses."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from gameday.component_spec import PodComponent
from gameday.environment import Environment
from gameday.errors import ComponentNotFound, TargetError, UsageError
from gameday.project import Project
from gameday.targets.base import Address
from gameday.targets.kubernetes.cluster import IN_CLUSTER, Cluster, NotThere, referred
from gameday.targets.kubernetes.pods import Pod, Seen, Workload, look
from gameday.targets.kubernetes.secrets import ClusterSecrets
from gameday.targets.naming import check_instance
from gameday.targets.reveal import revealed
from gameday.targets.state import StateFile
from gameday.targets.waiting import Deadline

_PASSWORD = re.compile(r"(?<=//)([^:/@\s]*):[^@/\s]*@")


class KubernetesInstance:
    """One environment whose components are pods of one namespace."""

    kind = "kubernetes"

    def __init__(self, environment: Environment, instance: str, project: Project) -> None:
        """Nothing is contacted. Raises UsageError for what is no instance's name, or a context that is not named."""
        check_instance(instance)
        spec = environment.kubernetes
        if spec is None:
            raise UsageError(f"{environment.environment} has no `kubernetes`, which says of which namespace")
        part = f"@{environment.part.name}" if environment.part else ""
        if instance != f"{environment.environment}{part}":
            raise UsageError(
                f"{instance}: an environment in Kubernetes is one namespace; for another one write another file"
            )
        self.environment = environment
        self.instance = environment.scope  # it stands in labels
        self.project = project
        self.spec = spec
        self.folder = project.state.resolve() / "environments" / self.instance
        self.cluster = Cluster(
            referred(spec.context, f"kubernetes.context of {environment.environment}"), spec.namespace
        )
        self._store = StateFile(self.folder, project.state.resolve() / "locks" / self.instance)
        self._secrets = ClusterSecrets(self._store, self.cluster)
        self._specs = {
            name: spec for name, spec in environment.components.items() if isinstance(spec, PodComponent)
        }
        self._node_ports: dict[tuple[str, int], int] = {}

    def secret(self, name: str) -> str:
        """A secret of this environment; the first who asks makes it, unless the cluster has it."""
        return self._secrets.get(name)

    def reserved_port(self, name: str) -> int:
        """Raises UsageError: this target reserves none."""
        raise UsageError(f"{self.instance} reserves no port {name}; target kubernetes reserves none")

    # --- addresses -----------------------------------------------------------------------------------------

    def address(self, component: str) -> Address:
        """Where it answers from here, whether or not it runs now. Without a host where it has no port.

        Raises:
            UsageError: its Service has no such port, or no node port.
            TargetError: there is no such Service.
        """
        spec = self._spec(component)
        if spec.port is None:
            return Address("", 0, "")
        host, port = self._reached(component, spec.service or component, spec.port)
        known = {"host": host, "port": str(port)}
        text = spec.url or "http://${host}:${port}"
        url, _ = revealed(text, self._secrets.get, f"url of {component}", "url", known)
        return Address(host, port, url)

    def shown_address(self, component: str) -> str:
        """The same for people, without any password; empty where it cannot be told."""
        with contextlib.suppress(UsageError, TargetError):
            return _PASSWORD.sub(r"\1@", self._secrets.redact(self.address(component).url))
        return ""

    def _reached(self, component: str, service: str, port: int) -> tuple[str, int]:
        """Inside the cluster by the Service's name, outside by its node port."""
        if self.cluster.context == IN_CLUSTER:
            return f"{service}.{self.cluster.namespace}.svc", port
        if (service, port) not in self._node_ports:
            self._node_ports[service, port] = self._node_port(component, service, port)
        host = self.cluster.host
        if self.spec.node_host is not None:
            host = referred(self.spec.node_host, f"kubernetes.node_host of {self.instance}") or host
        return host, self._node_ports[service, port]

    def _node_port(self, component: str, service: str, port: int) -> int:
        try:
            with self.cluster.translated(f"service {service}"):
                found = self.cluster.core.read_namespaced_service(service, self.cluster.namespace)
        except NotThere as error:
            raise TargetError(
                f"{component}: namespace {self.cluster.namespace} has no Service {service}; bring the environment up "
                f"first (`gameday env up {self.instance}`), or name its Service in `service`"
            ) from error
        for one in found.spec.ports or []:
            if one.port == port:
                if not one.node_port:
                    raise UsageError(
                        f"{component}: port {port} of Service {service} has no node port, so nothing outside the "
                        "cluster can ask it; make the Service of type NodePort, or run gameday inside the cluster"
                    )
                return int(one.node_port)
        there = ", ".join(str(one.port) for one in found.spec.ports or []) or "none"
        raise UsageError(f"{component}: Service {service} has no port {port}; ports there: {there}")

    # --- pods ----------------------------------------------------------------------------------------------

    def _spec(self, component: str) -> PodComponent:
        if component not in self._specs:
            known = ", ".join(self._specs)
            raise ComponentNotFound(
                f"{self.instance} has no component {component!r}; components here: {known}"
            )
        return self._specs[component]

    def _look(self) -> Seen:
        return look(self.cluster)

    def _workloads(self, component: str, seen: Seen | None = None) -> tuple[Workload, ...]:
        """Raises ComponentNotFound when there is none."""
        found = (seen or self._look()).workloads_of(self._spec(component).kubernetes)
        if not found:
            raise ComponentNotFound(f"{component}: {self._nothing_matches(component)}")
        return found

    def _pods(self, component: str, seen: Seen | None = None) -> tuple[Pod, ...]:
        """Those that run, by name. None is no error."""
        found = (seen or self._look()).pods_of(self._spec(component).kubernetes)
        return tuple(pod for pod in found if pod.running)

    def _a_pod(self, component: str) -> Pod:
        """The first that is ready, else the first that runs. Raises TargetError when none does."""
        running = self._pods(component)
        if not running:
            raise TargetError(f"{component}: no pod of it runs")
        return next((pod for pod in running if pod.ready), running[0])

    def _container(self, component: str, pod: Pod) -> str:
        """Which container of its pods is meant."""
        return self._spec(component).kubernetes.container or pod.default_container

    def _nothing_matches(self, component: str) -> str:
        selector = self._spec(component).kubernetes
        labels = ",".join(f"{name}={value}" for name, value in selector.labels.items())
        what = selector.workload or f"deployment or statefulset whose pods carry {labels}"
        return f"no {what} in namespace {self.cluster.namespace} of context {self.cluster.context}"

    # --- working on them -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _operation(self, component: str, timeout_s: float) -> Iterator[Deadline]:
        """One component, alone on this machine, with an API server that answers, in a namespace that allows it."""
        self._spec(component)
        deadline = Deadline.after(timeout_s)
        with self._store.lock(component, deadline):
            self.cluster.await_cluster(deadline)
            self.cluster.check_allowed()
            yield deadline
