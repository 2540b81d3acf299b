"""The hotel in Kubernetes: its files agree with each other, with the compose project, and with how pods should be. No
cluster is asked.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.targets.kubernetes.kustomize import render

ROOT = Path(__file__).parents[2]
HOTEL = ROOT / "examples" / "hotel"
OVERLAYS = HOTEL / "kubernetes" / "overlays"
LONGEST_DRILL_S = 5 * 3600
"""The longest time-to-live of a fault."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


COMPOSE = read(HOTEL / "compose.yaml")["services"]
ENVIRONMENT = read(ROOT / "environments" / "hotel-kubernetes.yaml")
IN_DOCKER = read(ROOT / "environments" / "hotel-docker.yaml")
PROXY = read(HOTEL / "kubernetes" / "base" / "files" / "network.yaml")
ALL = {path.parent.name: render(path.parent) for path in OVERLAYS.glob("static/*/kustomization.yaml")}
STATIC = ALL["corrected"]
HOTELS = [one for one in STATIC if one["metadata"].get("namespace") == "hotel"]
WORKLOADS = {one["metadata"]["name"]: one for one in HOTELS if one["kind"] in ("Deployment", "StatefulSet")}
SERVICES = {one["metadata"]["name"]: one for one in HOTELS if one["kind"] == "Service"}
PODS = {name: one["spec"]["template"]["spec"] for name, one in WORKLOADS.items()}


def containers() -> list[Any]:
    return [
        pytest.param(one, id=f"{name}-{one['name']}")
        for name, pod in PODS.items()
        for one in pod["containers"]
    ]


def container(workload: str, name: str | None = None) -> dict[str, Any]:
    return next(one for one in PODS[workload]["containers"] if one["name"] == (name or workload))


def environ(workload: str) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(workload)["env"]}


# --- how pods should be ---------------------------------------------------------------------------------------


