"""The proxy's configuration: a JSON file (YAML is read too) that says which links there are."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from gameday.fields import Misfit, Model, Name, validate
from gameday.files import load_yaml

_OFF_LOOPBACK = (
    "{!r} is not on loopback; the proxy listens on 127.0.0.1 or [::1] only, as it asks for no password, unless the "
    "file says `exposed: true`, and then on any IP address"
)


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:5432` or `[::1]:5432`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise ValueError(
            f"{text!r} is not an address; expected host:port with a port from 1 to 65535, such as 127.0.0.1:5432"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _address(text: str) -> str:
    split_address(text)
    return text


def _numeric(text: str) -> str:
    host, _ = split_address(text)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(_OFF_LOOPBACK.format(text)) from None
    return text


class LinkConfig(Model):
    """From `listen`, where clients connect, to `upstream`, where the server is."""

    name: Name
    listen: Annotated[str, AfterValidator(_numeric)]
    upstream: Annotated[str, AfterValidator(_address)]

    @property
    def listen_host(self) -> str:
        return split_address(self.listen)[0]

    @property
    def listen_port(self) -> int:
        return split_address(self.listen)[1]

    @property
    def upstream_host(self) -> str:
        return split_address(self.upstream)[0]

    @property
    def upstream_port(self) -> int:
        return split_address(self.upstream)[1]


class ProxyConfig(Model):
    """One proxy process. Relative paths are relative to the configuration's folder."""

    links: Annotated[tuple[LinkConfig, ...], Field(min_length=1, max_length=1000)]
    control: Annotated[str, Field(min_length=1)]
    """Path of the unix socket that takes orders."""
    state: Annotated[str, Field(min_length=1)]
    """Path of the file that says what is in force."""
    seed: int = 0
    """Of every draw: which connections a percentage hits, jitter, sizes of slices."""
    exposed: bool = False
    """Links may listen elsewhere than on loopback, for a proxy in a container that others reach over a network of their
    own. Whoever reaches such a link reaches its server."""

    @model_validator(mode="after")
    def _all_different(self) -> ProxyConfig:
        for what in ("name", "listen"):
            values = [getattr(link, what) for link in self.links]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"two links have the same {what}: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _on_loopback(self) -> ProxyConfig:
        open_to_others = [
            (("links", index, "listen"), _OFF_LOOPBACK.format(link.listen))
            for index, link in enumerate(self.links)
            if not self.exposed and not ipaddress.ip_address(link.listen_host).is_loopback
        ]
        if open_to_others:
            raise Misfit(*open_to_others)
        return self


def load_config(path: Path) -> ProxyConfig:
    """Raises InvalidFile with file, line and field of everything that is wrong."""
    config = validate(ProxyConfig, load_yaml(path))
    folder = path.resolve().parent
    return config.model_copy(
        update={"control": str(folder / config.control), "state": str(folder / config.state)}
    )
