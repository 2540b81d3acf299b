"""A drill as an incident: severity, lifecycle, deadlines and the record, from literal evidence folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.commands.files import schema
from gameday.incidents.build import build
from gameday.incidents.impact import Impact, ProbeShare, classify, impact
from gameday.incidents.lifecycle import Phase, deadlines, stages
from gameday.incidents.model import Incident, Response
from gameday.incidents.people import with_draft
from gameday.incidents.severities import (
    ASKS,
    LEVELS,
    RANKS,
    Ask,
    Duty,
    Source,
    asks,
    levels,
    rank_of,
    strictest,
)
from gameday.record import DrillRecord
from reporting import records

EXAMPLE = {
    "incident_id": "INC-20251123-001",
    "severity": "SEV-1",
    "title": "API Gateway timeout",
    "detected_at": "2025-11-23T10:00:00Z",
    "resolved_at": "2025-11-23T11:30:00Z",
    "affected_tenants": 12,
    "root_cause": "PostgreSQL connection pool exhausted",
    "resolution": "Increased pool size from 20 to 50",
    "preventive_measures": ["Add connection pool monitoring", "Set up auto-scaling alerts"],
}
"""The playbook's own example, with a number as drills have."""
HTTP = {
    "bookings": {"http": "POST /reservations"},
    "database-answers": {"sql": "select 1"},
    "cache-in-use": {"http": "GET /health/ready"},
}


def of(share: float | None, lasted_s: float | None = 60.0, lost: int | None = 0) -> Impact:
    probes = () if share is None else (ProbeShare("p", 10_000, round(share * 10_000)),)
    return Impact(probes, None, lasted_s, lost, None)


def made(record: DrillRecord, probes: dict[str, Any] | None = None) -> tuple[Incident, Response]:
    return build(record, "INC-20260302-001", "../../drill", probes or {})


# --- severity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "rank"),
    [(1.0, 1), (0.7501, 1), (0.75, 2), (0.25, 2), (0.2499, 3), (0.05, 3), (0.0499, 4), (0.0, 4)],
)
def test_the_share_of_users_affected_decides(share: float, rank: int) -> None:
    found = classify(of(share), "SEV4")
    assert (found.rank, found.measured) == (rank, True)


def test_lost_data_is_the_worst_whatever_the_share() -> None:
    found = classify(of(0.0, lost=1), "SEV4")
    assert found.rank == 1
    assert found.because == (
        "1 acknowledged record lost: data loss (SmartBeak, P019, Incident Response Plan)",
    )


def test_a_degraded_service_escalates_after_two_hours() -> None:
    assert classify(of(0.5, lasted_s=7200.0), "SEV2").rank == 2
    assert classify(of(0.5, lasted_s=7201.0), "SEV2").rank == 1
    assert classify(of(0.1, lasted_s=86_400.0), "SEV2").rank == 3


def test_without_a_measurement_the_scenario_s_word_stands_and_is_marked() -> None:
    found = classify(of(None), "SEV3")
    assert (found.rank, found.measured) == (3, False)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e5))
def test_more_users_are_never_less_severe(one: float, other: float, lasted_s: float) -> None:
    low, high = sorted((one, other))
    assert classify(of(high, lasted_s), "SEV3").rank <= classify(of(low, lasted_s), "SEV3").rank


# --- the table ------------------------------------------------------------------------------------------------


def test_every_document_is_in_the_table_with_the_levels_that_it_has() -> None:
    names = {source: [level.name for level in LEVELS if level.source is source] for source in Source}
    assert names == {
        Source.PLAYBOOK: ["SEV-1", "SEV-2", "SEV-3"],
        Source.PROCEDURES: ["SEV-1", "SEV-2", "SEV-3", "SEV-4"],
        Source.GUIDE: ["SEV1", "SEV2", "SEV3", "SEV4"],
        Source.CLOUD_OPS: ["P0", "P1", "P2", "P3"],
        Source.PLAN: ["SEV-1", "SEV-2", "SEV-3", "SEV-4"],
    }
    shares = [level.share for level in LEVELS if level.source is Source.CLOUD_OPS]
    assert shares == [">75%", "25-75%", "5-25%", "<5%"]


