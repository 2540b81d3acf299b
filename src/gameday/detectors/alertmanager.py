"""What Alertmanager does with the alerts that fire: whether each is active, silenced or inhibited.

Alertmanager's API knows nothing of notifications: an active alert may have been told to somebody or wait in its
group. So this says only what keeps an alert from being told, and by whom; `webhook` knows when it was told.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from gameday.clock import Instant
from gameday.detectors.base import Health, Notice, NoticeKind, OnHealth, OnNotice, RuleInfo
from gameday.detectors.floor import Route, read_routes, wait_of
from gameday.detectors.http_access import Answer, HttpAccess
from gameday.detectors.prometheus_rules import parse_time_s
from gameday.errors import DetectorError

ALERTS = "/api/v2/alerts"
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_CONFIG_S = 60.0
_STALL_LOOKS, _STALL_MIN_S = 3, 1.5
_FIRST_ANSWER_S = 5.0
_NAMED = 3  # silences or inhibiting alerts that a detail names


@dataclass(frozen=True, slots=True)
class Standing:
    """One alert in Alertmanager. `unprocessed` is Alertmanager's word for one that it has only just received."""

    name: str
    state: str
    fingerprint: str
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    updated_s: float | None = None
    """When it was last sent to Alertmanager, by Alertmanager's clock."""
    ends_s: float | None = None
    """When it expires unless it is sent again."""


OnLook = Callable[[tuple[Standing, ...], Answer, Instant], None]
"""All alerts, the answer, and when the look before it began."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why nobody is told of an alert. `from_the_start`: it was so when the alert was first seen there."""

    detail: str
    from_the_start: bool


def read_standings(value: Any) -> tuple[Standing, ...]:
    """Of /api/v2/alerts. Raises DetectorError for an answer that is not as documented."""
    try:
        return tuple(
            Standing(
                _text(alert["labels"]["alertname"]),
                _one_of(alert["status"]["state"], ("active", "suppressed", "unprocessed")),
                _text(alert["fingerprint"]),
                tuple(map(_text, alert["status"]["silencedBy"])),
                tuple(map(_text, alert["status"]["inhibitedBy"])),
                MappingProxyType(
                    {key: _text(text) for key, text in alert["labels"].items() if key != "alertname"}
                ),
                parse_time_s(_text(alert.get("updatedAt", ""))),
                parse_time_s(_text(alert.get("endsAt", ""))),
            )
            for alert in _list(value)
            if "alertname" in alert["labels"]
        )
    except (AttributeError, LookupError, TypeError, ValueError, DetectorError):
        raise DetectorError("not Alertmanager's alerts as its API documents them") from None


