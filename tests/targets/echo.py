"""Run by tests as a component: an HTTP server that answers with what it was asked, or as its path says.

/status/N answers N; /hang never; /drip a byte at a time without end; everything else 200.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    def handle_one(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        asked = {"path": self.path, "headers": dict(self.headers), "body": self.rfile.read(length).decode()}
        if self.path == "/hang":
            time.sleep(60)
        self.send_response(int(self.path.split("/")[2]) if self.path.startswith("/status/") else 200)
        self.end_headers()
        if self.path == "/drip":
            for _ in range(600):
                self.wfile.write(b".")
                time.sleep(0.1)
        self.wfile.write(json.dumps({"method": self.command, **asked}).encode())

    do_GET = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
