"""Reading a compose file without Compose: variables, YAML, the part of the format that is known, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gameday.errors import InvalidFile
from gameday.targets.docker.compose_container import recipe_of
from gameday.targets.docker.compose_fields import Port, Volume
from gameday.targets.docker.compose_file import ComposeFile, Service, load_compose
from gameday.targets.docker.compose_variables import BadVariable, dotenv, fill
from gameday.targets.docker.compose_yaml import load_compose_yaml

VARIABLES = {"B": "b", "E": ""}
EXAMPLES = Path(__file__).parents[2] / "examples"
HOTEL = EXAMPLES / "hotel" / "compose.yaml"
SECRETS = {"DATABASE_PASSWORD": "x", "ADMIN_TOKEN": "y"}


def load(folder: Path, text: str, **variables: str) -> ComposeFile:
    file = folder / "compose.yaml"
    file.write_text(text)
    return load_compose(file, variables)


def refusals(folder: Path, text: str, **variables: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        load(folder, text, **variables)
    return [f"{problem.line}: {problem.field}: {problem.message}" for problem in caught.value.problems]


def service(folder: Path, fields: str) -> Any:
    return load(folder, f"services:\n  a: {{image: x, {fields}}}\nvolumes: {{data: }}\n").services["a"]


# --- variables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$B-$B.c", "b-b.c"),
        ("${B}y", "by"),
        ("[${Q}$Q]", "[]"),
        ("${Q:-d} ${E:-d} ${B:-d}", "d d b"),
        ("${Q-d} ${E-d}", "d "),
        ("${E?m}${B:?m}", "b"),
        ("${B:+z}${E:+z}${E+y}${Q+x}", "zy"),
        ("${Q:-${B}}", "b"),
        ("${Q:-$B}y}", "by}"),
        ("${Q:-{a}}", "{a}"),
        ("$$B $$$B", "$B $b"),
        ("${Q:-a$${B}}", "a${B}"),
        ("$1 $ x $", "$1 $ x $"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, expected: str) -> None:
    """Each expected text is what `docker compose config` 2.40 made of it."""
    assert fill(text, VARIABLES) == expected


@pytest.mark.parametrize("text", ["${", "${}", "${B", "${B!x}", "${1}", "${ B }"])
def test_what_is_no_variable_is_refused(text: str) -> None:
    with pytest.raises(BadVariable, match=r"expected \$\{NAME\}"):
        fill(text, VARIABLES)


def test_a_required_variable_says_its_message() -> None:
    with pytest.raises(BadVariable, match="variable E is required and not set: for b"):
        fill("${E:?for $B}", VARIABLES)
    with pytest.raises(BadVariable, match=r"variable Q is required and not set$"):
        fill("${Q?}", VARIABLES)


def test_every_variable_that_is_missing_is_named_with_its_line(tmp_path: Path) -> None:
    text = "services:\n  a:\n    image: ${IMAGE:?which}\n    user: ${WHO?}\nx-more: ${NOT:?looked at}\n"
    assert refusals(tmp_path, text) == [
        "3: services.a.image: variable IMAGE is required and not set: which",
        "4: services.a.user: variable WHO is required and not set",
    ]


def test_a_file_of_variables_counts_where_the_call_has_none(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# ours\nX=from file # why\nexport Y='a $b'\nZ=\"q\"\n\n")
    assert dotenv(tmp_path / ".env") == {"X": "from file", "Y": "a $b", "Z": "q"}
    file = load(tmp_path, "services: {a: {image: '$X/$Z'}}", Z="call")
    assert file.services["a"].image == "from file/call"


def test_a_file_of_variables_with_more_than_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("X=1\nY=${X}\n")
    with pytest.raises(InvalidFile, match=r"\.env:2: expected NAME=text"):
        dotenv(tmp_path / ".env")


# --- YAML --------------------------------------------------------------------------------------------------


def test_words_that_yaml_1_1_takes_for_booleans_and_times_stay_text(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("[no, on, yes, 1:30, 22:22, 2020-01-01, true, ~, 7, 1.50, '7', \"true\", .5]")
    assert load_compose_yaml(file).value == [
        *("no", "on", "yes", "1:30", "22:22", "2020-01-01", True, None, 7, 1.5, "7", "true", 0.5)
    ]


@pytest.mark.parametrize(
    "number", ["0123", "0o17", "0x1F", "1e6", "1_000", "12345678.5", "12345678901234567890"]
)
def test_numbers_that_readers_take_differently_are_refused(tmp_path: Path, number: str) -> None:
    (problem,) = refusals(tmp_path, f"services: {{a: {{image: x, user: {number}}}}}")
    assert problem == f"1: services.a.user: {number} is read in several ways; put it in quotes"


def test_merges_give_way_to_own_fields_and_the_first_wins(tmp_path: Path) -> None:
    text = """