class Alertmanager:
    """Looks at a fixed rate. Made by `monitoring`, which tells it when to start and to stop."""

    def __init__(
        self,
        access: HttpAccess,
        *,
        every_s: float = 0.5,
        on_notice: OnNotice,
        on_health: OnHealth,
        on_look: OnLook = lambda *_: None,
    ) -> None:
        """Nothing is contacted yet."""
        self._access = access
        self._every_s = every_s
        self._on_notice = on_notice
        self._on_health = on_health
        self._on_look = on_look
        self._last: Instant | None = None
        self._health = Health(ok=False, detail="Alertmanager: not started")
        self._told: bool | None = None
        self._route: Route | None = None
        self._route_read: Instant | None = None
        self._decided: dict[str, bool] = {}
        self._suppressed: dict[str, Suppression] = {}
        self._silences: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def public_url(self) -> str:
        return self._access.public_url

    async def start(self) -> None:
        """Look for the first time, then at the rate. Raises DetectorError when no answer comes."""
        began = Instant.now()
        while not (await self._look_or_tell()).ok:
            if Instant.now() - began > _FIRST_ANSWER_S:
                raise DetectorError(self._health.detail)
            await asyncio.sleep(self._every_s)
        self._task = asyncio.create_task(self._run(), name="gameday-alertmanager")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._access.close()
        self._health = Health(False, "Alertmanager: stopped", self._health.last_good)

    def health(self) -> Health:
        """Whether it can tell now; also when nothing has called for a while."""
        last, limit_s = self._last, max(_STALL_MIN_S, _STALL_LOOKS * self._every_s)
        if self._health.ok and last is not None and Instant.now() - last > limit_s:
            return Health(False, f"Alertmanager: no answer for {Instant.now() - last:.1f} s", last)
        return self._health

    def group_wait_s(self, rule: RuleInfo) -> float | None:
        """How long it waits before it tells of a new group; None where its routes cannot be read."""
        return wait_of(self._route, rule)

    async def _run(self) -> None:
        start, number = Instant.now(), 1
        while True:
            await asyncio.sleep(max(0.0, start.plus(number * self._every_s) - Instant.now()))
            await self._look_or_tell()
            number = max(number + 1, int((Instant.now() - start) / self._every_s) + 1)

    async def _look_or_tell(self) -> Health:
        try:
            await self._read_routes()
            await self._look()
        except DetectorError as error:
            self._tell(Health(False, str(error), self._last))
        except Exception as error:  # noqa: BLE001 (a watcher that died silently would look like quiet alerts)
            self._tell(Health(False, f"watching Alertmanager failed: {type(error).__name__}", self._last))
        return self._health

    async def _look(self) -> None:
        answer = await self._access.get(ALERTS, {"active": "true", "silenced": "true", "inhibited": "true"})
        try:
            standings = read_standings(answer.value)
        except DetectorError as error:
            raise DetectorError(f"Alertmanager at {self.public_url}: {error}") from None
        self._on_look(standings, answer, self._last or answer.sent)
        by_name: dict[str, list[Standing]] = {}
        for standing in standings:
            by_name.setdefault(standing.name, []).append(standing)
        names = {standing.fingerprint: standing.name for standing in standings}
        resolution_s = answer.received - (self._last or answer.sent)
        for name in list(self._decided):
            if name not in by_name:  # it resolved: the next time is a new spell
                del self._decided[name]
                self._suppressed.pop(name, None)
        for name, found in by_name.items():
            await self._judge(name, found, names, answer.received, resolution_s)
        self._last = answer.sent
        self._tell(Health(True, f"Alertmanager has {len(standings)} alerts", answer.received))

    async def _judge(
        self, name: str, found: list[Standing], names: Mapping[str, str], at: Instant, resolution_s: float
    ) -> None:
        if any(standing.state == "active" for standing in found):
            self._decided[name] = True
            was = self._suppressed.pop(name, None)
            if was is not None:
                detail = f"no longer {was.detail}"
                self._on_notice(Notice(NoticeKind.RELEASED, name, {}, at, resolution_s, detail))
            return
        if any(standing.state == "unprocessed" for standing in found) or name in self._suppressed:
            return
        detail = await self._why(found, names)
        suppression = Suppression(detail, from_the_start=name not in self._decided)
        self._decided[name] = True
        self._suppressed[name] = suppression
        self._on_notice(
            Notice(NoticeKind.SUPPRESSED, name, {}, at, resolution_s, detail, suppression.from_the_start)
        )

    async def _why(self, found: list[Standing], names: Mapping[str, str]) -> str:
        silences = list(dict.fromkeys(id_ for standing in found for id_ in standing.silenced_by))
        inhibitors = dict.fromkeys(
            names.get(other, other) for standing in found for other in standing.inhibited_by
        )
        parts = [await self._silence(id_) for id_ in silences[:_NAMED]]
        parts += [f"inhibited by {name}" for name in list(inhibitors)[:_NAMED]]
        more = max(0, len(silences) - _NAMED) + max(0, len(inhibitors) - _NAMED)
        return " and ".join(parts or ["suppressed"]) + (f" and {more} more" if more else "")

    async def _silence(self, id_: str) -> str:
        """`silenced by ID, until TIME, by WHOM`, as far as Alertmanager tells. Never its comment."""
        if not _ID.fullmatch(id_):
            return "silenced by a silence without a proper id"
        if id_ not in self._silences:
            try:
                silence = (await self._access.get(f"/api/v2/silence/{id_}")).value
                ends = datetime.fromisoformat(silence["endsAt"]).astimezone(UTC)
                by = " ".join(str(silence["createdBy"]).split())[:80] or "nobody named"
                told = f"silenced by {id_}, until {ends:%Y-%m-%d %H:%M:%S} UTC, by {by}"
            except (DetectorError, LookupError, TypeError, ValueError, OverflowError):
                return f"silenced by {id_}"
            self._silences[id_] = told
        return self._silences[id_]

    async def _read_routes(self) -> None:
        """The routing tree, now and then; hidden from us it is not known, which is no ill health."""
        if self._route_read is not None and Instant.now() - self._route_read < _CONFIG_S:
            return
        self._route_read = Instant.now()
        try:
            self._route = read_routes((await self._access.get("/api/v2/status")).value)
        except DetectorError:
            self._route = None

    def _tell(self, health: Health) -> None:
        self._health = health
        if self._told is not health.ok:
            self._told = health.ok
            self._on_health(health)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError
    return str(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value
