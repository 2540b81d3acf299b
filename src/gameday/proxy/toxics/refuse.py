"""Nobody listens: new connections get ECONNREFUSED. It acts on the listener, so it has no stage."""

from __future__ import annotations

from typing import ClassVar, Literal

from gameday.proxy.toxics.base import Effect


class Refuse(Effect):
    """Refuse new connections; `close_open` closes the open ones too, as Toxiproxy's `enabled: false` does."""

    whole_link: ClassVar[bool] = True
    kind: Literal["refuse"] = "refuse"
    close_open: bool = False
