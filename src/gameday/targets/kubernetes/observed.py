"""Whether somebody still renews a lease, by one's own clock alone: what another machine's clock says means nothing.

Imported by the dead-man switch in its pod before it knows that there is anything to do, so it imports next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LEASE_S = 15
"""How long a lease that nobody renews is still somebody's."""
RENEW_S = 2.0
BEAT_S = 5.0
"""How often a dead-man switch says that it is there."""
PREFIX = "gameday.dev/"
HOLDER = f"{PREFIX}holder"
"""Annotation of a lease: JSON, who holds it; see `lease.Holder`."""
TOLD = f"{PREFIX}told"
"""Annotation of a lease: JSON `{"seq": 1, "left_s": 20.0, "to": INSTANCE}`, what the runner tells its switch: to
act in so many seconds at the latest. `to` is the process that is meant: its successor hears it later."""
SWITCH = f"{PREFIX}switch"
"""Annotation of a lease: JSON `{"drill": NAME, "instance": ID, "beat": 7, "armed": 1}`, what the switch answers:
`armed` is the last `seq` that it heard in time. `problem`, where there is one, is why it could not serve."""
LOG = "log"
"""Key of the records of undos in their ConfigMap."""
SAID = "deadman.log"
"""Key of what the dead-man switch said."""


class Renewals:
    """What was seen of one lease. An absent one is one that nobody renews."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: object = None
        self._since: float | None = None
        self.moved = False
        """Whether it changed while it was looked at."""

    def look(self, mark: object) -> float:
        """Seconds for which `mark`, what renewing changes, is known not to have changed."""
        now = self._clock()
        if self._since is None or mark != self._last:
            self.moved = self._since is not None and self._last is not None
            self._last, self._since = mark, now
        return now - self._since

    def forget(self) -> None:
        """The API server was away: whoever would have renewed it meanwhile could not."""
        self._since = None
