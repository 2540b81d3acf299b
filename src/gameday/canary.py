"""The canary: numbered records whose acknowledgement the service gave. What is missing later is lost data.

Only acknowledged records count. One that was answered with an error or not at all may or may not be there;
neither is a loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gameday.clock import Instant
from gameday.environment import Canary
from gameday.probes import Answer, Sampler, fill, first_line
from gameday.targets.base import Address

RETRY_S = 0.2


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the acknowledged records. `oldest_missing_s`: how long before the fault the oldest
    missing one was acknowledged; None when none is missing."""

    ok: bool
    acknowledged: int
    missing: int
    oldest_missing_s: float | None
    resolution_s: float
    detail: str


def account(
    acknowledged: Mapping[str, Instant], found: Collection[str], fault_at: Instant, every_s: float
) -> Account:
    """The records that were acknowledged against those that are there. One written every `every_s` seconds."""
    if not acknowledged:
        return Account(False, 0, 0, None, every_s, "no record was acknowledged")
    present = frozenset(found)
    ages_s = [fault_at - at for key, at in acknowledged.items() if key not in present]
    # a record acknowledged after the fault and lost in the recovery is a loss of no age
    oldest_s = max(0.0, *ages_s) if ages_s else None
    resolution_s = every_s if ages_s else 0.0
    return Account(True, len(acknowledged), len(ages_s), oldest_s, resolution_s, "looked up in the database")


class CanaryWriter:
    """Writes while the drill runs and accounts for it afterwards."""

    def __init__(self, canary: Canary, addresses: Mapping[str, Address], prefix: str) -> None:
        self._canary = canary
        self._url = addresses[canary.find.component].url
        self.acknowledged: dict[str, Instant] = {}
        write = canary.write
        self._sampler = Sampler("canary", write, addresses[write.component], prefix, self._add)

    def start(self) -> None:
        self._sampler.start()

    async def stop(self) -> None:
        await self._sampler.stop()

    def _add(self, answer: Answer) -> None:
        if answer.ok:
            self.acknowledged[answer.key] = answer.ended

    async def account(self, fault_at: Instant) -> Account:
        """Look every acknowledged record up where it must be, after `stop`."""
        found, problem = await self._find()
        every_s = self._canary.write.every
        if found is None:
            detail = f"could not be looked up: {problem}"
            return Account(False, len(self.acknowledged), 0, None, every_s, detail)
        return account(self.acknowledged, found, fault_at, every_s)

    async def _find(self) -> tuple[set[str] | None, str]:
        import psycopg

        find = self._canary.find
        sql = fill(find.sql, {"prefix": self._sampler.prefix})
        problem = "no answer in time"
        try:
            async with asyncio.timeout(find.timeout):
                while True:
                    try:
                        async with await psycopg.AsyncConnection.connect(
                            self._url, connect_timeout=5
                        ) as connection:
                            rows = await (await connection.execute(sql)).fetchall()
                        return {str(row[0]) for row in rows}, ""
                    except psycopg.Error as error:
                        problem = first_line(error)
                    await asyncio.sleep(RETRY_S)
        except TimeoutError:
            return None, problem
