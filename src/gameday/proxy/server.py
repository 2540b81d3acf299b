"""The proxy process: its links, the control socket, the state file.

A toxic lives in this process alone. Whoever put it may die; its time-to-live runs here. When this process dies
the toxic dies too: the next one starts healed, whatever the state file says was in force.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from gameday.errors import Refused, TargetError
from gameday.fields import parse
from gameday.proxy import unix
from gameday.proxy.config import ProxyConfig
from gameday.proxy.link import Link
from gameday.proxy.status import InForce, LinkStatus, ProxyStatus
from gameday.proxy.toxics import Toxic

MAX_LINE = 65_536


class ProxyServer:
    """All links of one environment."""

    def __init__(self, config: ProxyConfig) -> None:
        self._config = config
        self._state = Path(config.state)
        self._control = Path(config.control)
        self._links: dict[str, Link] = {}
        self._server: asyncio.Server | None = None
        self._lock: IO[str] | None = None
        self._found: tuple[str, ...] = ()

    async def start(self) -> None:
        """Listen on every link, then take orders.

        Raises:
            Refused: another proxy runs with this state file.
            TargetError: a port or a path cannot be had.
        """
        self._lock_state()
        self._found = self._read_found()
        for config in self._config.links:
            link = self._links[config.name] = Link(config, self._config.seed, self._expired)
            try:
                link.open()
            except OSError as error:
                raise TargetError(f"link {config.name}: cannot listen on {config.listen}: {error}") from error
        try:
            self._save()
            listener = unix.listen(self._control)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE)
        except OSError as error:
            raise TargetError(f"cannot take orders at {self._control}: {error}") from error

    async def close(self) -> None:
        for link in self._links.values():
            link.close()
        if self._server is not None:
            self._server.close()
            self._control.unlink(missing_ok=True)
            self._save()
        if self._lock is not None:
            self._lock.close()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next round

    def status(self) -> ProxyStatus:
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        links = tuple(_status(link) for link in self._links.values())
        return ProxyStatus(pid=os.getpid(), loop=loop, links=links, found_in_force=self._found)

    # --- orders --------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:  # ValueError: a line beyond the limit
            print(f"control: {error}", file=sys.stderr, flush=True)
        finally:
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"result": self._do(json.loads(line))}
        except ValidationError as error:
            words = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            return {"error": f"not a toxic: {words}"}
        except (TargetError, OSError) as error:
            return {"error": str(error)}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return {"error": f"not an order: {error!r}"}

    def _do(self, order: dict[str, Any]) -> Any:
        match order["do"]:
            case "status":
                return self.status().model_dump(mode="json")
            case "put":
                return self._put(self._link(order["link"]), parse(Toxic, order["toxic"]))
            case "remove":
                found = self._link(order["link"]).remove(order["name"])
                self._save_healed()
                return found
            case "reset":
                links = self._links.values() if order["link"] is None else [self._link(order["link"])]
                removed = [f"{link.config.name}/{name}" for link in links for name in list(link.toxics)]
                for link in links:
                    for name in list(link.toxics):
                        link.remove(name)
                self._save_healed()
                return removed
        raise ValueError(f"unknown: {order['do']!r}")

    def _put(self, link: Link, toxic: Toxic) -> Any:
        self._save(link.config.name, toxic)  # written before it acts; what cannot be written is not done
        link.put(toxic)
        return next(
            one.model_dump(mode="json") for one in _status(link).toxics if one.toxic.name == toxic.name
        )

    def _link(self, name: str) -> Link:
        if name not in self._links:
            raise TargetError(f"no link {name!r}; there are {', '.join(self._links)}")
        return self._links[name]

    def _expired(self, link: str, toxic: Toxic) -> None:
        print(f"{link}: {toxic.name} outlived its {toxic.ttl_s:g} s: healed", file=sys.stderr, flush=True)
        self._save_healed()

    # --- state ---------------------------------------------------------------------------------------------

    def _lock_state(self) -> None:
        try:
            self._lock = self._state.with_name(f"{self._state.name}.lock").open("a", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"another proxy runs with the state file {self._state}") from error
        except OSError as error:
            raise TargetError(f"cannot use the state file {self._state}: {error}") from error

    def _read_found(self) -> tuple[str, ...]:
        try:
            stored = json.loads(self._state.read_text(encoding="utf-8"))
            found = tuple(f"{one['link']}/{one['toxic']['name']}" for one in stored["in_force"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"{self._state} cannot be understood ({error!r}): begun anew", file=sys.stderr, flush=True)
            return ()
        if found:
            print(f"an earlier proxy ended with {', '.join(found)}: healed", file=sys.stderr, flush=True)
        return found

    def _save_healed(self) -> None:
        """Healing must not fail because a disk is full: it is done, and the file is late."""
        try:
            self._save()
        except OSError as error:
            print(f"{self._state}: {error}", file=sys.stderr, flush=True)

    def _save(self, link_name: str = "", coming: Toxic | None = None) -> None:
        """Whole, by renaming. Not synced: it tells of a process, and both are gone after a power cut."""
        now, mono = datetime.now(UTC), asyncio.get_running_loop().time()
        entries = [
            _entry(name, entry.toxic, now + timedelta(seconds=entry.expires - mono))
            for name, link in self._links.items()
            for entry in link.toxics.values()
            if coming is None or (name, entry.toxic.name) != (link_name, coming.name)
        ]
        if coming is not None:
            entries.append(_entry(link_name, coming, now + timedelta(seconds=coming.ttl_s)))
        temporary = self._state.with_name(f".{self._state.name}.tmp")
        text = json.dumps({"format": 1, "pid": os.getpid(), "in_force": entries}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(self._state)


def _entry(link: str, toxic: Toxic, until: datetime) -> dict[str, Any]:
    return {
        "link": link,
        "until": until.isoformat(timespec="milliseconds"),
        "toxic": toxic.model_dump(mode="json"),
    }


def _status(link: Link) -> LinkStatus:
    now = asyncio.get_running_loop().time()
    toxics = tuple(
        InForce(
            toxic=entry.toxic,
            left_s=max(0.0, entry.expires - now),
            connections=sum(connection.has(name) for connection in link.connections),
        )
        for name, entry in link.toxics.items()
    )
    return LinkStatus(
        name=link.config.name,
        listen=link.config.listen,
        upstream=link.config.upstream,
        listening=link.listening,
        connections=len(link.connections),
        accepted=link.accepted,
        toxics=toxics,
    )
