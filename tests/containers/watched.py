"""A tavern that a real Prometheus and Alertmanager watch, as containers beside it."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import ClassVar

from containers.tavern import ENVIRONMENT, RULES, Tavern
from containers.worlds import World
from detectors.real_stack import is_quiet, silence
from gameday.targets.ports import find_free_ports
from process.inn import until

PROMETHEUS = """
global: {scrape_interval: 500ms, evaluation_interval: 500ms}
rule_files: [/etc/prometheus/rules.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["PREFIX-alertmanager-1:9093"]}]}]}
scrape_configs: [{job_name: bar, static_configs: [{targets: ["PREFIX-bar-1:8000"]}]}]
"""
ALERTMANAGER = """
route: {receiver: none, group_wait: 100ms, group_interval: 1s}
receivers: [{name: none}]
"""
WATCHERS = """
  prometheus:
    docker: {labels: {gameday.test: PREFIX, component: prometheus}}
    port: 9090
    ready: {http: /-/ready, within: 20s}
  alertmanager:
    docker: {labels: {gameday.test: PREFIX, component: alertmanager}}
    port: 9093
    ready: {http: /-/ready, within: 20s}
probes:
"""
DETECTOR = """
detector:
  kind: prometheus
  component: prometheus
  alertmanager: {component: alertmanager, every: 100ms}
"""


class WatchedTavern(Tavern):
    """Its alert is Prometheus'."""

    ports: ClassVar[dict[str, int]]

    def __init__(self, root: Path, world: World) -> None:
        super().__init__(root, world)
        found = find_free_ports(2)
        self.urls = {
            name: f"http://127.0.0.1:{port}"
            for name, port in zip(("prometheus", "alertmanager"), found, strict=True)
        }
        for name, text in (("prometheus", PROMETHEUS), ("alertmanager", ALERTMANAGER)):
            self.write(f"{name}.yml", text.replace("PREFIX", world.prefix))
        for name, port, inside in (("prometheus", found[0], 9090), ("alertmanager", found[1], 9093)):
            files = {str(root / f"{name}.yml"): f"/etc/{name}/{name}.yml"}
            if name == "prometheus":
                files[str(root / "rules.yaml")] = "/etc/prometheus/rules.yaml"
            world.run(
                name,
                image=f"prom/{name}:latest",
                command=None,
                init=False,
                ports={f"{inside}/tcp": ("127.0.0.1", port)},
                volumes={path: {"bind": there, "mode": "ro"} for path, there in files.items()},
            )
        for name in self.urls:
            until(lambda name=name: self._ready(name), 30, f"{name} is ready")

    def write_all(self) -> None:
        super().write_all()
        head, _ = ENVIRONMENT.split("detector:")
        text = head.replace("\nprobes:\n", WATCHERS, 1) + DETECTOR.lstrip("\n")
        self.write("environments/tavern.yaml", text.replace("PREFIX", self.world.prefix))
        self.write(
            "rules.yaml", RULES.replace("failed_drinks_total[2s]", 'failed_drinks_total{job="bar"}[2s]')
        )

    def is_quiet(self) -> bool:
        """No alert is active, nor was one told and not yet taken back."""
        try:
            return is_quiet(self.urls["prometheus"], self.urls["alertmanager"])
        except OSError:
            return False

    def silence(self, alert: str) -> str:
        """For an hour; the silence's id."""
        return silence(self.urls["alertmanager"], alert)

    def expire(self, silence: str) -> None:
        url = f"{self.urls['alertmanager']}/api/v2/silence/{silence}"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=5).close()

    def _ready(self, name: str) -> bool:
        try:
            urllib.request.urlopen(f"{self.urls[name]}/-/ready", timeout=1).close()
        except OSError:
            return False
        return True
