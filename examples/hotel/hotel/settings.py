"""Settings come from environment variables only, so that one image runs unchanged on every target.

Everything is read and checked once, at start-up; afterwards the parts see frozen, typed values.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

from hotel.logs import LogLevel
from hotel.overrides import Channel, Modes, PmsMode

T = TypeVar("T", int, float)
Word = TypeVar("Word", bound=StrEnum)

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})


class SettingError(ValueError):
    """An environment variable is missing or does not say what it must."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """How a number is read, and between which bounds it must lie."""

    parse: Callable[[str], T]
    expected: str
    low: T
    high: T


@dataclass(frozen=True, slots=True)
class Environ:
    """Typed reading of environment variables; every complaint names the variable and what would be right."""

    values: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        return self.values.get(name, default)

    def optional(self, name: str) -> str | None:
        """The value, or None where it is unset or empty."""
        return self.values.get(name) or None

    def number(self, name: str, default: float, *, at_least: float = 0.0, at_most: float = 1e9) -> float:
        expected = f"a number from {at_least:g} to {at_most:g}"
        return self._parsed(name, default, Reading(float, expected, at_least, at_most))

    def whole(self, name: str, default: int, *, at_least: int = 0, at_most: int = 10**9) -> int:
        expected = f"a whole number from {at_least} to {at_most}"
        return self._parsed(name, default, Reading(int, expected, at_least, at_most))

    def flag(self, name: str, *, default: bool = False) -> bool:
        raw = self.values.get(name)
        if raw is None:
            return default
        if raw.lower() in TRUE_WORDS:
            return True
        if raw.lower() in FALSE_WORDS:
            return False
        raise SettingError(f"{name}={raw!r}: expected true or false")

    def choice(self, name: str, default: Word) -> Word:
        """One of the words of the default's enumeration."""
        words = type(default)
        raw = self.values.get(name, default.value)
        try:
            return words(raw)
        except ValueError:
            expected = " or ".join(word.value for word in words)
            raise SettingError(f"{name}={raw!r}: expected {expected}") from None

    def _parsed(self, name: str, default: T, reading: Reading[T]) -> T:
        raw = self.values.get(name)
        if raw is None:
            return default
        try:
            value = reading.parse(raw)
        except ValueError:
            raise SettingError(f"{name}={raw!r}: expected {reading.expected}") from None
        if not reading.low <= value <= reading.high:
            raise SettingError(f"{name}={raw!r}: expected {reading.expected}")
        return value


def fail_on_settings(error: SettingError) -> NoReturn:
    """End the process as a usage error: exit status 2 and one line that says which variable is wrong."""
    print(f"settings: {error}", file=sys.stderr)
    raise SystemExit(2)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a process listens."""

    host: str
    port: int

    @classmethod
    def read(cls, environ: Environ, default_port: int) -> Listen:
        port = environ.whole("PORT", default_port, at_least=1, at_most=65535)
        return cls(environ.text("HOST", "127.0.0.1"), port)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """The pool waits `checkout_timeout_s` for a connection; a whole unit of work gets `query_timeout_s`."""

    url: str
    pool_min: int
    pool_max: int
    connect_timeout_s: float
    checkout_timeout_s: float
    query_timeout_s: float
    max_lifetime_s: float

    @classmethod
    def read(cls, environ: Environ) -> DatabaseSettings:
        pool_max = environ.whole("DATABASE_POOL_MAX", 20, at_least=1, at_most=500)
        return cls(
            url=environ.text("DATABASE_URL", "postgresql://hotel@127.0.0.1:5432/hotel"),
            pool_min=environ.whole("DATABASE_POOL_MIN", min(2, pool_max), at_least=0, at_most=pool_max),
            pool_max=pool_max,
            connect_timeout_s=environ.number("DATABASE_CONNECT_TIMEOUT_S", 1.0, at_least=0.05, at_most=60),
            checkout_timeout_s=environ.number("DATABASE_CHECKOUT_TIMEOUT_S", 1.0, at_least=0.05, at_most=60),
            query_timeout_s=environ.number("DATABASE_QUERY_TIMEOUT_S", 5.0, at_least=0.05, at_most=60),
            max_lifetime_s=environ.number("DATABASE_MAX_LIFETIME_S", 300.0, at_least=1, at_most=86400),
        )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`ttl_s` bounds how stale an availability answer can be; `metrics` says whether `redis_up` is exported."""

    url: str
    ttl_s: float
    warm_days: int
    """So many days are looked up at start-up; 0: none."""
    timeout_s: float
    metrics: bool

    @classmethod
    def read(cls, environ: Environ) -> CacheSettings:
        return cls(
            url=environ.text("CACHE_URL", "redis://127.0.0.1:6379/0"),
            ttl_s=environ.number("CACHE_TTL_S", 30.0, at_least=0.1, at_most=3600),
            warm_days=environ.whole("CACHE_WARM_DAYS", 0, at_most=60),
            timeout_s=environ.number("CACHE_TIMEOUT_S", 0.25, at_least=0.01, at_most=10),
            metrics=environ.flag("CACHE_METRICS", default=True),
        )


