"""Probes: sampled questions with time-stamped answers, asked at a fixed rate whether or not the last was answered.

A sampler that waits for each answer samples a hanging service once per time-out and misses what happens
meanwhile; so samples overlap, and their results are taken in the order in which they were asked.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from gameday.clock import Instant
from gameday.environment import REFERENCE, AnyProbe, HttpProbe, MetricProbe, SqlProbe, StateProbe, TcpProbe
from gameday.errors import UsageError
from gameday.exposition import Increase, select
from gameday.targets.base import Address, Running
from gameday.targets.fake import read_states

if TYPE_CHECKING:
    import httpx
    import psycopg

MAX_DETAIL = 160
_SECRET = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One sample. `key` is the record it wrote, where the probe writes any."""

    started: Instant
    ended: Instant
    ok: bool
    detail: str
    key: str


class Asker(Protocol):
    """One kind of question to one component."""

    async def ask(self, key: str) -> tuple[bool, str]:
        """Ask once; whether the answer was as expected, and in a few words what it was."""
        ...

    async def close(self) -> None: ...


OnAnswer = Callable[[Answer], None]


class Sampler:
    """Asks one probe at its rate and passes the answers on in the order of asking."""

    def __init__(
        self,
        name: str,
        probe: AnyProbe,
        address: Address,
        prefix: str,
        on_answer: OnAnswer,
    ) -> None:
        self.name = name
        self.every_s = probe.every
        self.timeout_s = probe.timeout
        self.prefix = f"{prefix}{name}-"
        self.pace = 1.0
        self._asker = open_asker(probe, address)
        self._on_answer = on_answer
        self._flying: deque[asyncio.Task[Answer]] = deque()
        self._loop: asyncio.Task[None] | None = None
        self._count = 0

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name=f"probe {self.name}")

    async def stop(self) -> None:
        """Stop asking, wait for the answers that are under way (within their time-out), and close."""
        if self._loop is None:
            return
        self._loop.cancel()
        await asyncio.gather(self._loop, *self._flying, return_exceptions=True)
        self._loop = None
        self._deliver()
        await self._asker.close()

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            self._count += 1
            task = asyncio.create_task(self._ask(f"{self.prefix}{self._count}"))
            self._flying.append(task)
            task.add_done_callback(lambda _: self._deliver())
            due = max(due + self.every_s / self.pace, time.monotonic() - 1.0)  # after a stall: no burst
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, key: str) -> Answer:
        started = Instant.now()
        try:
            async with asyncio.timeout(self.timeout_s):
                ok, detail = await self._asker.ask(key)
        except TimeoutError:
            ok, detail = False, f"no answer within {self.timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 - a question that cannot be asked has failed; none is not an answer
            ok, detail = False, first_line(error)
        return Answer(started, Instant.now(), ok, detail[:MAX_DETAIL], key)

    def _deliver(self) -> None:
        while self._flying and self._flying[0].done():
            task = self._flying.popleft()
            if not task.cancelled():
                self._on_answer(task.result())


def open_asker(probe: AnyProbe, address: Address) -> Asker:
    match probe:
        case HttpProbe():
            return _HttpAsker(probe, address)
        case SqlProbe():
            return _SqlAsker(probe, address.url)
        case TcpProbe():
            return _TcpAsker(probe, address)
        case MetricProbe():
            return _MetricAsker(probe, address)
        case StateProbe():
            return _StateAsker(probe, address)


class _HttpAsker:
    """Keeps its connections: what is measured is the service, not the handshake."""

    def __init__(self, probe: HttpProbe, address: Address) -> None:
        self._method, path = probe.http.split(" ", 1)
        self._url = address.url.rstrip("/") + path
        self._probe = probe
        self._headers = {name: _reveal(value) for name, value in probe.headers.items()}
        self._client = _http_client(address, probe.timeout)

    async def ask(self, key: str) -> tuple[bool, str]:
        import httpx

        body = fill(self._probe.body, {"key": key, "today": f"{datetime.now(UTC):%Y-%m-%d}"})
        try:
            response = await self._client.request(self._method, self._url, json=body, headers=self._headers)
        except httpx.TimeoutException:
            return False, f"no answer within {self._probe.timeout:g} s"
        except httpx.HTTPError as error:
            return False, f"{type(error).__name__}: {error}"
        expect = self._probe.expect
        if response.status_code != expect.status:
            return False, f"status {response.status_code}, expected {expect.status}"
        if expect.contains is not None and expect.contains not in response.text:
            return False, f"status {response.status_code}, without {expect.contains!r}"
        return True, f"status {response.status_code}"

    async def close(self) -> None:
        await self._client.aclose()


