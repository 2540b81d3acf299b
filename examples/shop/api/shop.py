"""The shop's API: products from memory, carts in Redis. `/metrics` for Prometheus."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest

PRODUCTS = [{"id": "1", "name": "Teapot"}, {"id": "2", "name": "Cup"}]
REQUESTS = Counter("shop_requests_total", "Requests by what was asked and how it ended.", ["what", "outcome"])
carts = redis.Redis(os.environ["REDIS_HOST"], socket_timeout=0.5, socket_connect_timeout=0.5)


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, {"status": "ok"})
        elif self.path == "/metrics":
            self._send(200, generate_latest(), CONTENT_TYPE_LATEST)
        elif self.path == "/products":
            REQUESTS.labels("products", "ok").inc()
            self._answer(200, PRODUCTS)
        elif self.path.startswith("/carts/"):
            self._cart(lambda key: {"items": [item.decode() for item in carts.lrange(key, 0, -1)]}, 200)
        else:
            self._answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.path.startswith("/carts/"):
            self._answer(404, {"error": "no such page"})
            return
        item = str(json.loads(body or b"{}").get("product", "1"))
        self._cart(lambda key: {"items": carts.rpush(key, item)}, 201)

    def _cart(self, work, status: int) -> None:
        try:
            done = work("cart:" + self.path.removeprefix("/carts/")[:64])
        except redis.RedisError as error:
            REQUESTS.labels("cart", "failed").inc()
            self._answer(503, {"error": f"carts are not available: {type(error).__name__}"})
            return
        REQUESTS.labels("cart", "ok").inc()
        self._answer(status, done)

    def _answer(self, status: int, value: object) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


ThreadingHTTPServer(("", 8000), Shop).serve_forever()
