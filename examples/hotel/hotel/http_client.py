"""One way to make an HTTP client for a third party, without surprises from the environment."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import httpx

if "sniffio" not in sys.modules and find_spec("sniffio") is None:
    # The client's transport tries to import this optional package several times per request. A failed import
    # is not remembered and searches the whole path again: a fifth of the cost of a request. Remember it.
    sys.modules["sniffio"] = None  # type: ignore[assignment]


def http_client(
    base_url: str, timeout_s: float, headers: dict[str, str] | None = None, max_connections: int = 100
) -> httpx.AsyncClient:
    """Reuses connections, and lets them go before the servers here do; ignores proxy variables."""
    limits = httpx.Limits(
        max_connections=max_connections, max_keepalive_connections=20, keepalive_expiry=20.0
    )
    return httpx.AsyncClient(
        base_url=base_url, timeout=timeout_s, headers=headers, limits=limits, trust_env=False
    )
