"""Taking containers off their networks, and putting them back as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gameday.errors import TargetError, UsageError
from gameday.targets.docker.containers import Container, endpoint_config
from gameday.targets.docker.engine import NotThere
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.docker.topology import alien
from gameday.targets.waiting import Deadline

_NETWORK_KEY = "com.docker.compose.network"
_SHORT_ID = 12


class Connections(DockerInstance):
    """Implements `Connectable`."""

    def connections(self, component: str, network: str | None, count: int | None) -> Mapping[str, Any]:
        """By container and network: how it was put there, and the addresses that it has."""
        keys = self._keys()
        found: dict[str, dict[str, Any]] = {}
        for container in self._hit(component, count):
            joined = self._joined(container)
            found[container.name] = {
                name: {
                    "endpoint": endpoint_config(endpoint, container.id[:_SHORT_ID]),
                    **_addresses(endpoint),
                }
                for name, endpoint in joined.items()
                if network in (None, name, keys.get(name))
            }
            if not found[container.name]:
                there = ", ".join(_named(name, keys) for name in joined) or "none"
                wanted = f"network {network}" if network else "any network"
                raise UsageError(f"{container.name} of {component} is not on {wanted}; it is on: {there}")
        if not found:
            raise UsageError(f"{component} is down: nothing is on a network")
        return found

    def disconnect_network(
        self, component: str, network: str | None, timeout_s: float, count: int | None = None
    ) -> str:
        """Take its running containers off that network, or off all."""
        with self._operation(component, timeout_s):
            keys, done = self._keys(), []
            for container in self._hit(component, count):
                for name in self._joined(container):
                    if network in (None, name, keys.get(name)):
                        with self._engine.translated(f"disconnect {container} from {name}"):
                            self._engine.api.disconnect_container_from_network(container.id, name)
                        done.append(f"{container.name} from {name}")
            if not done:
                raise TargetError(f"disconnect {component}: nothing of it is on {network or 'any network'}")
            return f"disconnected {', '.join(done)}"

    def connect(self, component: str, connections: Mapping[str, Any], timeout_s: float) -> str:
        """Back onto these networks. A container that is gone is left to who makes it again."""
        with self._operation(component, timeout_s):
            there = {container.name: container for container in self._find(component)}
            done = []
            for name, networks in connections.items():
                if name not in there:
                    done.append(f"{name} is gone")
                    continue
                for network, before in networks.items():
                    done += self._join(there[name], network, before["endpoint"], before)
            return ", ".join(done) or f"{component} was on its networks already"

    def _put_back_on_networks(self, component: str, deadline: Deadline) -> list[str]:
        """Onto the networks of its remembered recipe on which it is not; what was done, for people."""
        done: list[str] = []
        recipes = self._remembered(component).recipes
        if not recipes:
            return done
        with self._operation(component, deadline.left_s()):
            for container in self._find(component):
                known = recipes.get(container.name)
                if known is None or alien(str(known["host"].get("NetworkMode") or "")):
                    continue
                for network, endpoint in known["networks"].items():
                    done += self._join(container, network, endpoint, {})
        return done

    def _join(
        self, container: Container, network: str, endpoint: Mapping[str, Any], before: Mapping[str, Any]
    ) -> list[str]:
        """Put it there, unless it is. First as it was put there the first time, as the engine then gives the lowest
        free address, often the same; only when it is another one by asking for the one before, as not every network
        takes wishes."""
        if network in self._joined(container):
            return []
        self._connect(container, network, endpoint)
        text = f"connected {container.name} to {network}"
        wanted = before.get("addresses", {})
        now = _addresses(self._joined(container)[network])["addresses"]
        if not now or not wanted or now == wanted:
            return [text]
        if self._connect_at(container, network, endpoint, wanted):
            return [f"{text}, where its address was taken anew: {_shown(wanted)}"]
        now = _addresses(self._joined(container)[network])["addresses"]
        return [
            f"{text}, where its address is {_shown(now)} and was {_shown(wanted)}: the network takes no wishes"
        ]

    def _connect_at(
        self, container: Container, network: str, endpoint: Mapping[str, Any], wanted: Mapping[str, str]
    ) -> bool:
        """Once more, at these addresses; as before where the engine refuses that."""
        wish = {**(endpoint.get("IPAMConfig") or {})}
        wish |= {key: wanted[field] for key, field in _WISHES.items() if field in wanted}
        with self._engine.translated(f"disconnect {container} from {network}"):
            self._engine.api.disconnect_container_from_network(container.id, network)
        try:
            self._connect(container, network, {**endpoint, "IPAMConfig": wish})
        except TargetError:
            self._connect(container, network, endpoint)
            return False
        return True

    def _connect(self, container: Container, network: str, endpoint: Mapping[str, Any]) -> None:
        """By the engine's own words: the SDK's know no driver options."""
        with self._engine.translated(f"connect {container} to {network}"):
            api = self._engine.api
            answer = api._post_json(
                api._url("/networks/{0}/connect", network),
                data={"Container": container.id, "EndpointConfig": dict(endpoint)},
            )
            api._raise_for_status(answer)

    def _hit(self, component: str, count: int | None) -> Sequence[Container]:
        """The first so many that run. Raises UsageError where they have no network of their own."""
        hit = [container for container in self._found(component) if container.running][:count]
        for container in hit:
            mode = str(self._engine.inspect(container.id)["HostConfig"].get("NetworkMode") or "")
            if alien(mode):
                raise UsageError(
                    f"{container.name} of {component} has no network of its own (network mode {mode})"
                )
        return hit

    def _joined(self, container: Container) -> Mapping[str, Mapping[str, Any]]:
        try:
            found = self._engine.inspect(container.id)["NetworkSettings"]["Networks"]
        except NotThere:
            return {}
        return found or {}

    def _keys(self) -> Mapping[str, str]:
        """What compose files call the engine's networks."""
        with self._engine.translated("list networks"):
            found = self._engine.api.networks()
        return {
            entry["Name"]: entry["Labels"][_NETWORK_KEY]
            for entry in found
            if _NETWORK_KEY in (entry.get("Labels") or {})
        }


_WISHES = {"IPv4Address": "IPAddress", "IPv6Address": "GlobalIPv6Address"}


def _addresses(endpoint: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    fields = _WISHES.values()
    return {"addresses": {field: endpoint[field] for field in fields if endpoint.get(field)}}


def _shown(found: Mapping[str, str]) -> str:
    return " and ".join(found.values()) or "none"


def _named(network: str, keys: Mapping[str, str]) -> str:
    return f"{network} ({keys[network]})" if network in keys else network