@pytest.mark.parametrize(
    ("source", "duty", "seconds"),
    [
        (Source.PLAYBOOK, Duty.RESPOND, [900, 3600, 14_400]),
        (Source.PLAYBOOK, Duty.RESOLVE, [7200, 28_800, 172_800]),
        (Source.PROCEDURES, Duty.TELL_TEAM, [300, 900, 1800, 3600]),
        (Source.PROCEDURES, Duty.EVERY, [900, 1800, 14_400, 86_400]),
        (Source.PROCEDURES, Duty.RESOLVE, [3600, 14_400]),
        (Source.GUIDE, Duty.RESPOND, [900, 1800, 3600, None]),
        (Source.GUIDE, Duty.EVERY, [1800, 3600, None, 604_800]),
        (Source.GUIDE, Duty.TELL_RESOLVED, [7200, 14_400]),
        (Source.CLOUD_OPS, Duty.RESPOND, [900, 3600, 14_400, None]),
        (Source.PLAN, Duty.PUBLISH, [172_800] * 4),
    ],
)
def test_figures_are_those_of_their_document(source: Source, duty: Duty, seconds: list[float | None]) -> None:
    assert [ask.within_s for ask in ASKS if ask.source is source and ask.duty is duty] == seconds


def test_the_strictest_is_never_slower_than_any() -> None:
    for rank in RANKS:
        for duty in Duty:
            found = strictest(rank, duty)
            times = [ask.within_s for ask in asks(rank, duty) if ask.within_s is not None]
            assert (found is None) == (asks(rank, duty) == ())
            assert found is None or not times or found.within_s == min(times)


def test_a_time_that_is_no_number_is_words() -> None:
    assert all(ask.words or ask.within_s for ask in ASKS)
    assert strictest(4, Duty.RESPOND) == Ask(Source.PROCEDURES, Duty.RESPOND, 4, 86_400.0)
    assert strictest(4, Duty.STATUS_PAGE) == Ask(Source.PROCEDURES, Duty.STATUS_PAGE, 4, None, "optional")


def test_a_rank_has_a_name_with_each_team_that_has_one() -> None:
    assert [level.name for level in levels(1)] == ["SEV-1", "SEV-1", "SEV1", "P0", "SEV-1"]
    assert [level.name for level in levels(4)] == ["SEV-4", "SEV4", "P3", "SEV-4"]
    assert [rank_of(name) for name in ("SEV1", "SEV-2", "P0", "P3")] == [1, 2, 1, 4]


# --- impact ---------------------------------------------------------------------------------------------------


def test_answers_between_effect_and_recovery_count(tmp_path: Path) -> None:
    found = impact(records.passed(tmp_path / "one"), HTTP)
    (bookings,) = found.probes
    assert (bookings.probe, bookings.asked) == ("bookings", 176)  # every 0.1 s from 2.6 s up to 20.2 s
    assert found.share == 1.0
    assert found.lasted_s == pytest.approx(17.6)


def test_where_no_probe_is_known_to_ask_as_guests_do_all_that_count_as_the_service_do(tmp_path: Path) -> None:
    found = impact(records.passed(tmp_path / "one"), {})
    assert [one.probe for one in found.probes] == ["bookings", "database-answers"]
    machines = impact(records.passed(tmp_path / "two"), {"bookings": {"http": "GET /health/ready"}})
    assert [one.probe for one in machines.probes] == ["bookings", "database-answers"]


def test_a_probe_that_asks_more_often_counts_no_more() -> None:
    assert Impact((ProbeShare("a", 1000, 1000), ProbeShare("b", 10, 0)), None, None, None, None).share == 0.5


def test_a_fault_without_effect_has_no_impact_that_was_measured(tmp_path: Path) -> None:
    found = impact(records.ineffective(tmp_path / "one"), HTTP)
    assert (found.share, found.lasted_s, found.duration, found.records_lost) == (None, None, None, None)


def test_what_did_not_recover_is_counted_as_long_as_it_was_watched(tmp_path: Path) -> None:
    found = impact(records.aborted(tmp_path / "one"), HTTP)
    assert found.duration is None
    assert found.lasted_s == pytest.approx(9.2 - 2.6)  # up to the undo
    assert found.share == 1.0


