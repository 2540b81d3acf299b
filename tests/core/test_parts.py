"""What of an environment a drill concerns: what it touches and what it watches, and nothing else."""

from __future__ import annotations

import yaml

from gameday.environment import Environment
from gameday.fields import parse
from gameday.parts import part_of
from gameday.scenario import Scenario

ENVIRONMENT = """
environment: shop
target: kubernetes
drills: allowed
kubernetes: {context: here, namespace: shop}
components:
  database: {kubernetes: {workload: statefulset/database}, port: 5432}
  cache: {kubernetes: {workload: deployment/cache}, port: 6379}
  network: {kubernetes: {workload: deployment/api, container: network}}
  api: {kubernetes: {workload: deployment/api}, port: 8000}
  search: {kubernetes: {workload: deployment/search}, port: 8000}
  ledger: {kubernetes: {workload: deployment/ledger}, port: 5432, url: "postgresql://a@${host}:${port}/a"}
links:
  - {client: api, server: database, via: network, port: 15432}
  - {client: api, server: cache}
probes:
  answers: {tcp: "", component: database}
  cached: {tcp: "", component: cache}
  found: {http: GET /, component: search}
  booked: {tcp: "", component: ledger}
detector: {kind: embedded, rules: rules.yaml, scrape: [{job: search, component: search}]}
"""
DRILL = """
scenario: down
title: Something is down
owner: tests
tier: 1
severity: SEV2
hypothesis: It comes back.
steady_state: [answers]
fault: {kill: database}
impact: {probe: answers, fails_within: 5s}
expect: {alert: down, fires_within: 5s, resolves_within: 5s}
respond: {runbook: down}
recovered: {probes: [answers], stable_for: 1s}
objectives: {rto: 5s}
safety: {ttl: 10s}
"""


def concerned(
    drill: str = DRILL, environment: str = ENVIRONMENT, steps: tuple[tuple[str, str], ...] = ()
) -> set[str]:
    where = parse(Environment, yaml.safe_load(environment))
    found = part_of(where, parse(Scenario, yaml.safe_load(drill)), steps)
    assert found.part is not None
    assert {name for name in where.components if found.concerns(name)} == set(found.part.components)
    return set(found.part.components)


def test_the_component_that_breaks_and_the_one_that_is_asked() -> None:
    assert concerned() == {"database"}
    assert concerned(DRILL.replace("[answers]", "[answers, cached]", 1)) == {"database", "cache"}


def test_whatever_may_be_on_a_node_that_is_drained() -> None:
    everything = set(yaml.safe_load(ENVIRONMENT)["components"])
    assert concerned(DRILL.replace("{kill: database}", "{drain: database}")) == everything


def test_what_is_only_scraped_concerns_no_drill() -> None:
    assert "search" not in concerned()


def test_what_the_runbook_acts_on_and_is_checked_by() -> None:
    assert concerned(steps=(("api", "found"),)) == {"database", "api", "search"}


def test_the_client_that_is_cut_off_and_the_proxy_between() -> None:
    cut = DRILL.replace("{kill: database}", "{partition: database, client: api}")
    assert concerned(cut) == {"database", "api", "network"}
    assert concerned(cut.replace("partition: database", "partition: cache")) == {"database", "cache", "api"}


def test_probes_that_stop_any_drill_and_those_that_stop_this_one() -> None:
    stops = ENVIRONMENT + "stop_when: [{probe: found, fails_for: 5s}]\n"
    assert concerned(environment=stops) == {"database", "search"}
    own = DRILL.replace("{ttl: 10s}", "{ttl: 10s, stop_when: [{probe: cached, fails_for: 5s}]}")
    assert concerned(own) == {"database", "cache"}


def test_the_canary_that_writes_and_the_place_where_its_records_are_looked_up() -> None:
    canary = (
        'canary:\n  write: {http: POST /, component: api, body: {id: "${key}"}}\n'
        "  find: {component: ledger, sql: \"select 1 where '${prefix}' = ''\"}\n"
    )
    assert concerned(environment=ENVIRONMENT + canary) == {"database", "api", "ledger"}


def test_a_part_locks_under_a_name_that_fits_into_a_label() -> None:
    where = parse(Environment, yaml.safe_load(ENVIRONMENT))
    assert where.scope == "shop"
    drill = parse(Scenario, yaml.safe_load(DRILL))
    assert part_of(where, drill).scope == "shop.down"
    long, other = (
        part_of(where, parse(Scenario, yaml.safe_load(DRILL.replace("down", f"{'x' * 60}{n}", 1)))).scope
        for n in (1, 2)
    )
    assert len(long) <= 63
    assert long != other
