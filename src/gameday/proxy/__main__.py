"""`python -m gameday.proxy --config FILE`: runs until SIGTERM or SIGINT. SIGHUP, the end of a terminal, is
ignored: the proxy outlives its starter.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from gameday.errors import GamedayError
from gameday.proxy.config import ProxyConfig, load_config
from gameday.proxy.server import ProxyServer


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gameday.proxy", description="A TCP proxy with faults.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="links, control and state")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        config = load_config(options.config)
        _allow_many_connections()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(config))
    except GamedayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


async def _run(config: ProxyConfig) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = ProxyServer(config)
    try:
        await server.start()
        await ended.wait()
    finally:
        await server.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _allow_many_connections() -> None:
    """Two descriptors a connection; a partition collects those of clients that try again and again."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