# --- lifecycle ------------------------------------------------------------------------------------------------


def utc(seconds: float) -> datetime:
    return records.ZERO.utc + timedelta(seconds=seconds)


def test_phases_have_the_timeline_s_instants(tmp_path: Path) -> None:
    found = {stage.phase: stage.at for stage in stages(records.passed(tmp_path / "one"))}
    assert list(found) == list(Phase)
    assert found == {
        Phase.DETECT: utc(16.8),
        Phase.CLASSIFY: None,
        Phase.MITIGATE: utc(18.1),  # the step before only looked
        Phase.COMMUNICATE: utc(16.9),
        Phase.RESOLVE: utc(20.2),
        Phase.POST_MORTEM: None,
    }


def test_what_did_not_happen_is_not_measured(tmp_path: Path) -> None:
    found = {stage.phase: (stage.at, stage.detail) for stage in stages(records.aborted(tmp_path / "one"))}
    assert found[Phase.DETECT] == (None, "the expected alert did not fire")
    assert found[Phase.MITIGATE] == (None, "no step acted")
    assert found[Phase.RESOLVE][0] is None


def due(record: DrillRecord, rank: int, duty: Duty) -> tuple[float | None, str]:
    (found,) = [one for one in deadlines(record, rank) if one.duty is duty]
    return (found.due - records.ZERO.utc).total_seconds() if found.due else None, found.kept


def test_deadlines_count_from_detection_and_from_resolution(tmp_path: Path) -> None:
    record = records.passed(tmp_path / "one")
    assert due(record, 1, Duty.RESPOND) == (pytest.approx(16.8 + 900), "met")
    assert due(record, 1, Duty.RESOLVE) == (pytest.approx(16.8 + 3600), "met")
    assert due(record, 1, Duty.TELL_TEAM) == (pytest.approx(16.8 + 300), "met")
    assert due(record, 1, Duty.DRAFT) == (pytest.approx(20.2 + 86_400), "not measured")
    assert due(record, 1, Duty.EVERY) == (None, "not measured")


def test_what_people_owe_is_never_counted_as_kept(tmp_path: Path) -> None:
    seen = {Duty.RESPOND, Duty.TELL_TEAM, Duty.RESOLVE}
    kept = {one.duty: one.kept for one in deadlines(records.passed(tmp_path / "one"), 1)}
    assert {kept[duty] for duty in kept if duty not in seen} == {"not measured"}


def test_a_rehearsal_s_times_are_divided_by_its_speed_but_for_people_s(tmp_path: Path) -> None:
    record = records.rehearsed(tmp_path / "one")
    assert due(record, 1, Duty.RESPOND)[0] == pytest.approx(16.8 + 90)
    assert due(record, 1, Duty.PUBLISH)[0] == pytest.approx(20.2 + 172_800)


def test_what_was_never_detected_counts_from_its_effect(tmp_path: Path) -> None:
    record = records.failed(tmp_path / "one")
    assert due(record, 1, Duty.RESPOND) == (pytest.approx(2.6 + 900), "met")
    assert due(replace(record, speed=10.0), 1, Duty.RESPOND) == (pytest.approx(2.6 + 90), "missed")


def test_a_drill_that_ended_before_the_deadline_missed_nothing(tmp_path: Path) -> None:
    assert due(records.aborted(tmp_path / "one"), 1, Duty.RESOLVE)[1] == "not measured"


# --- the record -----------------------------------------------------------------------------------------------


def test_the_playbook_s_example_is_a_record() -> None:
    incident = Incident.model_validate_json(json.dumps(EXAMPLE))
    assert incident.model_dump(mode="json") == EXAMPLE
    assert list(incident.model_dump(mode="json")) == list(EXAMPLE)
    jsonschema.validate(EXAMPLE, schema("incident"), format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("incident_id", "INC-2025-001"),
        ("severity", "P0"),
        ("detected_at", "2025-11-23T10:00:00"),
        ("affected_tenants", "twelve"),
        ("affected_tenants", -1),
        ("root_cause", ""),
        ("preventive_measures", "none"),
        ("owner", "me"),
    ],
)
def test_what_is_no_record_is_refused_by_the_model_and_by_the_schema(field: str, value: object) -> None:
    wrong = {**EXAMPLE, field: value}
    with pytest.raises(ValueError, match=field):
        Incident.model_validate_json(json.dumps(wrong))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema("incident"), format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("name", sorted(records.ALL))
