"""Fetches metrics pages over HTTP: persistent connections, a total time-out, a size limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from gameday.errors import UsageError

MAX_PAGE_BYTES = 16 * 1024 * 1024
_HEADERS = {
    "Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "identity",  # the target is near: compressing costs both sides more than it saves
    "User-Agent": "gameday-detector",
}


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One metrics page. `labels` are added to every series; `job` and `instance` are set from the fields."""

    job: str
    instance: str
    url: str
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"scrape target {self.job}: expected a URL with http:// or https:// and a host")

    @property
    def series_labels(self) -> dict[str, str]:
        """The labels that identify the target in every series."""
        return {**self.labels, "job": self.job, "instance": self.instance}

    @property
    def public_url(self) -> str:
        """The URL without user, password and query, which may be secret."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


@dataclass(frozen=True, slots=True)
class Page:
    """The answer of one target: its text, or why there is none. That a target is down is an answer too."""

    target: ScrapeTarget
    text: str | None
    failure: str
    duration_s: float


class Scraper:
    """HTTP client of one detector. Never raises for what a target does; that is in the page's `failure`."""

    def __init__(self, timeout_s: float) -> None:
        import httpx

        self._timeout_s = timeout_s
        # trust_env: a proxy from the environment must not stand between the detector and a local component
        self._client = httpx.AsyncClient(
            headers=_HEADERS,
            timeout=timeout_s,
            follow_redirects=True,
            trust_env=False,
            limits=httpx.Limits(keepalive_expiry=600.0),
        )

    async def fetch(self, target: ScrapeTarget) -> Page:
        """One page, within the time-out in total (httpx's own are for each read)."""
        import httpx

        began = time.monotonic()
        text: str | None = None
        failure = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._get(target)
        except TimeoutError:
            failure = f"no answer within {self._timeout_s:g} s"
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            UnicodeDecodeError,
            _BadAnswerError,
        ) as error:
            failure = f"{type(error).__name__.lstrip('_')}: {error}"
        return Page(target, text, failure, time.monotonic() - began)

    async def close(self) -> None:
        """Release the connections."""
        await self._client.aclose()

    async def _get(self, target: ScrapeTarget) -> str:
        import httpx

        try:
            return await self._get_once(target)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # An idle connection that the target closed just as it was used again says nothing about the
            # target. Go's HTTP transport, and so Prometheus, repeats such a request too; a dead target
            # refuses the second one.
            return await self._get_once(target)

    async def _get_once(self, target: ScrapeTarget) -> str:
        async with self._client.stream("GET", target.url) as response:
            if response.status_code != 200:
                raise _BadAnswerError(f"HTTP status {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_PAGE_BYTES:
                    raise _BadAnswerError(f"more than {MAX_PAGE_BYTES} bytes")
            return body.decode("utf-8")


class _BadAnswerError(Exception):
    """An answer that is no metrics page."""