def _http_client(address: Address, timeout_s: float) -> httpx.AsyncClient:
    import httpx

    limits = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=30)
    # no proxy and no certificates from the surroundings: a drill asks exactly the address it names
    return httpx.AsyncClient(
        timeout=timeout_s, limits=limits, trust_env=False, verify=address.url.startswith("https:")
    )


class _MetricAsker:
    """Reads a metrics page, one reading at a time: an older page that came later would look like a reset."""

    def __init__(self, probe: MetricProbe, address: Address) -> None:
        self._probe = probe
        self._url = address.url.rstrip("/") + probe.path
        self._client = _http_client(address, probe.timeout)
        self._increase = Increase(probe.over) if probe.over is not None else None
        self._busy = asyncio.Lock()

    async def ask(self, key: str) -> tuple[bool, str]:
        del key
        import httpx

        probe = self._probe
        async with self._busy:
            try:
                response = await self._client.get(self._url)
            except httpx.TimeoutException:
                return False, f"no answer within {probe.timeout:g} s"
            except httpx.HTTPError as error:
                return False, f"{type(error).__name__}: {error}"
            if response.status_code != HTTPStatus.OK:
                return False, f"status {response.status_code}, expected 200"
            found = select(response.text, probe.metric, probe.labels)
            value: float | None = sum(found.values())
            if self._increase is not None:
                value = self._increase.add(time.monotonic(), found)
        if not found:
            return False, f"no series {probe.metric}" + (" with these labels" if probe.labels else "")
        if value is None:
            return False, "not known yet"
        return self._judge(value)

    def _judge(self, value: float) -> tuple[bool, str]:
        """NaN is neither at least nor at most anything."""
        probe = self._probe
        shown = f"{value:g}" + (" a second" if probe.over is not None else "")
        if probe.at_least is not None and not value >= probe.at_least:
            return False, f"{shown}, expected at least {probe.at_least:g}"
        if probe.at_most is not None and not value <= probe.at_most:
            return False, f"{shown}, expected at most {probe.at_most:g}"
        return True, shown

    async def close(self) -> None:
        await self._client.aclose()


class _SqlAsker:
    """A query over one kept connection, made anew when it broke or when the probe wants it. A stopped server
    accepts connections but answers no query, so only the answer counts."""

    def __init__(self, probe: SqlProbe, url: str) -> None:
        self._probe = probe
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._busy = asyncio.Lock()

    async def ask(self, key: str) -> tuple[bool, str]:
        del key
        import psycopg

        async with self._busy:
            try:
                if self._connection is None:
                    wait_s = max(2, round(self._probe.timeout))  # libpq's own bound; ours ends earlier
                    self._connection = await psycopg.AsyncConnection.connect(
                        self._url, autocommit=True, connect_timeout=wait_s
                    )
                await self._connection.execute(self._probe.sql)
                if self._probe.new_connection:
                    await self._drop()
            except psycopg.Error as error:
                await self._drop()
                return False, first_line(error)
            except asyncio.CancelledError:
                await self._drop()
                raise
            return True, "answered"

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def close(self) -> None:
        await self._drop()


class _TcpAsker:
    """A new connection each time; optionally sends something and looks for an answer."""

    def __init__(self, probe: TcpProbe, address: Address) -> None:
        self._probe = probe
        self._address = address

    async def ask(self, key: str) -> tuple[bool, str]:
        del key
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection(self._address.host, self._address.port)
            writer.write(self._probe.tcp.encode())
            await writer.drain()
            if self._probe.expect is None:
                return True, "connected"
            answer = (await reader.read(4096)).decode(errors="replace")
            return self._probe.expect in answer, f"answered {answer[:60]!r}"
        except OSError as error:
            return False, f"{type(error).__name__}: {error}"
        finally:
            if writer is not None:
                writer.close()

    async def close(self) -> None:
        return None


class _StateAsker:
    """Reads the file of a fake target."""

    def __init__(self, probe: StateProbe, address: Address) -> None:
        self._probe = probe
        self._path = Path(unquote(urlsplit(address.url).path))

    async def ask(self, key: str) -> tuple[bool, str]:
        del key
        state = read_states(self._path).get(self._probe.component, Running.DOWN)
        return state.value == self._probe.state, state.value

    async def close(self) -> None:
        return None


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """`value` with `${name}` replaced in all its texts.

    Raises:
        UsageError: a reference that is none of `values`.
    """
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: _known(match.group(1), values), value)
    if isinstance(value, dict):
        return {key: fill(inner, values) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill(inner, values) for inner in value]
    return value


def _known(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise UsageError(f"${{{name}}} is not known here; known: {', '.join(values)}")
    return values[name]


def _reveal(value: str) -> str:
    def read(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise UsageError(f"environment variable {name} is not set; a probe's header needs it")
        return os.environ[name]

    return _SECRET.sub(read, value)


def first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
