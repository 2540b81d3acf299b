"""Strange clients: small programs that trouble a database or a cache as a forgotten job would.

Each is a process of its own, so that it goes on when whoever started it has died; each ends by itself after its
time-to-live, and when an operator ends its session. A first line of output beginning with `BEGUN` says that it is in
force.
"""

from __future__ import annotations

BEGUN = "begun: "
URL_VARIABLE = "GAMEDAY_CLIENT_URL"
"""Where a client finds the URL when it is not on its command line, which everybody on the machine can read."""
