"""Files that are no plain YAML, each with the exact message that a person gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.good_files import SCENARIO, broken, complaints
from gameday.environment import load_environment
from gameday.errors import InvalidFile
from gameday.files import MAX_BYTES
from gameday.scenario import load_scenario

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 5)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "1: the file is empty; expected a mapping of fields", id="empty"),
        pytest.param("# later\n", "1: the file is empty; expected a mapping of fields", id="only-a-comment"),
        pytest.param("- a\n", "1: expected a mapping of fields, found a list", id="list-at-the-top"),
        pytest.param("hello", "1: expected a mapping of fields, found 'hello'", id="text-at-the-top"),
        pytest.param("~\n", "1: expected a mapping of fields, found nothing", id="null-at-the-top"),
        pytest.param("title: stürzt".encode("latin-1"), "1: not UTF-8 text: byte 9 is invalid", id="latin-1"),
        pytest.param(
            f"{SCENARIO}# ü".encode("latin-1"),
            "20: not UTF-8 text: byte 498 is invalid",
            id="latin-1-at-the-end",
        ),
        pytest.param(SCENARIO.encode("utf-16"), "1: not UTF-8 text: byte 0 is invalid", id="utf-16"),
        pytest.param(
            "#" * (MAX_BYTES + 1), f"1: too many bytes; at most {MAX_BYTES} are read", id="too-large"
        ),
        pytest.param("a: " + "[" * 100_000, "1: nested deeper than 32 levels", id="deep-lists"),
        pytest.param(
            "".join("  " * n + "a:\n" for n in range(40)),
            "33: nested deeper than 32 levels",
            id="deep-mappings",
        ),
        pytest.param(LAUGHS, "5: a4: more than 20000 values after expanding aliases", id="billion-laughs"),
        pytest.param(
            f"a: &a [x]\nb: [{'*a, ' * 51}]\n", "2: more than 50 aliases (*name)", id="too-many-aliases"
        ),
        pytest.param(
            f"a: [{'x, ' * 20_001}]",
            "1: a: more than 20000 values after expanding aliases",
            id="too-many-values",
        ),
        pytest.param(
            "x: 1\na: &a [*a]\n",
            "2: a: nested deeper than 32 levels after expanding aliases",
            id="alias-of-itself",
        ),
        pytest.param("a: *nope\n", "1: not valid YAML: found undefined alias", id="undefined-alias"),
        pytest.param(
            broken(SCENARIO, "  alert:", "\talert:"),
            "12: not valid YAML: a tab cannot indent; use spaces",
            id="tab",
        ),
        pytest.param(
            broken(SCENARIO, "  fires_within:", "  \tfires_within:"),
            "13: not valid YAML: a tab cannot indent; use spaces",
            id="tab-behind-spaces",
        ),
        pytest.param(
            broken(SCENARIO, "tags: [database]", "tags: [database"),
            "8: not valid YAML: while parsing a flow sequence did not find expected ',' or ']'",
            id="bracket-left-open",
        ),
        pytest.param(
            "a: 1\nb: 'left open\n",
            "2: not valid YAML: while scanning a quoted scalar found unexpected end of stream",
            id="quote-left-open",
        ),
        pytest.param(
            f"{SCENARIO}---\n{SCENARIO}",
            "20: not valid YAML: expected a single document in the stream but found another document",
            id="two-documents",
        ),
        pytest.param(
            "a: 1\nb: d\x1bies\n",
            "2: not valid YAML: unacceptable character #x001b: control characters are not allowed",
            id="control-character",
        ),
        pytest.param("a: 1\na: 2\n", "2: a: stands twice; first on line 1", id="duplicate-key"),
        pytest.param(
            "a:\n  b: 1\n  b: 2\n", "3: a.b: stands twice; first on line 2", id="duplicate-key-inside"
        ),
        pytest.param(
            "a: &a {b: 1}\nc: {<<: *a}\n",
            "2: c: '<<' does not merge here; write the fields out",
            id="merge-key",
        ),
        pytest.param("a: {[b]: 1}\n", "1: a: expected a plain text key", id="list-as-a-key"),
        pytest.param(
            "a: !!python/object/apply:os.system [echo hi]\n",
            "1: a: the tag !!python/object/apply:os.system is not allowed; expected plain data",
            id="python-call",
        ),
        pytest.param(
            "a: !!python/name:os.system x\n",
            "1: a: the tag !!python/name:os.system is not allowed; expected plain data",
            id="python-name",
        ),
        pytest.param(
            "a: !vault x\n", "1: a: the tag !vault is not allowed; expected plain data", id="tag-of-ones-own"
        ),
        pytest.param(
            "a: !!binary eA==\n", "1: a: the tag !!binary is not allowed; expected plain data", id="binary"
        ),
        pytest.param("a: !!set {b}\n", "1: a: the tag !!set is not allowed; expected plain data", id="set"),
        pytest.param("a: !!bool maybe\n", "1: a: not plain data: 'maybe'", id="bool-that-is-none"),
        pytest.param("a: !!int many\n", "1: a: not plain data: 'many'", id="number-that-is-none"),
        pytest.param(f"a: {'9' * 5000}\n", "1: a: a number of more than 18 digits", id="endless-number"),
        pytest.param(f"a: 0x{'f' * 16}\n", "1: a: a number of more than 18 digits", id="long-hexadecimal"),
        pytest.param(
            'a: "x\\0y"\n',
            "1: a: contains a character that no text may have (NUL or half of a pair)",
            id="nul-in-a-text",
        ),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_refused_with_the_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    for load in (load_scenario, load_environment):
        assert complaints(load, tmp_path / "demo.yaml", content) == [message]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "is a folder; expected a YAML file"),
        (tmp_path / "absent.yaml", "cannot be read: No such file or directory"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
        (Path("/dev/zero"), f"too many bytes; at most {MAX_BYTES} are read"),
    ):
        with pytest.raises(InvalidFile) as caught:
            load_scenario(path)
        assert str(caught.value) == f"{path}:1: {message}"


@pytest.mark.parametrize("ending", ["\r\n", "\r"], ids=["windows", "old-mac"])
def test_other_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "demo.yaml"
    path.write_bytes(("\ufeff" + SCENARIO.replace("\n", ending)).encode())
    assert load_scenario(path).scenario == "demo"
    bad = broken(SCENARIO, "tier: 1", "tier: 9").replace("\n", ending)
    assert complaints(load_scenario, path, bad) == ["4: tier: expected at most 4, found 9"]
