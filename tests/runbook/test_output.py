"""What evidence may keep: no secrets, no control characters, a bounded size."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.runbook.output import MAX_OUTPUT_BYTES, MAX_SCANNED_CHARACTERS, presentable, redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=s3cret next", "password=*** next"),
        ("PGPASSWORD=s3,cret;x", "PGPASSWORD=***"),
        ("DB_PASSWORD: 's3 cret' next", "DB_PASSWORD: '***' next"),
        ('{"access_token": "s3\\"cret", "n": 1}', '{"access_token": "***", "n": 1}'),
        ('{"token":"s3cret"}', '{"token":"***"}'),
        ("api_key=s3cret API-Key: s3cret", "api_key=*** API-Key: ***"),
        ("Authorization: Bearer s3cret.x", "Authorization: ***"),
        ("Proxy-Authorization: Basic s3cret==\nHost: a", "Proxy-Authorization: ***\nHost: a"),
        ('Authorization: Digest username="a", response="s3cret"', "Authorization: ***"),
        ("{'authorization': 'Bearer s3cret', 'n': 1}", "{'authorization': '***', 'n': 1}"),
        ("Set-Cookie: id=s3cret; Path=/", "Set-Cookie: ***"),
        ("postgresql://hotel:s3cret@db:5432/hotel", "postgresql://***@db:5432/hotel"),
        ("redis://:s3c@ret@cache/0 ok", "redis://***@cache/0 ok"),
        (r'{"log": "{\"password\": \"s3cret\"}"}', None),
        ("psql --password s3cret -h db", "psql --password *** -h db"),
        ("--client-secret 's3 cret' x", "--client-secret '***' x"),
        ("-----BEGIN RSA PRIVATE KEY-----\ns3\ns3\n-----END RSA PRIVATE KEY-----", None),
        ("-----BEGIN PRIVATE KEY-----\ns3cret", None),
        ('FATAL: password authentication failed for user "hotel"', "="),
        ("http://localhost:8080/path?a=1 mail@example.org", "="),
        ("the token was refused", "="),
    ],
)
def test_secrets_are_masked_and_the_rest_stays(text: str, expected: str | None) -> None:
    found = redact(text)
    assert "s3" not in found
    if expected is not None:
        assert found == (text if expected == "=" else expected)
    assert redact(found) == found


def test_a_secret_is_masked_before_the_text_is_cut() -> None:
    text = "a" * 3000 + " password=" + "s" * 40_000 + "\nend"
    assert presentable(text) == "a" * 3000 + " password=***\nend"


def test_beginning_and_end_of_a_long_text_are_kept() -> None:
    found = presentable("first\n" + "x" * 100_000 + "\nlast")
    assert found.startswith("first\n")
    assert found.endswith("\nlast")
    assert "bytes or more left out" in found


@pytest.mark.parametrize(
    "piece",
    ["password=", "://", "a://x", "-----BEGIN PRIVATE KEY-----", "--a", "--a-", "token='", 'cookie: "\\'],
)
def test_the_worst_output_is_looked_through_quickly(piece: str) -> None:
    text = piece * (MAX_SCANNED_CHARACTERS // len(piece))
    begun = time.process_time()
    assert len(presentable(text).encode()) <= MAX_OUTPUT_BYTES
    assert time.process_time() - begun < 5


def test_of_too_much_output_the_end_is_kept_from_a_whole_line_on() -> None:
    text = "password=" + "s" * (MAX_SCANNED_CHARACTERS + 5) + "\nend"
    assert presentable(text) == "end"
    assert presentable(text.replace("\n", "")) == "(one line too long to be looked through)"


@given(st.text(alphabet=st.characters(), max_size=400).map(lambda text: text * 40))
def test_any_text_becomes_bounded_and_printable(text: str) -> None:
    found = presentable(text, 200)
    assert len(found.encode()) <= 200
    assert not set(found) & {chr(code) for code in (*range(9), *range(11, 32), 127)}
