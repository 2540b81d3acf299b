"""`python -m gameday.proxy.control --socket PATH ORDER …`: one order to a running proxy, for whoever can run a command
beside it and cannot reach its socket, as with a proxy in a container.

    put LINK TOXIC      bring a toxic into force: JSON, or `-` to read it from standard input
    remove LINK NAME    heal one
    reset [LINK]        heal everything, or one link
    status

The answer is one line of JSON on standard output. Errors are one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gameday.errors import GamedayError, UsageError
from gameday.fields import parse
from gameday.proxy.client import ProxyClient
from gameday.proxy.toxics import Toxic


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        answer = _give(options, ProxyClient(options.socket, options.timeout_s))
    except GamedayError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    print(json.dumps(answer))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gameday.proxy.control", description="One order to a running fault proxy."
    )
    parser.add_argument(
        "--socket", type=Path, required=True, metavar="PATH", help="the proxy's control socket"
    )
    parser.add_argument("--timeout-s", type=float, default=5.0, metavar="SECONDS")
    orders = parser.add_subparsers(dest="order", required=True)
    put = orders.add_parser("put", help="bring a toxic into force")
    put.add_argument("link")
    put.add_argument("toxic", help="JSON; - reads it from standard input")
    remove = orders.add_parser("remove", help="heal one")
    remove.add_argument("link")
    remove.add_argument("name")
    reset = orders.add_parser("reset", help="heal everything, or one link")
    reset.add_argument("link", nargs="?")
    orders.add_parser("status", help="what is in force")
    return parser


def _give(options: argparse.Namespace, client: ProxyClient) -> Any:
    match options.order:
        case "put":
            text = sys.stdin.read() if options.toxic == "-" else options.toxic
            return client.put(options.link, _toxic(text)).model_dump(mode="json")
        case "remove":
            return client.remove(options.link, options.name)
        case "reset":
            return list(client.reset(options.link))
        case _:
            return client.status().model_dump(mode="json")


def _toxic(text: str) -> Toxic:
    try:
        return parse(Toxic, json.loads(text))
    except (ValueError, ValidationError) as error:
        raise UsageError(f"toxic: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
