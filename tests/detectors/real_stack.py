"""A real Prometheus and Alertmanager (Debian's packages) with short intervals, in a folder that a test gives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from detectors.metrics_server import MetricsServer

PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
SCRAPE_S, EVALUATION_S, FOR_S, WAIT_S = 0.5, 1.0, 2.0, 0.3
NEEDS_SERVERS = pytest.mark.skipif(
    PROMETHEUS is None or ALERTMANAGER is None,
    reason="no Prometheus and Alertmanager on PATH (Debian: prometheus, prometheus-alertmanager)",
)
QUIET = "busy 0\nkept 0\nleft 0\nright 0\n"

_CONFIG = """
global: {{scrape_interval: 500ms, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: app, static_configs: [{{targets: ["127.0.0.1:{app}"]}}]}}]
"""
_RULES = """
groups:
- name: one
  rules:
  - alert: busy
    expr: busy{job="app"} > 0
    for: 2s
    labels: {severity: SEV1}
    annotations: {runbook_url: runbooks/01-busy.md}
  - {alert: kept, expr: 'kept{job="app"} > 0', keep_firing_for: 3s}
- name: two
  interval: 500ms
  rules:
  - {alert: mixed, expr: 'left * on(job) right > 0'}
"""
_ROUTES = """
route: {{receiver: hook, group_by: [alertname], group_wait: 300ms, group_interval: 1s}}
receivers: [{{name: hook, webhook_configs: [{{url: "http://127.0.0.1:{hook}/told/hush", send_resolved: true}}]}}]
inhibit_rules: [{{source_matchers: [alertname=busy], target_matchers: [alertname=kept]}}]
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class RealStack:
    """Both servers and the application that they watch. `close` ends what `open` started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = MetricsServer()
        self.port, self.alertmanager_port, self.hook_port = free_port(), free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def alertmanager_url(self) -> str:
        return f"http://127.0.0.1:{self.alertmanager_port}"

    def open(self) -> None:
        self.app.page = QUIET
        self.app.start()
        names = {"alertmanager": self.alertmanager_port, "app": self.app.port, "hook": self.hook_port}
        (self.folder / "prometheus.yml").write_text(_CONFIG.format(**names))
        (self.folder / "rules.yml").write_text(_RULES)
        (self.folder / "alertmanager.yml").write_text(_ROUTES.format(**names))
        self.start_alertmanager()
        self.start_prometheus()
        self._wait(f"{self.url}/-/ready")
        self.until_quiet()

    def start_alertmanager(self) -> None:
        self._start(
            "alertmanager",
            [str(ALERTMANAGER), "--config.file=alertmanager.yml", "--storage.path=am"],
            [f"--web.listen-address=127.0.0.1:{self.alertmanager_port}", "--cluster.listen-address="],
        )
        self._wait(f"{self.alertmanager_url}/-/ready")

    def forget_groups(self) -> None:
        """Restart Alertmanager: it keeps an empty group for half a minute, and has no `group_wait` in one it has."""
        self.signal("alertmanager", signal.SIGKILL)
        self.start_alertmanager()

    def start_prometheus(self) -> None:
        self._start(
            "prometheus",
            [str(PROMETHEUS), "--config.file=prometheus.yml", "--storage.tsdb.path=data"],
            [f"--web.listen-address=127.0.0.1:{self.port}"],
        )

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self._processes[name].pid, number)
        if number is signal.SIGKILL:
            self._processes[name].wait(10)

    def close(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(10)
        self.app.close()

    def until_quiet(self) -> None:
        """Every rule was evaluated and none is active, and Alertmanager has none."""
        self.app.page = QUIET
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if is_quiet(self.url, self.alertmanager_url):
                return
            time.sleep(0.2)
        raise AssertionError("the stack did not become quiet within 30 s")

    def silence(self, alert: str) -> str:
        """Silence it for an hour; the silence's id."""
        return silence(self.alertmanager_url, alert)

    def expire(self, silence: str) -> None:
        request = urllib.request.Request(f"{self.alertmanager_url}/api/v2/silence/{silence}", method="DELETE")
        urllib.request.urlopen(request, timeout=5).close()

    def _start(self, name: str, command: list[str], more: list[str]) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._processes[name] = subprocess.Popen(
                [*command, *more], cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(url, timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return


def ask(url: str) -> Any:
    """The JSON that a server answers."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def is_quiet(prometheus: str, alertmanager: str) -> bool:
    """Every rule was evaluated and none is active, and Alertmanager has none."""
    groups = ask(f"{prometheus}/api/v1/rules?type=alert")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    quiet = all(rule["health"] == "ok" and rule["state"] == "inactive" for rule in rules)
    return bool(rules) and quiet and not ask(f"{alertmanager}/api/v2/alerts")


def silence(alertmanager: str, alert: str) -> str:
    """Silence an alert for an hour; the silence's id."""
    now = datetime.now(UTC)
    wanted = {
        "matchers": [{"name": "alertname", "value": alert, "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "anna",
        "comment": "maintenance",
    }
    request = urllib.request.Request(
        f"{alertmanager}/api/v2/silences", json.dumps(wanted).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(json.load(answer)["silenceID"])
