"""Commands of runbooks: where they run, what they get, and that they end."""

from __future__ import annotations

import time

import pytest

from gameday.errors import OperationTimedOut, TargetError
from targets.small import WEB, MakeTarget, marked

pytestmark = pytest.mark.process


def test_a_command_sees_all_addresses_and_its_exit_code_is_told(make_target: MakeTarget) -> None:
    target = make_target(**{"web": WEB, "other-web": WEB})
    target.up()

    done = target.execute("web", ["sh", "-c", "echo $OTHER_WEB_URL $WEB_PORT; pwd; echo bad >&2; exit 7"], 5)

    assert done.exit_code == 7
    url, own = target.address("other-web").url, target.address("web").port
    assert done.output == f"{url} {own}\n{target.folder.parents[2]}\nbad\n"
    assert done.duration_s < 1


def test_output_is_bounded_and_keeps_both_ends(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()

    done = target.execute("web", ["sh", "-c", "echo first; yes | head -c 5000000; echo last"], 20)

    assert done.output.startswith("first\ny\n")
    assert done.output.endswith("y\nlast\n")
    assert "bytes left out" in done.output
    assert len(done.output) < 66_000


def test_a_command_that_hangs_is_killed_with_its_children(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()
    before = marked(target.folder)

    begun = time.monotonic()
    with pytest.raises(OperationTimedOut, match=r"did not end within 0\.3 s.*started"):
        target.execute("web", ["sh", "-c", "echo started; sleep 600 & sleep 600"], 0.3)

    assert time.monotonic() - begun < 2
    assert marked(target.folder) == before


def test_a_command_that_ends_does_not_wait_for_what_it_left_in_the_background(
    make_target: MakeTarget,
) -> None:
    target = make_target(web=WEB)
    target.up()
    before = marked(target.folder)

    done = target.execute("web", ["sh", "-c", "sleep 600 & echo done"], 5)

    assert (done.exit_code, done.output) == (0, "done\n")
    assert done.duration_s < 1
    assert marked(target.folder) == before


def test_a_daemon_of_a_command_is_ended_by_down(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()
    target.execute("web", ["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & sleep 0.1"], 5)
    target.kill("web", "SIGKILL", 5)
    assert len(marked(target.folder)) == 1

    target.down()

    assert not marked(target.folder)


def test_a_command_that_does_not_exist_is_told(make_target: MakeTarget) -> None:
    target = make_target(web=WEB)
    target.up()

    with pytest.raises(TargetError, match="cannot run 'no-such-program'"):
        target.execute("web", ["no-such-program"], 5)