x-a: &a {environment: {A: 1}, restart: always}
x-b: &b {<<: *a, environment: {B: 1}, init: true, x-note: 1}
services:
  a: {<<: [*a, *b], image: x, restart: no}
  b: {image: y, <<: *b}
"""
    a, b = load(tmp_path, text).services.values()
    assert (a.environment, a.restart, a.init) == ({"A": "1"}, "no", True)
    assert (b.environment, b.restart, b.init) == ({"B": "1"}, "always", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("services: [", "not valid YAML"),
        ("a: 1\na: 2", "2: a: stands twice"),
        ("services: {a: !reset null}", "the tag !reset is not known here"),
        ("services: {<<: [1], a: {image: x}}", "'<<' merges mappings only"),
        ("[" * 200, "nested deeper than"),
        ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "\n".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)),
         "values or"),
        ("services: a", "expected a mapping of names, found 'a'"),
        ("- a", "expected a mapping of fields, found a list"),
        ("services: {}", "must have at least one entry"),
    ],
)  # fmt: skip
def test_what_is_no_compose_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in "\n".join(refusals(tmp_path, text))


# --- fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ("command: sh -c 'a b'", "command", ("sh", "-c", "a b")),
        ("command: [sleep, 1]", "command", ("sleep", "1")),
        ('entrypoint: ""', "entrypoint", ()),
        ("environment: {A: 1.50, B: true, C: on, D: }", "environment",
         {"A": "1.5", "B": "true", "C": "on", "D": None}),
        ("environment: [A=1=2, B]", "environment", {"A": "1=2", "B": None}),
        ("ports: [80, '127.0.0.1:8080:80/udp', '9:8', '[::1]:1:2', '127.0.0.1::80']", "ports",
         (Port("80"), Port("80", "udp", "8080", "127.0.0.1"), Port("8", "tcp", "9"), Port("2", "tcp", "1", "::1"),
          Port("80", "tcp", "", "127.0.0.1"))),
        ("volumes: ['data:/d', './x:/y:ro']", "volumes", (Volume("data", "/d"), Volume("./x", "/y", True))),
        ("mem_limit: 1.5g", "mem_limit", 3 * 2**29),
        ("mem_limit: 100", "mem_limit", 100),
        ("mem_limit: 2MiB", "mem_limit", 2**21),
        ("cpus: '.25'", "cpus", 0.25),
        ("tmpfs: /run", "tmpfs", {"/run": ""}),
        ("tmpfs: ['/run:size=1m,uid=1', /var/x]", "tmpfs", {"/run": "size=1m,uid=1", "/var/x": ""}),
        ("extra_hosts: ['a:host-gateway', 'b=1.2.3.4', 'c:::1', 'd=[::1]']", "extra_hosts",
         ("a:host-gateway", "b:1.2.3.4", "c:::1", "d:::1")),
        ("extra_hosts: {a: 1.2.3.4}", "extra_hosts", ("a:1.2.3.4",)),
        ("labels: [a=1, b]", "labels", {"a": "1", "b": ""}),
        ("read_only: 'true', pids_limit: '5'", "pids_limit", 5),
        ("stop_grace_period: 1m30s", "stop_grace_period", 90.0),
    ],
)  # fmt: skip
def test_every_spelling_of_a_field_is_read(tmp_path: Path, fields: str, name: str, expected: object) -> None:
    assert getattr(service(tmp_path, fields), name) == expected


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ("ports: ['8000-8001:1']", "ports[0]", "expected HOST_IP:HOST:CONTAINER"),
        ("ports: ['1:70000']", "ports[0]", "from 1 to 65535"),
        ("ports: ['1:2/foo']", "ports[0]", "expected HOST_IP:HOST:CONTAINER"),
        ("ports: [{target: 80}]", "ports[0]", "expected HOST_IP:HOST:CONTAINER"),
        ("volumes: ['/data']", "volumes[0]", "expected SOURCE:TARGET"),
        ("volumes: ['data:/x:z']", "volumes[0]", "expected SOURCE:TARGET"),
        ("volumes: ['other:/x']", "volumes[0]", "volume other is not among the file's `volumes`"),
        ("networks: [n]", "networks.n", "is not among the file's `networks`"),
        ("depends_on: [z]", "depends_on.z", "there is no such service; there: a"),
        ("depends_on: {a: {condition: foo}}", "depends_on.a.condition", "'foo' is not allowed; expected"),
        ("restart: sometimes", "restart", "expected no, always, unless-stopped, on-failure"),
        ("user: 12", "user", "expected text, found 12"),
        ("read_only: maybe", "read_only", "expected true or false, found 'maybe'"),
        ("mem_limit: much", "mem_limit", "is not a size"),
        ("cpus: half", "cpus", "is not a number of processors"),
        ("healthcheck: {test: ['true']}", "healthcheck.test", "a list that begins with CMD, CMD-SHELL or NONE"),
        ("healthcheck: {interval: 5}", "healthcheck.interval", "5 is not a duration"),
        ("command: \"it's\"", "command", "is not a command"),
    ],
)  # fmt: skip
def test_what_a_field_cannot_be_is_refused(tmp_path: Path, fields: str, field: str, message: str) -> None:
    (problem,) = refusals(tmp_path, f"services:\n  a: {{image: x, {fields}}}\nvolumes: {{data: }}\n")
    assert problem.startswith(f"2: services.a.{field}: ")
    assert message in problem


# every field of a service in Compose's schema as of 2.40
_FIELDS = """annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs
container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset
credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint
env_file environment expose extends external_links extra_hosts gpus group_add healthcheck hostname image init ipc
isolation label_file labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit models
network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop privileged
profiles provider pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open
stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes
volumes_from working_dir"""
ALL_FIELDS = _FIELDS.split()


@pytest.mark.parametrize("key", [name for name in ALL_FIELDS if name not in Service.model_fields])
def test_other_fields_are_refused_with_a_way_out(tmp_path: Path, key: str) -> None:
    (problem,) = refusals(tmp_path, f"services:\n  a:\n    image: x\n    {key}: y\n")
    assert problem.startswith(f"4: services.a.{key}: unknown field")
    assert "install the plugin, or write the file without this" in problem


def test_the_fields_that_are_known_are_composes() -> None:
    assert set(Service.model_fields) <= set(ALL_FIELDS)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("services: {a: {build: {context: ., dockerfile_inline: FROM x}}}", "services.a.build.dockerfile_inline"),
        ("services: {a: {build: {context: ., secrets: [s]}}}", "services.a.build.secrets"),
        ("services: {a: {image: x, healthcheck: {start_interval: 1s}}}", "services.a.healthcheck.start_interval"),
        ("services: {a: {image: x, networks: {default: {ipv4_address: 1.2.3.4}}}}",
         "services.a.networks.default.ipv4_address"),
        ("services: {a: {image: x, depends_on: {b: {restart: true}}}, b: {image: x}}",
         "services.a.depends_on.b.restart"),
        ("services: {a: {image: x}}\nnetworks: {n: {ipam: {}}}", "networks.n.ipam"),
        ("services: {a: {image: x}}\nnetworks: {n: {name: m}}", "networks.n.name"),
        ("services: {a: {image: x}}\nnetworks: {n: {enable_ipv6: true}}", "networks.n.enable_ipv6"),
        ("services: {a: {image: x}}\nvolumes: {n: {name: m}}", "volumes.n.name"),
        ("services: {a: {image: x}}\nvolumes: {n: {labels: {a: b}}}", "volumes.n.labels"),
        ("services: {a: {image: x}}\ninclude: [other.yaml]", "include"),
        ("services: {a: {image: x}}\nconfigs: {c: {file: f}}", "configs"),
    ],
)  # fmt: skip
def test_fields_within_others_are_refused_too(tmp_path: Path, text: str, field: str) -> None:
    (problem,) = refusals(tmp_path, text)
    assert f": {field}: unknown field" in problem
    assert "install the plugin" in problem


def test_other_fields_of_the_file_are_refused(tmp_path: Path) -> None:
    text = "services: {a: {image: x}}\nvolumes: {v: {external: true}}\nsecrets: {s: {file: f}}\nx-mine: 1\n"
    fields = [problem.split(": ")[1] for problem in refusals(tmp_path, text)]
    assert fields == ["volumes.v.external", "secrets"]


def test_a_service_without_image_and_build_is_refused(tmp_path: Path) -> None:
    (problem,) = refusals(tmp_path, "services:\n  a: {command: x}\n")
    assert "expected an image, a build, or both" in problem


def test_services_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n"
    (problem,) = refusals(tmp_path, text)
    assert problem == "2: services.a.depends_on: waits for a service that waits for this one"


# --- what is brought up ------------------------------------------------------------------------------------


def test_services_start_after_those_they_wait_for_and_profiles_do_not(tmp_path: Path) -> None:
    text = """
