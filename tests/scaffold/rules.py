"""What a Prometheus answers about its rules, and a server that answers it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gameday.detectors.prometheus_rules import RuleReading, read_rules_answer

CONFIG = "scrape_configs:\n- job_name: shop-api\n  scrape_interval: 5s\n"


def rule(
    name: str,
    expression: str,
    *,
    for_s: float = 0,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    state: str = "inactive",
) -> dict[str, Any]:
    """One rule, as /api/v1/rules has it."""
    active = [
        {"labels": {"alertname": name}, "annotations": {}, "state": state, "value": "1e+00"}
        | {"activeAt": "2026-03-01T10:00:00Z"}
    ]
    return {
        "type": "alerting",
        "name": name,
        "query": expression,
        "duration": for_s,
        "keepFiringFor": 0,
        "labels": dict(labels or {}),
        "annotations": dict(annotations or {}),
        "alerts": [] if state == "inactive" else active,
        "health": "ok",
        "state": state,
        "evaluationTime": 0.001,
        "lastEvaluation": "2026-03-01T10:00:00Z",
    }


def answer(*rules: Mapping[str, Any], interval_s: float = 10) -> dict[str, Any]:
    group = {"name": "g", "file": "rules.yaml", "interval": interval_s, "rules": list(rules)}
    return {"status": "success", "data": {"groups": [group]}}


def read(*rules: Mapping[str, Any], interval_s: float = 10) -> tuple[RuleReading, ...]:
    return read_rules_answer(answer(*rules, interval_s=interval_s))


@contextmanager
def serving(*rules: Mapping[str, Any]) -> Iterator[str]:
    """The URL of a server that has these rules; it says nothing else, as many that speak this API do."""
    config = json.dumps({"status": "success", "data": {"yaml": CONFIG}}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = {"lastEvaluation": datetime.now(UTC).isoformat()}
            body = json.dumps(answer(*({**rule, **now} for rule in rules))).encode()
            known = {"/api/v1/rules": body, "/api/v1/status/config": config}
            found = known.get(self.path.partition("?")[0])
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(found or b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library names it
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
