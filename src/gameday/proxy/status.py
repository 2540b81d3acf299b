"""What a proxy says of itself, as frozen values."""

from __future__ import annotations

from gameday.fields import Model
from gameday.proxy.toxics import Toxic


class InForce(Model):
    """A toxic in force, and for how long at most."""

    toxic: Toxic
    left_s: float
    connections: int
    """On how many open connections it acts."""


class LinkStatus(Model):
    name: str
    listen: str
    upstream: str
    listening: bool
    connections: int
    accepted: int
    """Since the proxy started."""
    toxics: tuple[InForce, ...]


class ProxyStatus(Model):
    pid: int
    loop: str
    """`uvloop` or `asyncio`."""
    links: tuple[LinkStatus, ...]
    found_in_force: tuple[str, ...]
    """`link/toxic` that an earlier proxy, which ended without healing, had in force. None of them came back."""

    def link(self, name: str) -> LinkStatus:
        return next(link for link in self.links if link.name == name)