@dataclass(frozen=True, slots=True)
class PmsSettings:
    """`breaker_recovery_s` is None when the breaker must stay open until an operator resets it."""

    url: str
    timeout_s: float
    breaker_failures: int
    breaker_successes: int
    breaker_recovery_s: float | None

    @classmethod
    def read(cls, environ: Environ) -> PmsSettings:
        recovery_s = environ.number("PMS_BREAKER_RECOVERY_S", 10.0, at_least=0.05, at_most=3600)
        held = environ.flag("PMS_BREAKER_STAYS_OPEN")
        return cls(
            url=environ.text("PMS_URL", "http://127.0.0.1:8101").rstrip("/"),
            timeout_s=environ.number("PMS_TIMEOUT_S", 2.0, at_least=0.05, at_most=60),
            breaker_failures=environ.whole("PMS_BREAKER_FAILURES", 5, at_least=1, at_most=1000),
            breaker_successes=environ.whole("PMS_BREAKER_SUCCESSES", 2, at_least=1, at_most=1000),
            breaker_recovery_s=None if held else recovery_s,
        )


@dataclass(frozen=True, slots=True)
class WhatsAppSettings:
    """A message that cannot be delivered for `give_up_s` is marked as failed for good.

    `receipts`: whether a message counts as undelivered until WhatsApp reports its delivery. One that is not
    reported within `receipt_within_s` is sent again.
    """

    url: str
    token: str
    timeout_s: float
    give_up_s: float
    receipts: bool
    receipt_within_s: float

    @classmethod
    def read(cls, environ: Environ) -> WhatsAppSettings:
        return cls(
            url=environ.text("WHATSAPP_URL", "http://127.0.0.1:8102").rstrip("/"),
            token=environ.text("WHATSAPP_TOKEN", "development-token"),
            timeout_s=environ.number("WHATSAPP_TIMEOUT_S", 2.0, at_least=0.05, at_most=60),
            give_up_s=environ.number("WHATSAPP_GIVE_UP_S", 3600.0, at_least=0.1, at_most=86400),
            receipts=environ.flag("WHATSAPP_RECEIPTS"),
            receipt_within_s=environ.number("WHATSAPP_RECEIPT_WITHIN_S", 60.0, at_least=0.1, at_most=86400),
        )


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """`quota_bytes` 0: the file system itself is the limit. At most `kept_files` rotated files beside the current."""

    folder: Path
    quota_bytes: int
    file_bytes: int
    kept_files: int

    @classmethod
    def read(cls, environ: Environ) -> DiskSettings | None:
        """None where no disk is in use."""
        folder = environ.optional("DATA_DIR")
        if folder is None:
            return None
        return cls(
            folder=Path(folder),
            quota_bytes=environ.whole("DISK_QUOTA_BYTES", 0, at_most=2**50),
            file_bytes=environ.whole("AUDIT_FILE_BYTES", 2**20, at_least=1024, at_most=2**30),
            kept_files=environ.whole("AUDIT_FILES", 4, at_least=1, at_most=100),
        )


def read_modes(environ: Environ) -> Modes:
    """What holds until an operator overrides it."""
    return Modes(
        pms_mode=environ.choice("PMS_MODE", PmsMode.NORMAL),
        notification_channel=environ.choice("NOTIFICATION_CHANNEL", Channel.WHATSAPP),
        log_level=environ.choice("LOG_LEVEL", LogLevel.INFO),
    )


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Everything that `python -m hotel.api` can be told."""

    listen: Listen
    database: DatabaseSettings
    cache: CacheSettings
    pms: PmsSettings
    whatsapp: WhatsAppSettings
    disk: DiskSettings | None
    modes: Modes
    admin_token: str | None
    faults: bool
    outbox_interval_s: float

    @classmethod
    def read(cls, values: Mapping[str, str]) -> ApiSettings:
        """Raises SettingError."""
        environ = Environ(values)
        return cls(
            listen=Listen.read(environ, 8100),
            database=DatabaseSettings.read(environ),
            cache=CacheSettings.read(environ),
            pms=PmsSettings.read(environ),
            whatsapp=WhatsAppSettings.read(environ),
            disk=DiskSettings.read(environ),
            modes=read_modes(environ),
            admin_token=environ.optional("ADMIN_TOKEN"),
            faults=environ.flag("FAULTS"),
            outbox_interval_s=environ.number("OUTBOX_INTERVAL_S", 0.5, at_least=0.02, at_most=60),
        )
