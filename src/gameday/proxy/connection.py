"""One connection: a socket on each side, and a pipe for each direction between them.

Without toxics a pipe is one method call: what one transport reads, the other writes. With toxics it is a chain
of stages that ends in the pipe itself. Either way what is held is bounded: beyond a limit the side that sends
is no longer read, and its own TCP makes it wait.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable
from typing import cast

from gameday.proxy.toxics import Direction, End, Stage, Toxic, make_stage

LIMIT = 256 * 1024
"""Bytes held in one direction, toxics aside, before its sender is made to wait."""
_RST_ON_CLOSE = struct.pack("ii", 1, 0)


class Pipe:
    """One direction. `feed` is for the source's data when there are stages; the chain ends in `tail`."""

    def __init__(self, connection: Connection, direction: Direction) -> None:
        self.connection = connection
        self.direction = direction
        self.source = Endpoint(connection, self)
        self.sink: Endpoint  # the other pipe's source; set by the connection
        self.stages: dict[str, Stage] = {}
        self.tail = Tail(self)
        self.pending = 0
        self.done = False
        self.source_ended = False
        self.sink_full = False
        self._reading = True

    @property
    def first(self) -> Stage | Tail:
        return next(iter(self.stages.values()), self.tail)

    def feed(self, data: bytes) -> None:
        """Data of the source, when it cannot go to the sink's transport directly."""
        if self.done:
            return  # the sink is gone; the source is read only to learn of its end
        self.pending += len(data)
        self.first.feed(data)
        self.balance()

    def finish(self, end: End) -> None:
        self.source_ended = True
        if not self.done or end is not End.EOF:
            self.first.finish(end)

    def add(self, toxic: Toxic, seed: str, *, fresh: bool) -> None:
        stage = make_stage(toxic, self.connection, self.direction, self.tail, f"{seed}/{self.direction}")
        if self.stages:
            list(self.stages.values())[-1].next = stage
        self.stages[toxic.name] = stage
        self.route()
        stage.started(fresh=fresh)

    def remove(self, name: str) -> None:
        """What the stage holds goes on before anything that comes later."""
        stage = self.stages[name]
        stage.flush()
        if self.stages.pop(name, None) is None:
            return  # flushing ended the connection
        chain: list[Stage | Tail] = [*self.stages.values(), self.tail]
        for here, following in itertools.pairwise(chain):
            cast(Stage, here).next = following
        self.route()
        self.balance()

    def kill(self) -> None:
        """The sink is gone: nothing can arrive any more."""
        self.done = True
        for stage in self.stages.values():
            stage.cancel()
        self.stages.clear()
        self.tail.cancel()
        self.pending = 0
        self.route()
        self.balance()

    def route(self) -> None:
        """Choose the source's way: straight into the sink's transport where nothing is to be done."""
        sink = self.sink.transport
        straight = sink is not None and not self.stages and not self.pending and not self.done
        self.source.forward = sink.write if straight and sink is not None else self.feed

    def balance(self) -> None:
        """Read the source or let it wait, by what is held."""
        transport = self.source.transport
        if transport is None or transport.is_closing() or self.source_ended:
            return
        limit = max((stage.room for stage in self.stages.values()), default=LIMIT)
        if self._reading and not self.done and (self.sink_full or self.pending > limit):
            self._reading = False
            transport.pause_reading()
        elif not self._reading and (self.done or (not self.sink_full and self.pending <= limit // 2)):
            self._reading = True
            transport.resume_reading()


class Tail:
    """The end of a chain: the sink's transport, or a buffer until the server has answered."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._early: list[bytes | End] = []

    def feed(self, data: bytes) -> None:
        pipe, transport = self._pipe, self._pipe.sink.transport
        if pipe.done:
            return
        if transport is None:
            self._early.append(data)
            return
        pipe.pending -= len(data)
        transport.write(data)
        if not pipe.pending and not pipe.stages:
            pipe.route()
        pipe.balance()

    def finish(self, end: End) -> None:
        pipe, transport = self._pipe, self._pipe.sink.transport
        if end is not End.EOF:
            pipe.connection.end(self._pipe, end)
        elif transport is None:
            self._early.append(end)
        elif not pipe.done:
            pipe.done = True
            if not transport.is_closing():
                try:
                    transport.write_eof()
                except (
                    OSError
                ):  # what was written just before met a reset, of which we have not been told yet
                    transport.abort()
            pipe.connection.settle()

    def connected(self) -> None:
        early, self._early = self._early, []
        for piece in early:
            if isinstance(piece, End):
                self.finish(piece)
            else:
                self.feed(piece)
        self._pipe.route()
        self._pipe.balance()

    def cancel(self) -> None:
        self._early.clear()


class Endpoint(asyncio.Protocol):
    """One side's socket."""

    def __init__(self, connection: Connection, out: Pipe) -> None:
        self.connection = connection
        self._out = out
        self.transport: asyncio.Transport | None = None
        self.gone = False
        self.forward: Callable[[bytes], None] = out.feed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=LIMIT)
        self.connection.attached(self)

    def data_received(self, data: bytes) -> None:
        self.forward(data)

    def eof_received(self) -> bool:
        self._out.finish(End.EOF)
        return True  # the other direction stays open

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.connection.lost(self, End.RESET if exc is not None else End.EOF)

    def pause_writing(self) -> None:
        self._into.sink_full = True
        self._into.balance()

    def resume_writing(self) -> None:
        self._into.sink_full = False
        self._into.balance()

    @property
    def _into(self) -> Pipe:
        return self.connection.pipe_into(self)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        if self.transport is None or self.gone:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() != -1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self.transport.abort()


class Connection:
    """Both sides of one accepted connection; implements what stages need of their host."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        dial: Callable[[Endpoint], None],
        ready: Callable[[Connection], None],
        gone: Callable[[Connection], None],
    ) -> None:
        """`dial` connects to the server, `ready` is called when the client's side is attached, `gone` at the end."""
        self.loop = loop
        self.number = number
        self._dial, self._ready, self._gone = dial, ready, gone
        self.up = Pipe(self, Direction.UPSTREAM)
        self.down = Pipe(self, Direction.DOWNSTREAM)
        self.client, self.server = self.up.source, self.down.source
        self.up.sink, self.down.sink = self.server, self.client
        self._dialled = False
        self.ended = False

    def pipe(self, direction: Direction) -> Pipe:
        return self.up if direction is Direction.UPSTREAM else self.down

    def pipe_into(self, endpoint: Endpoint) -> Pipe:
        return self.down if endpoint is self.client else self.up

    # --- toxics --------------------------------------------------------------------------------------------

    def put(self, toxic: Toxic, seed: str, *, fresh: bool) -> None:
        for direction in toxic.directions:
            if not self.ended and not self.pipe(direction).done:
                self.pipe(direction).add(toxic, seed, fresh=fresh)

    def change(self, toxic: Toxic) -> None:
        for direction in toxic.directions:
            stage = self.pipe(direction).stages.get(toxic.name)
            if stage is not None:
                stage.changed(toxic.effect)
                stage.started(fresh=False)

    def withdraw(self, name: str) -> None:
        """Without this toxic; one that never acted here changes nothing, as another may still be about to."""
        acted = self.has(name)
        for pipe in (self.up, self.down):
            if name in pipe.stages:
                pipe.remove(name)
        if acted:
            self.dial()

    def has(self, name: str) -> bool:
        return name in self.up.stages or name in self.down.stages

    # --- life ----------------------------------------------------------------------------------------------

    def attached(self, endpoint: Endpoint) -> None:
        if self.ended:
            endpoint.reset()
        elif endpoint is self.client:
            self._ready(self)
            self.down.tail.connected()
            self.dial()
        else:
            self.up.tail.connected()
            self.down.route()

    def dial(self) -> None:
        """Connect to the server, unless a toxic keeps the attempt from reaching it."""
        held = any(stage.holds_connecting for stage in self.up.stages.values())
        if not self._dialled and not held and not self.ended:
            self._dialled = True
            self._dial(self.server)

    def lost(self, endpoint: Endpoint, end: End) -> None:
        out, into = (self.up, self.down) if endpoint is self.client else (self.down, self.up)
        into.kill()
        if self.ended or (endpoint is self.client and not self._dialled):
            self._forget()  # a client that gave up before it reached the server: nobody needs to know
            return
        if end is End.RESET or not out.source_ended:
            out.finish(end)
        self.settle()

    def unreachable(self) -> None:
        """The server could not be reached."""
        if not self.ended:
            self.reset(Direction.DOWNSTREAM)

    def settle(self) -> None:
        """Both directions are through: close."""
        if self.up.done and self.down.done:
            self.close()

    def close(self) -> None:
        self._end(())

    def reset(self, direction: Direction) -> None:
        sides = {Direction.UPSTREAM: (self.server,), Direction.DOWNSTREAM: (self.client,)}
        self._end(sides.get(direction, (self.client, self.server)))

    def end(self, pipe: Pipe, end: End) -> None:
        """The end of a whole connection came through `pipe`."""
        self._end((pipe.sink,) if end is End.RESET else ())

    def discard(self, stage: Stage, size: int) -> None:
        self.pipe(stage.direction).pending -= size

    def _end(self, with_reset: tuple[Endpoint, ...]) -> None:
        if self.ended:
            return
        self.ended = True
        for endpoint in (self.client, self.server):
            if endpoint in with_reset:
                endpoint.reset()
            else:
                endpoint.close()
        self._forget()

    def _forget(self) -> None:
        self.ended = True
        for pipe in (self.up, self.down):
            pipe.kill()
        for endpoint in (self.client, self.server):
            if not endpoint.gone:
                endpoint.close()
        self._gone(self)
