"""Network faults on the paths between components, by the fault proxy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from gameday.errors import UsageError
from gameday.fault_spec import DelayFault, LoseFault, NetworkFault, PartitionFault, ThrottleFault
from gameday.targets import fault_proxy
from gameday.targets.ability import check_names_kept
from gameday.targets.fault_proxy import FaultProxy, link_name, path_of
from gameday.targets.instance import Instance

if TYPE_CHECKING:
    from gameday.proxy import ProxyClient, Toxic


class Links(Instance):
    """Implements `Networked`."""

    def paths(
        self,
        component: str,
        client: str | None,
        fault: NetworkFault | None = None,
    ) -> tuple[str, ...]:
        """The links to `component`; those of one client, or all."""
        check_names_kept(fault, self.kind)
        found = self._paths_to(component, client)
        if not found:
            whose = f"from {client} " if client else ""
            wanted = f"{{client: {client or 'CLIENT'}, server: {component}}}"
            raise UsageError(
                f"no network path {whose}to {component} can be impaired; the environment {self.instance} needs "
                f"a link: `links: [{wanted}]`"
            )
        return found

    def impair(self, fault: NetworkFault, name: str, ttl_s: float, timeout_s: float) -> str:
        """Put the fault on its paths, on open connections too; the proxy itself ends it after `ttl_s`."""
        paths = self.paths(fault.component, fault.client)
        toxic = toxic_of(fault, name, ttl_s)
        with self._operation(fault_proxy.NAME, timeout_s) as (_, deadline):
            client = self._client(deadline.left_s())
            acts = [f"{path} ({client.put(link_name(path), toxic).connections} open)" for path in paths]
        return f"{name}: {toxic.effect.kind} on {', '.join(acts)} for at most {ttl_s:g} s"

    def heal(self, component: str, client: str | None, name: str | None, timeout_s: float) -> str:
        """End one impairment, or all of these paths. A proxy that died is started again: it starts healed."""
        paths = self._paths_to(component, client)
        if not paths:
            return f"no network path to {component} can be impaired: nothing to heal"
        with self._operation(fault_proxy.NAME, timeout_s) as (proxy, deadline):
            begun = time.monotonic()
            if proxy.find_all().paused:
                proxy.resume(deadline)
            if proxy.start(deadline):
                return (
                    f"the fault proxy was down; started it in {time.monotonic() - begun:.2f} s, all is healed"
                )
            control = self._client(deadline.left_s())
            healed = [one for path in paths for one in _heal(control, path, name)]
        return f"healed {', '.join(healed)}" if healed else f"nothing to heal on {', '.join(paths)}"

    def _paths_to(self, component: str, client: str | None) -> tuple[str, ...]:
        for name in (component, *([client] if client else [])):
            self._component(name)
        links = [link for link in self.environment.links if link.server == component]
        return tuple(dict.fromkeys(path_of(link) for link in links if client in (None, link.client)))

    def _client(self, timeout_s: float) -> ProxyClient:
        from gameday.proxy import ProxyClient

        proxy = cast(FaultProxy, self._component(fault_proxy.NAME).program)
        return ProxyClient(proxy.control, timeout_s)


def _heal(control: ProxyClient, path: str, name: str | None) -> list[str]:
    if name is None:
        return [f"{path}: {one.partition('/')[2]}" for one in control.reset(link_name(path))]
    return [f"{path}: {name}"] if control.remove(link_name(path), name) else []


def toxic_of(fault: NetworkFault, name: str, ttl_s: float) -> Toxic:
    """What the proxy is told.

    Raises:
        UsageError: a name or a time-to-live that the proxy does not take.
    """
    from gameday import proxy

    try:
        match fault:
            case DelayFault():
                effect = proxy.Latency(latency_s=fault.by, jitter_s=fault.jitter)
                return proxy.Toxic(name=name, effect=effect, direction=proxy.Direction.UPSTREAM, ttl_s=ttl_s)
            case ThrottleFault():
                return proxy.Toxic(
                    name=name, effect=proxy.Bandwidth(bytes_per_s=fault.bytes_per_s), ttl_s=ttl_s
                )
            case LoseFault():
                return proxy.Toxic(name=name, effect=proxy.Loss(percent=fault.percent), ttl_s=ttl_s)
            case PartitionFault(how="blackhole"):
                return proxy.Toxic(name=name, effect=proxy.Blackhole(), ttl_s=ttl_s)
            case PartitionFault(how="reset"):
                return proxy.Toxic(name=name, effect=proxy.Reset(), ttl_s=ttl_s)
            case PartitionFault():
                return proxy.Toxic(name=name, effect=proxy.Refuse(close_open=True), ttl_s=ttl_s)
    except ValidationError as error:
        raise UsageError(f"network fault {name!r} for {ttl_s:g} s: {error}") from error
