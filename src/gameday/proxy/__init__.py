"""A TCP proxy between components that can be told to behave like a bad network: see docs/fault-proxy.md."""

from __future__ import annotations

from gameday.proxy.client import ProxyClient, launch
from gameday.proxy.config import LinkConfig, ProxyConfig, load_config
from gameday.proxy.status import InForce, LinkStatus, ProxyStatus
from gameday.proxy.toxics import (
    Bandwidth,
    Blackhole,
    Direction,
    Latency,
    LimitData,
    Loss,
    Refuse,
    Reset,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)

__all__ = [
    "Bandwidth",
    "Blackhole",
    "Direction",
    "InForce",
    "Latency",
    "LimitData",
    "LinkConfig",
    "LinkStatus",
    "Loss",
    "ProxyClient",
    "ProxyConfig",
    "ProxyStatus",
    "Refuse",
    "Reset",
    "Slicer",
    "SlowClose",
    "Timeout",
    "Toxic",
    "launch",
    "load_config",
]
