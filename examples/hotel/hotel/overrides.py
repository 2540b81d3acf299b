"""Degraded modes that an operator can choose while something is out of reach.

They live in memory: a restart brings back what was configured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from hotel.logs import EventLog, LogLevel


class PmsMode(StrEnum):
    """`QUEUE`: no booking waits for the PMS; it is told later, from the table."""

    NORMAL = "normal"
    QUEUE = "queue"


class Channel(StrEnum):
    """Who tells the guest that the reservation is made. `DESK`: the front desk does, nothing waits for WhatsApp."""

    WHATSAPP = "whatsapp"
    DESK = "desk"


@dataclass(frozen=True, slots=True)
class Modes:
    """What is in force."""

    pms_mode: PmsMode = PmsMode.NORMAL
    notification_channel: Channel = Channel.WHATSAPP
    log_level: LogLevel = LogLevel.INFO

    def to_json(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}


class Overrides:
    """The configured modes, and what an operator made of them."""

    def __init__(self, configured: Modes, log: EventLog) -> None:
        self._configured = configured
        self._log = log
        self.current = configured
        log.level = configured.log_level

    def set_pms_mode(self, mode: PmsMode) -> None:
        self._become(replace(self.current, pms_mode=mode))

    def set_channel(self, channel: Channel) -> None:
        self._become(replace(self.current, notification_channel=channel))

    def set_log_level(self, level: LogLevel) -> None:
        self._become(replace(self.current, log_level=level))

    def clear(self) -> None:
        """Everything back to what was configured. Safe to repeat."""
        self._become(self._configured)

    def to_json(self) -> dict[str, object]:
        """What is in force, and the names of those that are not as configured."""
        current, configured = self.current.to_json(), self._configured.to_json()
        return {**current, "overridden": [name for name in current if current[name] != configured[name]]}

    def _become(self, modes: Modes) -> None:
        if modes != self.current:
            self._log.event("modes-changed", at_level=LogLevel.WARNING, **modes.to_json())
        self.current = modes
        self._log.level = modes.log_level
