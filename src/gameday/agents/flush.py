"""`python -m gameday.agents.flush [--host H --port P] --every S --ttl S`: an import job that empties a cache again and
again, until an operator ends its connection. Without host and port it reads a URL, which may have a password, from its
variables.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from urllib.parse import urlsplit

from gameday.agents import BEGUN, URL_VARIABLE
from gameday.agents.resp import RespClient, RespError

NAME = "nightly-import"
_TIMEOUT_S = 5.0
_PORT = 6379


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gameday.agents.flush")
    url = urlsplit(os.environ.get(URL_VARIABLE, ""))
    parser.add_argument("--host", default=url.hostname, required=url.hostname is None)
    parser.add_argument("--port", type=int, default=url.port or _PORT)
    parser.add_argument("--every", type=float, required=True, help="seconds between two flushes")
    parser.add_argument("--ttl", type=float, required=True, help="seconds after which it ends by itself")
    options = parser.parse_args(arguments)
    ends = time.monotonic() + options.ttl
    count = 0
    try:
        with RespClient(options.host, options.port, _TIMEOUT_S) as cache:
            cache.authenticate(url)
            cache.command("CLIENT", "SETNAME", NAME)
            due = time.monotonic()
            while time.monotonic() < ends:
                cache.command("FLUSHALL")
                count += 1
                if count == 1:
                    print(f"{BEGUN}flushed once", flush=True)
                due = max(due + options.every, time.monotonic())
                time.sleep(max(0.0, min(due, ends) - time.monotonic()))
    except (OSError, RespError) as error:
        print(f"ended after {count} flushes: {error}", flush=True)
        return 0 if count else 1
    print(f"ended after {count} flushes: its time was over", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
