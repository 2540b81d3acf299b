"""The values that fields of a compose file take, each in the one form that the rest works with.

Compose offers several spellings of most fields (a list or a mapping, a number or text); they end here.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

from gameday.fields import parse_duration_s, shown

_PORT = re.compile(r"(?:(?:(\[[0-9A-Fa-f:.]+\]|[0-9.]+):)?([0-9]*):)?([0-9]+)(?:/([a-z]+))?")
_PROTOCOLS = ("tcp", "udp", "sctp")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SIZE_EXPONENT = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::[0-9]+)?")
_TESTS = ("CMD", "CMD-SHELL", "NONE")


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a container, published on this machine. `host` empty: the engine chooses."""

    container: str
    protocol: str = "tcp"
    host: str = ""
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """What is mounted at `target`: a path of this machine as the file writes it, or a named volume."""

    source: str
    target: str
    read_only: bool = False

    @property
    def named(self) -> bool:
        return not self.source.startswith((".", "/", "~"))


def text_of(value: object) -> str:
    """A scalar as Compose writes it into a container."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, int | str):
        return str(value)
    raise ValueError(f"expected text, found {shown(value)}")


def _whole(value: object) -> object:
    """Variables give text where a number is meant."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value) else value


def _flag(value: object) -> object:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _words(value: object) -> object:
    """A command: split as a shell would, or a list."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise ValueError(f"{shown(value)} is not a command: {error}") from error
    return tuple(text_of(part) for part in value) if isinstance(value, tuple) else value


def _pairs(value: object) -> object:
    """`{name: text}` of a mapping or of a list of `name=text`; None where only the name is given."""
    if isinstance(value, dict):
        return {name: None if text is None else text_of(text) for name, text in value.items()}
    if isinstance(value, tuple):
        pairs = (text_of(entry).partition("=") for entry in value)
        return {name: text if equals else None for name, equals, text in pairs}
    raise ValueError(f"expected a mapping or a list of NAME=text, found {shown(value)}")


def _labels(value: object) -> object:
    pairs = _pairs(value)
    return {name: text or "" for name, text in pairs.items()} if isinstance(pairs, dict) else pairs


def _hosts(value: object) -> object:
    """`name:address` for each of a list (with `:` or `=`) or a mapping."""
    if isinstance(value, dict):
        entries = [(name, text_of(address)) for name, address in value.items()]
    elif isinstance(value, tuple):
        split = [re.fullmatch(r"([^:=\s]+)[:=](\S+)", text_of(entry)) for entry in value]
        if None in split:
            raise ValueError("expected entries such as host.docker.internal:host-gateway")
        entries = [(match[1], match[2]) for match in split if match]
    else:
        raise ValueError(f"expected a list or a mapping, found {shown(value)}")
    return tuple(f"{name}:{address.removeprefix('[').removesuffix(']')}" for name, address in entries)


def _mounts(value: object) -> object:
    """tmpfs: options by path."""
    entries = (value,) if isinstance(value, str) else value
    if not isinstance(entries, tuple) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"expected paths, with options after a colon, found {shown(value)}")
    return {path: options for path, _, options in (entry.partition(":") for entry in entries)}


def _size(value: object) -> int:
    match = _SIZE.fullmatch(text_of(value))
    if match is None:
        raise ValueError(f"{shown(value)} is not a size; expected bytes, or such as 64m or 2g")
    return int(float(match[1]) * 1024 ** _SIZE_EXPONENT[match[2].lower()])


def _processors(value: object) -> float:
    if not re.fullmatch(r"[0-9]*\.?[0-9]+|[0-9]+\.", text := text_of(value)):
        raise ValueError(f"{shown(value)} is not a number of processors; expected such as 0.5")
    return float(text)


def _restart(value: object) -> str:
    if not isinstance(value, str) or not _RESTART.fullmatch(value):
        raise ValueError(f"{shown(value)}: expected no, always, unless-stopped, on-failure or on-failure:3")
    return value


def _port(value: object) -> object:
    if isinstance(value, Port):
        return value
    text = text_of(value) if not isinstance(value, dict | tuple) else ""
    match = _PORT.fullmatch(text)
    if match is None or (match[4] or "tcp") not in _PROTOCOLS:
        raise ValueError(
            f"{shown(value)}: expected HOST_IP:HOST:CONTAINER, such as 127.0.0.1:8080:80, with /udp or not"
        )
    address, host, container, protocol = match.groups()
    numbers = [int(number) for number in (host, container) if number]
    if any(not 0 < number < 65_536 for number in numbers):
        raise ValueError(f"{shown(value)}: a port is a number from 1 to 65535")
    return Port(container, protocol or "tcp", host or "", (address or "").strip("[]"))


def _volume(value: object) -> object:
    if isinstance(value, Volume):
        return value
    parts = value.split(":") if isinstance(value, str) else []
    mode = parts[2] if len(parts) == 3 else "rw"
    if len(parts) not in (2, 3) or not parts[1].startswith("/") or mode not in ("ro", "rw"):
        raise ValueError(f"{shown(value)}: expected SOURCE:TARGET or SOURCE:TARGET:ro, such as data:/data")
    volume = Volume(parts[0], parts[1], mode == "ro")
    if volume.named and not _VOLUME_NAME.fullmatch(volume.source):
        raise ValueError(f"{shown(value)}: expected the name of a volume, or a path that begins with . or /")
    return volume


def _test(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return ("CMD-SHELL", value)
    if not isinstance(value, tuple) or not value or value[0] not in _TESTS:
        raise ValueError("expected a command, or a list that begins with CMD, CMD-SHELL or NONE")
    return tuple(text_of(part) for part in value)


def _named(value: object) -> Any:
    """depends_on and networks: names alone, or a mapping that says more of each."""
    if isinstance(value, tuple):
        return {text_of(name): {} for name in value}
    if isinstance(value, dict):
        return {name: {} if more is None else more for name, more in value.items()}
    return value


def _build(value: object) -> object:
    return {"context": value} if isinstance(value, str) else value


def _absent(value: object) -> object:
    return {} if value is None else value


Scalar = Annotated[str, BeforeValidator(text_of)]
Whole = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Pairs = Annotated[dict[str, str | None], BeforeValidator(_pairs)]
Labels = Annotated[dict[str, str], BeforeValidator(_labels)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_hosts)]
Tmpfs = Annotated[dict[str, str], BeforeValidator(_mounts)]
Bytes = Annotated[int, BeforeValidator(_size)]
Processors = Annotated[float, BeforeValidator(_processors)]
Restart = Annotated[str, BeforeValidator(_restart)]
PublishedPort = Annotated[Port, BeforeValidator(_port)]
MountedVolume = Annotated[Volume, BeforeValidator(_volume)]
Test = Annotated[tuple[str, ...], BeforeValidator(_test)]
Seconds = Annotated[float, BeforeValidator(parse_duration_s)]
NAMED = BeforeValidator(_named)
BUILD = BeforeValidator(_build)
OR_NOTHING = BeforeValidator(_absent)
