"""Rules of network faults between containers, as text: what cannot be seen on every kernel, and what must be exact."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest

from gameday.environment import Link
from gameday.fault_spec import DelayFault, LoseFault, NetworkFault, PartitionFault, ThrottleFault
from gameday.targets.docker.containers import Container
from gameday.targets.docker.partition import Peer, Reach, base_of, class_of, documents, pattern_of
from gameday.targets.docker.topology import Node, Topology
from gameday.targets.docker.traffic import leaf

BASE = base_of("hotel", "database", "api", "gameday-partition")
BOTH = Reach((Peer(("10.0.0.2", "fd00::2")),))


def rules(fault: NetworkFault, reach: Reach, version: int = 4) -> list[str]:
    """Of the chain itself."""
    document = documents(fault, reach, BASE)[0 if version == 4 else 1]
    return [line[5:] for line in document.splitlines() if line.startswith("-A @ ")]


def partition(how: str = "blackhole", client: str | None = "api") -> PartitionFault:
    return PartitionFault.model_validate({"partition": "database", "client": client, "how": how})


def delay(by: str, jitter: str = "0s") -> DelayFault:
    return DelayFault.model_validate({"delay": "database", "by": by, "jitter": jitter})


def throttle(size: int) -> ThrottleFault:
    return ThrottleFault(throttle="database", bytes_per_s=size)


def test_each_address_is_cut_in_both_directions_before_any_other_rule() -> None:
    assert rules(partition(), BOTH) == ["-d 10.0.0.2 -j DROP", "-s 10.0.0.2 -j DROP"]
    assert rules(partition(), BOTH, 6) == ["-d fd00::2 -j DROP", "-s fd00::2 -j DROP"]
    document = documents(partition(), BOTH, BASE)[0].splitlines()
    assert document[:2] == ["*filter", ":@ - [0:0]"]
    assert document[-3:] == ["-I INPUT 1 -j @", "-I OUTPUT 1 -j @", "COMMIT"]


def test_only_ipv4_has_no_document_for_ipv6() -> None:
    assert documents(partition(), Reach((Peer(("10.0.0.2",)),)), BASE)[1] == ""
    assert documents(partition(client=None), Reach(all_but=("10.0.0.1",)), BASE)[1] == ""


@pytest.mark.parametrize("mine", [False, True])
def test_a_port_is_of_the_end_that_listens(mine: bool) -> None:
    there, here = ("--sport", "--dport") if mine else ("--dport", "--sport")
    assert rules(partition(), Reach((Peer(("10.0.0.2",), 15432, mine),))) == [
        f"-p tcp -d 10.0.0.2 {there} 15432 -j DROP",
        f"-p tcp -s 10.0.0.2 {here} 15432 -j DROP",
    ]


def test_a_reset_lets_connections_begin_and_a_refusal_does_not() -> None:
    resets = "-p tcp --tcp-flags RST RST -j RETURN"
    begins = "-p tcp --tcp-flags SYN SYN -j RETURN"
    broken = rules(partition("reset"), BOTH)
    refused = rules(partition("refuse"), BOTH)
    assert broken[:2] == [resets, begins]
    assert refused == [resets, *broken[2:]]
    assert broken[2:4] == [
        "-p tcp -d 10.0.0.2 -j REJECT --reject-with tcp-reset",
        "-d 10.0.0.2 -j REJECT",
    ]
    one_port = rules(partition("refuse"), Reach((Peer(("10.0.0.2",), 80),)))
    assert one_port[1] == "-p tcp -d 10.0.0.2 --dport 80 -j REJECT --reject-with tcp-reset"
    assert len(one_port) == 3


def test_everything_is_all_but_loopback_gateways_and_what_finds_them() -> None:
    reach = Reach(all_but=("10.0.0.1", "fd00::1"), has_ipv6=True)
    found = rules(partition(client=None), reach)
    assert found[:2] == ["-i lo -j RETURN", "-o lo -j RETURN"]
    assert found[2:] == ["-s 10.0.0.1 -j RETURN", "-d 10.0.0.1 -j RETURN", "-j DROP"]
    six = rules(partition(client=None), reach, 6)
    assert "-s fd00::1 -j RETURN" in six
    assert "-p ipv6-icmp --icmpv6-type 135 -j RETURN" in six
    assert six[-1] == "-j DROP"


def test_a_share_is_lost_in_both_directions() -> None:
    assert rules(LoseFault(lose="database", percent=5), BOTH) == [
        "-d 10.0.0.2 -m statistic --mode random --probability 0.05 -j DROP",
        "-s 10.0.0.2 -m statistic --mode random --probability 0.05 -j DROP",
    ]


def test_what_waits_is_what_leaves() -> None:
    document = documents(throttle(1000), BOTH, BASE)[0].splitlines()
    assert document == [
        "*mangle",
        ":@ - [0:0]",
        f"-A @ -d 10.0.0.2 -j CLASSIFY --set-class {class_of(BASE)}",
        "-I POSTROUTING 1 -j @",
        "COMMIT",
    ]


def test_words_for_tc() -> None:
    """The words for netem were not tried on every machine: not every kernel has it."""
    assert leaf(delay("300ms")) == "netem limit 100000 delay 300000us"
    assert leaf(delay("1.5s", "200ms")) == "netem limit 100000 delay 1500000us 200000us"
    assert leaf(throttle(100_000)) == "tbf rate 100000bps burst 3028 limit 43028"
    assert leaf(throttle(10_000_000)) == "tbf rate 10000000bps burst 200000 limit 4200000"
    assert leaf(partition()) == ""


def test_chains_are_found_by_any_part_of_what_they_are() -> None:
    chain = BASE + "n"
    assert len(chain) < 29  # the kernel's limit
    for parts in [
        ("database", "api", "gameday-partition"),
        ("database", None, "gameday-partition"),
        ("database", None, None),
        (None, "api", None),
    ]:
        assert fnmatch.fnmatchcase(chain, pattern_of("hotel", *parts))
    for instance, *others in [
        ("hotel@b", "database", "api", "gameday-partition"),
        ("hotel", "cache", "api", "gameday-partition"),
        ("hotel", "database", "other", None),
        ("hotel", "database", "", None),
        ("hotel", "database", "api", "gameday-lose"),
    ]:
        assert not fnmatch.fnmatchcase(chain, pattern_of(instance, *others))
    assert 0 < int(class_of(BASE).partition(":")[2], 16) < 0xFFFF


# --- who is on which path -------------------------------------------------------------------------------------


def node(name: str, networks: dict[str, str], state: str = "running", mode: str = "") -> Node:
    ends = {key: {"IPAddress": address, "Gateway": "10.0.0.1"} for key, address in networks.items()}
    inspected: dict[str, Any] = {
        "NetworkSettings": {"Networks": ends},
        "HostConfig": {"NetworkMode": mode},
    }
    return Node.of(Container(name, name, state, "image"), inspected)


def hotel(*links: dict[str, Any], **more: tuple[Node, ...]) -> Topology:
    nodes = {
        "api": (node("api-1", {"front": "10.0.0.2"}), node("api-2", {"front": "10.0.0.3"})),
        "database": (node("database-1", {"front": "10.0.0.4", "back": "10.1.0.4"}),),
        "proxy": (node("proxy-1", {"front": "10.0.0.5"}),),
        "backup": (node("backup-1", {"back": "10.1.0.6"}),),
        "far": (node("far-1", {"elsewhere": "10.2.0.7"}),),
        **more,
    }
    return Topology(nodes, tuple(Link.model_validate(link) for link in links))


VIA = {"client": "api", "server": "database", "via": "proxy", "port": 15432}


def placed(topology: Topology, fault: NetworkFault) -> dict[str, Reach]:
    return {where.container.name: reach for where, reach in topology.placements(fault)}


def test_a_partition_is_put_into_each_container_of_the_client() -> None:
    database = Reach((Peer(("10.0.0.4",)),))
    assert placed(hotel(), partition()) == {"api-1": database, "api-2": database}
    proxy = Reach((Peer(("10.0.0.5",), 15432),))
    assert placed(hotel(VIA), partition()) == {"api-1": proxy, "api-2": proxy}
    assert placed(hotel(), partition(client=None)) == {"database-1": Reach(all_but=("10.0.0.1", "10.0.0.1"))}


def test_what_slows_is_put_at_the_end_that_sends() -> None:
    narrow = ThrottleFault(throttle="database", client="api", bytes_per_s=1)
    back = Reach((Peer(("10.0.0.2",)), Peer(("10.0.0.3",))))
    assert placed(hotel(), narrow)["database-1"] == back
    through = placed(hotel(VIA), narrow)
    assert set(through) == {"api-1", "api-2", "proxy-1"}
    assert through["proxy-1"].peers[0] == Peer(("10.0.0.2",), 15432, mine=True)
    late = DelayFault.model_validate({"delay": "database", "by": "1s"})
    assert set(placed(hotel(), late)) == {"api-1", "api-2", "backup-1", "proxy-1"}
    assert set(placed(hotel(VIA), late)) == {
        "api-1",
        "api-2",
        "backup-1",
    }  # else what passes a proxy is late twice


def test_what_does_not_run_or_has_no_network_of_its_own_is_left_out() -> None:
    topology = hotel(
        api=(node("api-1", {"front": ""}, state="exited"), node("api-2", {"front": "10.0.0.3"})),
        far=(node("far-1", {"host": ""}, mode="host"),),
    )
    assert set(placed(topology, partition())) == {"api-2"}
    assert topology.clients("database") == ("api", "proxy", "backup")
    assert topology.running("far") == ()
