"""What is asked of Chaos Mesh, and which of its answers counts as a fault in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gameday.fault_spec import DelayFault, LoseFault, NetworkFault, PartitionFault, ThrottleFault
from gameday.fields import parse
from gameday.targets.kubernetes.chaos_mesh import can_slow, resource, ways, why_not
from gameday.targets.kubernetes.policies import End, Point

SERVER = End("database", {"app": "database"}, (Point({"app": "database"}, ("10.1.0.7",)),))
CLIENT = End("api", {"app": "api", "tier": "one"}, (Point({"app": "api", "tier": "one"}, ("10.1.0.8",)),))
PODS = ("api-1", "api-2")


def spec_of(kind: type[NetworkFault], ttl_s: float = 60.0, **fields: Any) -> list[dict[str, Any]]:
    fault = parse(kind, fields)
    found = ways(fault, SERVER, CLIENT, ("10.43.0.9", "fd00::9"))
    return [resource({"name": "x"}, fault, way, "shop", ttl_s)["spec"] for way in found]


def test_a_delay_is_one_way_from_the_client_to_the_servers_pods_and_its_service() -> None:
    assert spec_of(DelayFault, delay="database", client="api", by="1200ms", jitter="400ms") == [
        {
            "action": "delay",
            "delay": {"latency": "1200ms", "jitter": "400ms", "correlation": "0"},
            "mode": "all",
            "selector": {"namespaces": ["shop"], "labelSelectors": {"app": "api", "tier": "one"}},
            "direction": "to",
            "target": {
                "mode": "all",
                "selector": {"namespaces": ["shop"], "labelSelectors": {"app": "database"}},
            },
            "duration": "60s",
            "externalTargets": ["10.43.0.9/32", "fd00::9/128"],
        }
    ]


def test_a_loss_acts_in_both_directions_and_only_the_client_goes_by_way_of_a_service() -> None:
    there, back = spec_of(LoseFault, lose="database", client="api", percent=5)
    assert there["loss"] == back["loss"] == {"loss": "5", "correlation": "0"}
    assert there["direction"] == back["direction"] == "to", "services may be named for what leaves only"
    assert back["selector"] == there["target"]["selector"]
    assert back["target"]["selector"] == there["selector"]
    assert "externalTargets" not in back


@pytest.mark.parametrize(
    ("by", "ttl_s", "latency", "duration"),
    [("2s", 1200.0, "2000ms", "1200s"), ("0.5ms", 0.2, "500us", "1s"), ("1m", 59.01, "60000ms", "60s")],
)
def test_times_are_as_go_reads_them_and_never_shorter_than_wanted(
    by: str, ttl_s: float, latency: str, duration: str
) -> None:
    (spec,) = spec_of(DelayFault, ttl_s, delay="database", client="api", by=by)
    assert (spec["delay"]["latency"], spec["duration"]) == (latency, duration)


def test_a_service_without_an_address_is_no_target() -> None:
    fault = parse(DelayFault, {"delay": "database", "client": "api", "by": "1s"})
    (way,) = ways(fault, SERVER, CLIENT, ())
    assert "externalTargets" not in resource({}, fault, way, "shop", 1.0)["spec"]


def test_what_it_is_used_for() -> None:
    assert can_slow(parse(LoseFault, {"lose": "database", "percent": 1}))
    assert not can_slow(parse(ThrottleFault, {"throttle": "database", "bytes_per_s": 1}))
    assert not can_slow(parse(PartitionFault, {"partition": "database", "how": "reset"}))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (DelayFault, {"delay": "database", "by": "1200ms", "jitter": "0.5ms"}),
        (LoseFault, {"lose": "database", "percent": 100}),
    ],
)
def test_it_is_of_the_schema_that_chaos_mesh_publishes(
    kind: type[NetworkFault], fields: dict[str, Any]
) -> None:
    definition = yaml.safe_load((Path(__file__).parents[1] / "cluster" / "networkchaos.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    for spec in spec_of(kind, client="api", **fields):
        jsonschema.validate({"spec": spec}, schema)
        assert spec.keys() <= schema["properties"]["spec"]["properties"].keys()
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"spec": {**spec, "direction": "towards"}}, schema)


# --- whether it is in force -------------------------------------------------------------------------------------


def record(pod: str, phase: str = "Injected", key: str = ".", message: str = "") -> dict[str, Any]:
    events = [{"operation": "Apply", "type": "Failed", "message": message}] if message else []
    return {"id": f"shop/{pod}", "selectorKey": key, "phase": phase, "events": events}


def told(*records: dict[str, Any], injected: str = "True") -> dict[str, Any]:
    conditions = [{"type": "AllInjected", "status": injected}, {"type": "Selected", "status": "True"}]
    return {"status": {"conditions": conditions, "experiment": {"containerRecords": list(records)}}}


TARGET = record("database-0", key=".Target")


def test_it_is_in_force_when_it_is_so_in_each_pod_of_the_client() -> None:
    assert why_not(told(record("api-1"), record("api-2"), TARGET), PODS) == ""


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, "nobody has taken it up"),
        ({"status": {"experiment": {}}}, "nobody has taken it up"),
        (told(injected="False"), "AllInjected is False, Selected is True, not in api-1, api-2"),
        (told(), "AllInjected is True, Selected is True, not in api-1, api-2"),
        (told(record("api-1"), TARGET), "not in api-2"),
        (told(record("api-1", key=".Target"), record("api-2")), "not in api-1"),
        (
            told(record("api-1", "Not Injected/Wait", message="no netem here"), record("api-2")),
            "not in api-1; no netem here",
        ),
        (told(record("api-1"), record("api-2"), injected="False"), "AllInjected is False"),
    ],
)
def test_whatever_else_it_says_is_no_fault(found: dict[str, Any], reason: str) -> None:
    assert reason in why_not(found, PODS)


def test_a_fault_in_no_pod_is_none() -> None:
    assert why_not(told(), ()) != ""