services:
  c: {image: x, depends_on: {b: {condition: service_completed_successfully}, a: {condition: service_healthy}}}
  b: {build: ., depends_on: [a]}
  a: {image: x}
  later: {build: later, profiles: [versions]}
  never: {build: never, profiles: [debug]}
"""
    file = load(tmp_path, text)
    assert list(file.started) == ["a", "b", "c"]
    assert list(file.built) == ["b", "later"]
    assert [name for name in file.started if file.ends(name)] == ["b"]


def test_a_name_alone_passes_a_variable_on(tmp_path: Path) -> None:
    recipe = recipe_of(
        tmp_path / "c", "p", "a", service(tmp_path, "environment: [A, B, C=1]"), "id", {"A": "mine"}
    )
    assert recipe.config["Env"] == ["A=mine", "B", "C=1"]


def test_the_hash_changes_with_what_is_brought_up_and_only_then(tmp_path: Path) -> None:
    def hash_of(fields: str, image_id: str = "1") -> str:
        return recipe_of(tmp_path / "c", "p", "a", service(tmp_path, fields), image_id, {}).hash

    same = hash_of("environment: {A: 1}, command: sleep 1")
    assert hash_of("command: [sleep, '1'], environment: [A=1]") == same
    changed = [
        hash_of("environment: {A: 2}, command: sleep 1"),
        hash_of("environment: {A: 1}, command: sleep 1", "2"),
        hash_of("environment: {A: 1}, command: sleep 1, networks: {default: {aliases: [b]}}"),
        hash_of("environment: {A: 1}, command: sleep 1, labels: {b: c}"),
    ]
    assert len({same, *changed}) == 5


def test_the_shipped_file_is_within_what_is_known() -> None:
    file = load_compose(HOTEL, SECRETS)
    assert {"api", "database", "network"} <= set(file.started)
    assert "api-broken" in file.built


@pytest.mark.parametrize("path", [HOTEL, EXAMPLES / "shop" / "compose.yaml"], ids=["hotel", "shop"])
def test_a_shipped_image_is_built_once_and_not_looked_for_in_a_registry(path: Path) -> None:
    """Compose builds for every service that says so, at once: on a new machine that were as many images, and
    the next `up` made anew all containers but those of the last build."""
    file = load_compose(path, SECRETS)
    built = [one.image for one in file.built.values() if one.image is not None]
    assert len(built) == len(set(built))
    others = [one for one in file.services.values() if one.build is None and one.image in built]
    assert {one.pull_policy for one in others} <= {"never"}
