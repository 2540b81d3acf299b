"""An operator's requests, and the secrets that they and components carry."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Requestable
from targets.small import CACHE, ECHO, MakeTarget, variables

pytestmark = pytest.mark.process
GUARDED: dict[str, Any] = {
    **ECHO,
    "env": {"TOKEN": "${secret:admin}", "OTHER": "a-${secret:other}"},
    "operator": {"headers": {"X-Admin-Token": "${secret:admin}", "X-Site": "${env:SITE_OF_TEST}"}},
}


def test_a_request_carries_the_operators_headers_and_its_answer_shows_no_secret(
    make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE_OF_TEST", "kitchen-7")
    target = make_target(web=GUARDED)
    target.up()
    assert isinstance(target, Requestable)

    said = target.request("web", "PUT /mode?x=1", {"mode": "errors", "share": 0.5}, 5)

    assert said.startswith("PUT /mode?x=1 of web: status 200: ")
    assert '"X-Admin-Token": "[redacted]"' in said
    assert '"X-Site": "[redacted]"' in said
    assert r"{\"mode\": \"er" in said
    token = variables(target, "web")["TOKEN"]
    assert token not in said


def test_a_secret_is_one_for_each_instance_and_only_its_owner_can_read_it(make_target: MakeTarget) -> None:
    blue, green = (make_target(f"small@{colour}", web=GUARDED) for colour in ("blue", "green"))
    blue.up()
    green.up()
    token = variables(blue, "web")["TOKEN"]

    assert len(token) >= 40
    assert variables(blue, "web")["OTHER"] == "a-" + variables(blue, "web")["OTHER"][2:] != f"a-{token}"
    assert variables(green, "web")["TOKEN"] != token
    file = blue.folder / "secrets.json"
    assert token in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    blue.stop("web", 5)
    blue.start("web", 10)
    assert variables(blue, "web")["TOKEN"] == token
    assert token not in (blue.folder / "state.json").read_text()


def test_a_component_that_tells_its_secret_is_not_quoted(make_target: MakeTarget) -> None:
    tells = {"command": ["sh", "-c", "echo token $TOKEN; exit 3"], "env": {"TOKEN": "${secret:admin}"}}
    target = make_target(web=tells)

    with pytest.raises(TargetError, match=r"(?s)exit code 3.*token \[redacted\]"):
        target.up()
    assert target.logs("web", 5, 5).strip() == "token [redacted]"
    done = target.execute("web", ["cat", str(target.folder / "secrets.json")], 5)
    assert done.output == '{"admin": "[redacted]"}'


@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_answer_of_400_and_above_is_an_error_with_its_words(make_target: MakeTarget, status: int) -> None:
    target = make_target(web=ECHO)
    target.up()

    with pytest.raises(TargetError, match=rf"POST /status/{status} of web: status {status}: .*POST"):
        target.request("web", f"POST /status/{status}", None, 5)


@pytest.mark.parametrize("path", ["/hang", "/drip"])
def test_an_answer_that_does_not_end_in_time_is_none(make_target: MakeTarget, path: str) -> None:
    target = make_target(web=ECHO)
    target.up()

    begun = time.monotonic()
    with pytest.raises(OperationTimedOut, match=r"no answer within 0\.5 s"):
        target.request("web", f"GET {path}", None, 0.5)
    assert time.monotonic() - begun < 1.5


def test_nobody_there_is_an_error_and_so_is_what_cannot_be_asked(make_target: MakeTarget) -> None:
    target = make_target(web=GUARDED, cache=CACHE)
    target.up()
    os.environ.pop("SITE_OF_TEST", None)
    with pytest.raises(UsageError, match="environment variable SITE_OF_TEST is not set"):
        target.request("web", "GET /", None, 5)
    with pytest.raises(UsageError, match="cache is a valkey"):
        target.request("cache", "GET /", None, 5)
    with pytest.raises(UsageError, match="is not a request"):
        target.request("web", "FETCH /", None, 5)

    plain = make_target("small@plain", web=ECHO)
    plain.up()
    plain.kill("web", "SIGKILL", 5)
    with pytest.raises(TargetError, match=r"GET / of web: no answer: Connection refused"):
        plain.request("web", "GET /", None, 5)


def test_secrets_belong_in_variables_not_in_command_lines(make_target: MakeTarget) -> None:
    with pytest.raises(UsageError, match=r"command\[1\]: everybody can read a command line"):
        make_target(web={"command": ["true", "${secret:admin}"]})
    with pytest.raises(UsageError, match=r"unknown reference \$\{secret:\}"):
        make_target(web={"command": ["true"], "env": {"A": "${secret:}"}})
