"""The hotel in Docker: its files agree with each other, and with the hotel as local processes. No engine is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOTEL = ROOT / "examples" / "hotel"
ONCE = {"backup", "api-broken"}
"""Services that end."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


COMPOSE = read(HOTEL / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROXY = read(HOTEL / "docker" / "network.yaml")
PROMETHEUS = read(HOTEL / "docker" / "prometheus.yml")
IN_DOCKER = read(ROOT / "environments" / "hotel-docker.yaml")
LOCAL = read(ROOT / "environments" / "hotel-local.yaml")


def published() -> dict[str, tuple[str, int]]:
    """Variable and the container's port, by service."""
    found = {}
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            match = re.fullmatch(r"127\.0\.0\.1:\$\{([A-Z_]+):-\d+\}:(\d+)", port)
            assert match is not None, f"{name}: {port} is not on loopback, or has no variable"
            found[name] = (match[1], int(match[2]))
    return found


def shortened(corrected: str) -> str:
    """Every `for` and every window divided by ten; a window keeps four scrapes of a second."""
    kept = [line for line in corrected.splitlines(keepends=True) if not line.lstrip().startswith("#")]
    text = re.sub(r"(?m)(?<= for: )(\d+)s$", lambda at: f"{int(at[1]) // 10}s", "".join(kept))
    return re.sub(r"\[(\d+)m\]", lambda at: f"[{max(4, int(at[1]) * 6)}s]", text)


def durations(rules: str) -> list[int]:
    """Every `for` and window in seconds, in the file's order."""
    found = re.findall(r"(?m)^\s+for: (\d+)(s|m|h)$|\[(\d+)(s|m|h)\]", re.sub(r"(?m)^\s*#.*$", "", rules))
    return [int(a or c) * {"s": 1, "m": 60, "h": 3600}[b or d] for a, b, c, d in found]


# --- rules ------------------------------------------------------------------------------------------------


def test_the_shortened_rules_are_the_corrected_ones_at_a_tenth_of_the_time() -> None:
    corrected = (HOTEL / "rules" / "corrected.yaml").read_text()
    text = (HOTEL / "rules" / "shortened.yaml").read_text()
    assert "".join(line for line in text.splitlines(keepends=True) if line[0] != "#") == shortened(corrected)
    assert [10 * short for short in durations(text)] == durations(corrected)
    assert len(durations(text)) == 23


def test_a_window_is_never_shorter_than_four_scrapes() -> None:
    assert shortened("expr: rate(a[1m])\n") == "expr: rate(a[6s])\n"
    assert shortened("expr: rate(a[0m])\n    for: 180s\n") == "expr: rate(a[4s])\n    for: 18s\n"


# --- the compose file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_what_runs_on_is_restarted_and_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"]


def test_what_ends_is_waited_for_and_not_restarted() -> None:
    waited_for = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert waited_for == ONCE
    assert not [name for name in ONCE if "restart" in SERVICES[name]]


def test_no_service_gains_privileges_and_the_hotels_own_have_none() -> None:
    for name in set(SERVICES) - {"api-broken"}:
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"], name
    for name in ("api", "pms", "whatsapp", "load", "network"):
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert int(service["user"].partition(":")[0]) > 0, name


def test_every_file_that_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source, target, *_ = volume.replace("${RULES:-corrected}", "corrected").split(":")
            assert (HOTEL / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"], (
                volume
            )
            assert target.startswith("/")


def test_the_memory_limit_leaves_the_leak_of_the_drill_room() -> None:
    leak = re.fullmatch(r"(\d+)MiB", read(ROOT / "scenarios" / "memory-leak.yaml")["fault"]["up_to_bytes"])
    limit = re.fullmatch(r"(\d+)g", SERVICES["api"]["mem_limit"])
    assert leak is not None
    assert limit is not None
    assert int(limit[1]) * 1024 >= int(leak[1]) + 512


def test_the_apis_disk_is_kept_by_another_container_and_belongs_to_its_user() -> None:
    options = dict(part.split("=") for part in COMPOSE["volumes"]["audit"]["driver_opts"]["o"].split(","))
    assert f"{options['uid']}:{options['gid']}" == SERVICES["api"]["user"]
    assert options["size"] == LOCAL["components"]["api"]["disk"]["size"].replace("MiB", "m")
    assert "audit:/audit:ro" in SERVICES["network"]["volumes"]


def test_the_image_gets_the_versions_of_the_lock() -> None:
    pin = r"(?m)^([a-z0-9-]+)==([^ \n]+)"
    locked = dict(re.findall(pin, (ROOT / "requirements" / "run.lock").read_text()))
    pinned = dict(re.findall(pin, (HOTEL / "docker" / "requirements.txt").read_text()))
    assert {"fastapi", "httpx", "psycopg", "psycopg-pool", "redis", "uvicorn", "uvloop"} <= set(pinned)
    assert pinned.items() <= locked.items()


# --- as in the hotel as local processes --------------------------------------------------------------------


def test_the_services_have_the_settings_of_the_local_ones() -> None:
    where = {"HOST", "PORT", "DATA_DIR", "DISK_QUOTA_BYTES", "TARGET_URL", "WEBHOOK_URL", "ADMIN_TOKEN"}
    where |= {"DATABASE_URL", "CACHE_URL", "PMS_URL", "WHATSAPP_URL"}
    for name in ("api", "pms", "whatsapp", "load"):
        local = LOCAL["components"][name]
        here = SERVICES[name]["environment"]
        assert {key: here[key] for key in here if key not in where} == {
            key: value for key, value in local["env"].items() if key not in where
        }
        assert SERVICES[name]["command"] == ["python", *local["command"][1:]]
    settings = LOCAL["components"]["database"]["postgresql"]["settings"]
    command = SERVICES["database"]["command"]
    assert {f"{key}={value}" for key, value in settings.items()} <= set(command)


def test_probes_canary_switches_and_disk_are_those_of_the_local_hotel() -> None:
    for part in ("probes", "canary", "drills"):
        assert IN_DOCKER[part] == LOCAL[part], part
    assert set(LOCAL["components"]) <= set(IN_DOCKER["components"])
    for name, local in LOCAL["components"].items():
        here = IN_DOCKER["components"][name]
        for part in ("tier", "switch", "operator"):
            assert here.get(part) == local.get(part), f"{name}.{part}"
    api, local_api = IN_DOCKER["components"]["api"], LOCAL["components"]["api"]
    assert api["disk"]["disposable"] == local_api["disk"]["disposable"]
    assert f"audit:{api['disk']['path']}" in SERVICES["api"]["volumes"]
    assert set(api["versions"]) == set(local_api["versions"])


def test_prometheus_scrapes_and_evaluates_as_the_embedded_detector_does() -> None:
    every = LOCAL["detector"]["every"]
    assert PROMETHEUS["global"] == {"scrape_interval": every, "evaluation_interval": every}
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in PROMETHEUS["scrape_configs"]}
    assert jobs == {scrape["job"]: [f"{scrape['component']}:8100"] for scrape in LOCAL["detector"]["scrape"]}


