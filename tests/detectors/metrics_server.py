"""A real HTTP server whose metrics page a test sets, and which can die, hang, break and come back."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class MetricsServer:
    """Serves `page` on a port of its own; the other attributes change how it answers."""

    def __init__(self) -> None:
        self.page = ""
        self.status = 200
        self.delay_s = 0.0
        self.hang = threading.Event()
        self.drop_reused = threading.Event()
        self.release = threading.Event()
        self.requests = 0
        self.connections = 0
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            answered = 0

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_GET(self) -> None:
                outer.requests += 1
                time.sleep(outer.delay_s)
                if outer.hang.is_set():
                    outer.release.wait(20)
                    self.close_connection = True
                    return
                if outer._server is None or (outer.drop_reused.is_set() and self.answered):
                    self.close_connection = True
                    return
                body = outer.page.encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.answered += 1

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that gave up is what several tests are about

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def die(self) -> None:
        """No listener any more; open connections answer nothing."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def close(self) -> None:
        self.release.set()
        self.die()