def test_every_drill_has_a_record_that_its_schema_accepts(tmp_path: Path, name: str) -> None:
    make: Callable[[Path], DrillRecord] = records.ALL[name]
    incident, response = made(make(tmp_path / "drill"), HTTP)
    document = json.loads(json.dumps(incident.model_dump(mode="json")))
    jsonschema.validate(document, schema("incident"), format_checker=jsonschema.FormatChecker())
    assert list(document) == list(EXAMPLE)
    assert Response.model_validate_json(response.model_dump_json()) == response


def test_the_record_of_a_drill_that_passed(tmp_path: Path) -> None:
    incident, response = made(records.passed(tmp_path / "one"), HTTP)
    assert incident.model_dump(mode="json") == {
        "incident_id": "INC-20260302-001",
        "severity": "SEV-1",
        "title": "PostgreSQL dies under load (drill)",
        "detected_at": "2026-03-02T09:00:16Z",
        "resolved_at": "2026-03-02T09:00:20Z",
        "affected_tenants": None,
        "root_cause": "Injected by drill 20260302T090000Z-database-down-a1b2c3: kill database (signal SIGKILL)",
        "resolution": "Runbook 01-database-down, step “Start PostgreSQL again”, restored the service "
        "17.60 s ± 0.10 s after the effect",
        "preventive_measures": [
            "Compare the severity: the scenario declares SEV2, the measured impact is SEV-1"
        ],
    }
    assert response.severity.called["SmartCloudOps AI Incident Response Procedures"] == "P0"


def test_what_was_missed_is_due_in_a_week_and_what_is_unknown_in_two(tmp_path: Path) -> None:
    record = records.failed(tmp_path / "one")
    _, response = made(record, HTTP)
    days = [
        (one.action.split(":")[0], one.priority, (one.due - record.ended.utc).days)
        for one in response.action_items
    ]
    assert days == [
        ("Make alert database_connection_failures fire within 3m of the effect", "High", 7),
        ("Mend runbook 01-database-down", "High", 7),
        ("Find out what this drill could not", "Medium", 14),
        ("Decide of alerts that fired beside the expected one whether they belong to it", "Medium", 14),
        ("Compare the severity", "Medium", 14),
    ]
    assert {one.owner for one in response.action_items} == {"platform"}


def test_a_rehearsal_says_so_in_its_title(tmp_path: Path) -> None:
    incident, _ = made(records.rehearsed(tmp_path / "one"))
    assert incident.title == "PostgreSQL dies under load (drill, rehearsal at 10 times speed)"


def test_a_control_that_woke_somebody_affected_no_user(tmp_path: Path) -> None:
    incident, response = made(records.control_woke_somebody(tmp_path / "one"))
    assert incident.severity == "SEV-4"
    assert incident.detected_at == utc(128.0).replace(microsecond=0)
    assert response.impact.users_share == 0.0
    assert response.impact.lasted_s is None


def test_the_drill_s_own_undo_resolves_nothing(tmp_path: Path) -> None:
    incident, _ = made(records.aborted(tmp_path / "one"))
    assert incident.resolved_at is None
    assert "own undo" in incident.resolution or "not seen to come back" in incident.resolution


def test_a_draft_is_kept_by_its_deadline_and_written_once(tmp_path: Path) -> None:
    _, response = made(records.passed(tmp_path / "one"))
    early, late = datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 4, 3, tzinfo=UTC)

    def draft(of: Response) -> tuple[datetime | None, str]:
        (found,) = [one for one in of.deadlines if one.duty == Duty.DRAFT.value]
        return found.done, found.result

    assert draft(with_draft(response, early)) == (early, "met")
    assert draft(with_draft(response, late)) == (late, "missed")
    assert with_draft(with_draft(response, early), late) == with_draft(response, early)