# --- the environment ---------------------------------------------------------------------------------------


def test_the_environment_names_services_and_their_published_ports() -> None:
    for name, component in IN_DOCKER["components"].items():
        service = component["docker"]["service"]
        assert component.get("port") == published().get(service, (None, None))[1], name
    variables = [variable for variable, _ in published().values()]
    assert sorted(IN_DOCKER["compose"]["ports"]) == sorted([*variables, "WEBHOOK_PORT"])
    assert IN_DOCKER["compose"]["file"] == "examples/hotel/compose.yaml"


def test_every_variable_without_a_default_is_given_by_the_environment() -> None:
    text = (HOTEL / "compose.yaml").read_text()
    needed = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert needed == {"ADMIN_TOKEN", "DATABASE_PASSWORD"}
    assert needed | {"WEBHOOK_SECRET"} == set(IN_DOCKER["compose"]["env"])


def test_the_api_goes_through_the_proxys_links_that_the_environment_names() -> None:
    proxied = {link["name"]: link for link in PROXY["links"]}
    by_proxy = [link for link in IN_DOCKER["links"] if "via" in link]
    assert {link["name"] for link in by_proxy} == set(proxied)
    for link in by_proxy:
        server = SERVICES[link["server"]]
        assert server["ports"][0].endswith(f":{proxied[link['name']]['upstream'].partition(':')[2]}")
        assert proxied[link["name"]]["upstream"].partition(":")[0] == link["server"]
        assert proxied[link["name"]]["listen"] == f"0.0.0.0:{link['port']}"
        url = SERVICES["api"]["environment"][f"{link['server'].upper()}_URL"]
        assert f"{link['via']}:{link['port']}" in url
    assert {(link["client"], link["server"]) for link in IN_DOCKER["links"]} == {
        (link["client"], link["server"]) for link in LOCAL["links"]
    }


def test_what_is_started_after_what_is_the_same_in_both_files() -> None:
    for name, component in IN_DOCKER["components"].items():
        services = set(SERVICES[component["docker"]["service"]].get("depends_on", {})) - ONCE
        assert set(component.get("after", ())) == services, name


def test_the_broken_release_is_one_that_bringing_the_project_up_builds() -> None:
    broken = IN_DOCKER["components"]["api"]["versions"]["broken"]["image"]
    service = SERVICES["api-broken"]
    assert service["image"].replace("${HOTEL_IMAGE:-hotel-agent}", "hotel-agent") == broken
    assert "profiles" not in service
    targets = re.findall(r"(?m)^FROM \S+ AS (\w+)$", (HOTEL / "Dockerfile").read_text())
    assert {SERVICES["api"]["build"]["target"], service["build"]["target"]} == set(targets)


def test_alertmanager_sends_where_the_environment_listens() -> None:
    receiver = read(HOTEL / "docker" / "alertmanager.yml")["receivers"][0]["webhook_configs"][0]
    webhook = IN_DOCKER["detector"]["webhook"]
    assert receiver["url"] == f"http://host.docker.internal:@PORT@{webhook['path']}/@SECRET@"
    assert receiver["send_resolved"] is True
    assert webhook["listen"].endswith(":${WEBHOOK_PORT}")
    assert webhook["secret"] == IN_DOCKER["compose"]["env"]["WEBHOOK_SECRET"]
    script = (HOTEL / "docker" / "alertmanager.sh").read_text()
    for word in ("PORT", "SECRET"):
        assert f"s|@{word}@|$WEBHOOK_{word}|" in script
        assert f"WEBHOOK_{word}" in SERVICES["alertmanager"]["environment"]


def test_the_backup_is_where_the_environment_says() -> None:
    settings = IN_DOCKER["components"]["database"]["database"]
    assert f"data:{settings['data']}" in SERVICES["database"]["volumes"]
    assert f"mv {settings['backup']}.new {settings['backup']}" in (HOTEL / "docker" / "backup.sh").read_text()
    command = next(word for word in SERVICES["database"]["command"] if word.startswith("archive_command="))
    assert command.count(f"{settings['archive']}/%f") == 5