def test_the_namespace_allows_drills_and_is_restricted() -> None:
    [one] = [one for one in STATIC if one["kind"] == "Namespace" and one["metadata"]["name"] == "hotel"]
    labels = one["metadata"]["labels"]
    assert labels["gameday.dev/allow"] == "true"
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_token_no_root_and_a_seccomp_profile(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "variables such as DATABASE_PORT would be settings"
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in [*pod.get("initContainers", ()), *pod["containers"]]:
        assert one["securityContext"]["allowPrivilegeEscalation"] is False
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert set(one["resources"]["requests"]) == set(one["resources"]["limits"]) == {"cpu", "memory"}
        assert one["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("one", containers())
def test_a_container_has_probes_and_none_heals_what_a_drill_broke(one: dict[str, Any]) -> None:
    assert one["readinessProbe"]
    liveness = one["livenessProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] > LONGEST_DRILL_S


def test_no_drill_lasts_longer_than_a_liveness_probe_waits() -> None:
    units = {"s": 1, "m": 60, "h": 3600}
    times = [
        int(found[1]) * units[found[2]]
        for path in (ROOT / "scenarios").rglob("*.yaml")
        for found in re.finditer(r"ttl: (\d+)([smh])", path.read_text())
    ]
    assert max(times) <= LONGEST_DRILL_S


def test_the_api_stays_in_its_service_when_what_it_needs_is_down() -> None:
    assert container("api")["readinessProbe"]["httpGet"]["path"] == "/health/live"


def test_services_have_node_ports_that_the_cluster_chooses() -> None:
    for name, service in SERVICES.items():
        assert service["spec"]["type"] == "NodePort", name
        assert not [port for port in service["spec"]["ports"] if "nodePort" in port], name


# --- as in compose --------------------------------------------------------------------------------------------


def test_the_hotels_own_have_the_settings_and_images_of_the_compose_project() -> None:
    where = {"DATABASE_URL", "CACHE_URL", "PMS_URL", "ADMIN_TOKEN", "DATABASE_PASSWORD"}
    for name in ("api", "pms", "whatsapp", "load"):
        there = COMPOSE[name]["environment"]
        here = environ(name)
        assert {key: here[key] for key in here if key not in where} == {
            key: value for key, value in there.items() if key not in where
        }
        assert container(name)["command"] == COMPOSE[name]["command"]
        assert container(name)["image"] == COMPOSE[name]["image"].replace(
            "${HOTEL_IMAGE:-hotel-agent}", "hotel-agent"
        )
        user, _, group = COMPOSE[name]["user"].partition(":")
        assert PODS[name]["securityContext"]["runAsUser"] == int(user)
        assert PODS[name]["securityContext"]["runAsGroup"] == int(group)
    proxy = container("api", "network")
    assert proxy["command"] == COMPOSE["network"]["command"]
    assert proxy["image"] in COMPOSE["network"]["image"]


def test_database_and_cache_are_configured_as_in_the_compose_project() -> None:
    here = container("database")["args"]
    there = COMPOSE["database"]["command"]
    assert set(here) - set(there) == {"checkpoint_timeout=30"}
    at = here.index("checkpoint_timeout=30")
    assert here[: at - 1] + here[at + 1 :] == there
    assert container("cache")["args"] == COMPOSE["cache"]["command"]
    for name in ("database", "cache", "prometheus", "alertmanager"):
        assert container(name)["image"] == COMPOSE[name]["image"]
    memory = container("api")["resources"]["limits"]["memory"]
    assert memory == COMPOSE["api"]["mem_limit"].replace("g", "Gi")


def test_the_disk_of_the_api_is_as_small_as_in_the_compose_project() -> None:
    volume = next(one for one in PODS["api"]["volumes"] if one["name"] == "audit")
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "32Mi"}
    mounts = {one["mountPath"]: one["name"] for one in container("api")["volumeMounts"]}
    assert mounts[ENVIRONMENT["components"]["api"]["disk"]["path"]] == "audit"


@pytest.mark.parametrize("rules", ["corrected", "shortened"])
def test_an_overlay_chooses_the_rules_and_changes_nothing_else(rules: str) -> None:
    [prometheus] = [
        one for one in ALL[rules] if one["metadata"]["name"] == "prometheus" and one["kind"] == "Deployment"
    ]
    [configuration] = [
        one for one in prometheus["spec"]["template"]["spec"]["volumes"] if one["name"] == "configuration"
    ]
    chosen = configuration["projected"]["sources"][0]["configMap"]
    assert chosen["items"] == [{"key": f"{rules}.yaml", "path": "rules.yaml"}]
    [kept] = [one for one in ALL[rules] if one["metadata"]["name"] == chosen["name"]]
    assert kept["data"][f"{rules}.yaml"] == (HOTEL / "rules" / f"{rules}.yaml").read_text()

    def but_prometheus(overlay: str) -> list[dict[str, Any]]:
        return [
            one
            for one in ALL[overlay]
            if (one["kind"], one["metadata"]["name"]) != ("Deployment", "prometheus")
        ]

    assert but_prometheus(rules) == but_prometheus("corrected")


def test_the_scripts_are_those_of_the_compose_project() -> None:
    kept = {key: text for one in HOTELS if one["kind"] == "ConfigMap" for key, text in one["data"].items()}
    for name in ("database.sh", "database-init.sh", "backup.sh", "prometheus.yml"):
        assert kept[name] == (HOTEL / "docker" / name).read_text()


# --- the environment --------------------------------------------------------------------------------------------


def test_the_environment_names_workloads_containers_and_ports_that_are_there() -> None:
    for name, component in ENVIRONMENT["components"].items():
        selector = component["kubernetes"]
        kind, _, workload = selector["workload"].partition("/")
        assert WORKLOADS[workload]["kind"].lower() == kind, name
        assert container(workload, selector.get("container"))
        if "port" in component:
            [port] = SERVICES[component.get("service", name)]["spec"]["ports"]
            assert port["port"] == component["port"]
            assert SERVICES[name]["spec"]["selector"] == {"app": workload}


def test_everything_but_where_it_is_is_as_in_docker() -> None:
    for part in ("probes", "canary", "drills", "links"):
        assert ENVIRONMENT[part] == IN_DOCKER[part], part
    assert set(ENVIRONMENT["components"]) == set(IN_DOCKER["components"])
    for name, there in IN_DOCKER["components"].items():
        here = ENVIRONMENT["components"][name]
        for part in ("tier", "switch", "operator", "port", "url", "disk", "versions"):
            assert here.get(part) == there.get(part), f"{name}.{part}"
        assert set(here.get("after", ())) == set(there.get("after", ())) - {"network"}, name


def test_the_api_goes_through_the_proxys_links_that_the_environment_names() -> None:
    proxied = {link["name"]: link for link in PROXY["links"]}
    by_proxy = [link for link in ENVIRONMENT["links"] if "via" in link]
    assert {link["name"] for link in by_proxy} == set(proxied)
    for link in by_proxy:
        [port] = SERVICES[link["server"]]["spec"]["ports"]
        assert proxied[link["name"]]["upstream"] == f"{link['server']}:{port['port']}"
        assert proxied[link["name"]]["listen"] == f"127.0.0.1:{link['port']}"
        assert f"127.0.0.1:{link['port']}" in environ("api")[f"{link['server'].upper()}_URL"]


def test_data_and_backup_are_where_the_environment_says() -> None:
    settings = ENVIRONMENT["components"]["database"]["database"]
    mounts = {one["name"]: one["mountPath"] for one in container("database")["volumeMounts"]}
    assert settings["data"] == environ("database")["PGDATA"]
    assert settings["data"].startswith(f"{mounts['data']}/")
    assert settings["backup"] == f"{mounts['backup']}/base"
    assert settings["archive"] == f"{mounts['backup']}/archive"
    claims = {
        one["name"]: one["persistentVolumeClaim"]["claimName"]
        for one in PODS["database"]["volumes"]
        if "persistentVolumeClaim" in one
    }
    assert set(claims) == {"data", "backup"}


def test_every_claim_has_a_volume_where_none_are_provisioned() -> None:
    claims = {
        one["metadata"]["name"]: one["spec"] for one in HOTELS if one["kind"] == "PersistentVolumeClaim"
    }
    volumes = {
        one["spec"]["claimRef"]["name"]: one["spec"] for one in STATIC if one["kind"] == "PersistentVolume"
    }
    assert claims.keys() == volumes.keys()
    made = next(one for one in STATIC if one["metadata"]["name"] == "make-folders")
    removed = next(one for one in STATIC if one["metadata"]["name"] == "remove-folders")
    for name, spec in volumes.items():
        assert claims[name]["storageClassName"] == spec["storageClassName"] == ""
        assert claims[name]["resources"]["requests"]["storage"] == spec["capacity"]["storage"]
        for job in (made, removed):
            folder = job["spec"]["template"]["spec"]["volumes"][0]["hostPath"]["path"]
            command = job["spec"]["template"]["spec"]["containers"][0]["command"]
            assert f"/volumes/{name}" in command
            assert spec["local"]["path"] == f"{folder}/{name}"
    assert removed["spec"]["suspend"] is True
    assert removed["metadata"]["annotations"] == {"gameday.dev/run": "down"}


def test_the_versions_that_drills_roll_out_are_built_when_the_hotel_is_brought_up() -> None:
    built = ENVIRONMENT["kubernetes"]["images"]
    wanted = {
        version["image"]
        for version in ENVIRONMENT["components"]["api"]["versions"].values()
        if "image" in version
    }
    assert wanted | {"hotel-agent:local"} == set(built)
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\w+)$", (HOTEL / "Dockerfile").read_text()))
    assert {build["target"] for build in built.values()} == stages


# --- what drills may do -----------------------------------------------------------------------------------------


def test_the_roles_are_those_that_its_scenarios_need() -> None:
    scenarios = sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))
    command = [sys.executable, "-m", "gameday", "rbac", "-e", "hotel-kubernetes"]
    command += [word for name in scenarios for word in ("-s", name)]

    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "CONTEXT": "any"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    file = HOTEL / "kubernetes" / "base" / "rbac.yaml"
    assert list(yaml.safe_load_all(file.read_text())) == list(yaml.safe_load_all(done.stdout))
