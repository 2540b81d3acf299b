"""The Redis-compatible cache: helps when it is there, is never needed.

A pinger asks it once a second; its answer is the series `redis_up`. While the cache is down, look-ups go past
it without waiting for a time-out each.
"""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hotel.background import stop_task
from hotel.logs import EventLog
from hotel.metrics import Metrics
from hotel.settings import CacheSettings

PING_EVERY_S = 1.0
PING_TIMEOUT_S = 0.5
UNANSWERED = (RedisError, OSError, TimeoutError, RuntimeError)
"""The last: what uvloop raises for a connection that was closed while it was being set up, as by a proxy without its
server."""


class Cache:
    """Look-ups never raise: a cache that does not answer is counted and read as 'not known'."""

    def __init__(self, settings: CacheSettings, metrics: Metrics, log: EventLog) -> None:
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._up = False
        self.seen_up = asyncio.Event()
        """Set once the cache has answered for the first time."""
        self._pinger: asyncio.Task[None] | None = None
        self._redis = Redis.from_url(
            settings.url,
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
            retry=Retry(NoBackoff(), 0),  # the default waits and retries, which a caller pays for
            max_connections=50,
            decode_responses=True,
            client_name="agente-api",  # operators tell clients apart by it
        )

    async def start(self) -> None:
        self._pinger = asyncio.create_task(self._ping_for_ever(), name="cache-pinger")

    async def stop(self) -> None:
        await stop_task(self._pinger)
        await self._redis.aclose()

    @property
    def up(self) -> bool:
        """What the latest ping said."""
        return self._up

    async def get(self, key: str) -> str | None:
        """The value, or None where it is not there or the cache does not answer."""
        if not self._up:
            self._metrics.cache_errors.inc()
            return None
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                value = await self._redis.get(key)
        except UNANSWERED as error:
            self._failed(error)
            return None
        if value is None:
            self._metrics.cache_misses.inc()
            return None
        self._metrics.cache_hits.inc()
        return str(value)

    async def put(self, key: str, value: str) -> None:
        if not self._up:
            return
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self._redis.set(key, value, px=round(self._settings.ttl_s * 1000))
        except UNANSWERED as error:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._metrics.cache_errors.inc()
        self._log.trouble("cache-unavailable", error)

    async def _ping_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started_at = loop.time()
            await self._ping()
            await asyncio.sleep(max(0.05, PING_EVERY_S - (loop.time() - started_at)))

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self._redis.ping()
        except UNANSWERED as error:
            self._log.trouble("cache-unavailable", error)
            up = False
        else:
            up = True
        if up:
            self.seen_up.set()
        if up and not self._up:
            self._log.event("cache-available")
        self._up = up
        self._metrics.redis_up.set(1.0 if up else 0.0)
