"""Which question a component answers, asked of real servers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gameday.scaffold.asking import Question, ask
from gameday.scaffold.place import Part


@contextmanager
def answering(pages: Mapping[str, int], otherwise: int = 404) -> Iterator[Part]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(pages.get(self.path, otherwise))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library names it
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield part(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def part(port: int) -> Part:
    return Part("web", {"service": "web"}, "web", 1, 1, port=80, host="127.0.0.1", published=port)


@pytest.mark.parametrize(
    ("pages", "otherwise", "path", "said"),
    [
        pytest.param(
            {"/": 200, "/healthz": 200}, 404, "/healthz", "GET /healthz answers 200", id="a health path"
        ),
        pytest.param({"/": 200}, 404, "/", "GET / answers 200", id="the first page"),
        pytest.param({}, 200, "/", "any path answers 200", id="a page for everything"),
        pytest.param(
            {"/": 302, "/healthz": 503}, 404, None, "GET /healthz answers 503", id="none that is well"
        ),
    ],
)
def test_the_first_path_that_is_well_is_asked(
    pages: dict[str, int], otherwise: int, path: str | None, said: str
) -> None:
    with answering(pages, otherwise) as web:
        found = ask(web)
    assert (found.path, found.answered) == (path, True)
    assert said in found.said


def test_what_speaks_something_else_takes_connections_and_what_is_not_there_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_rude, args=(listening,), daemon=True)
        thread.start()
        rude = ask(part(listening.getsockname()[1]))
    assert rude == Question("web", None, "takes connections")
    gone = ask(part(1))
    assert (gone.path, gone.answered) == (None, False)
    assert "nothing answers at http://127.0.0.1:1" in gone.said


def _rude(listening: socket.socket) -> None:
    try:
        while True:
            connection, _ = listening.accept()
            connection.sendall(b"-ERR who are you\r\n")
            connection.close()
    except OSError:
        return
