"""Ending the sessions of a cache's clients, as an operator does, over the Redis protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from gameday.agents.resp import RespClient, RespError
from gameday.errors import TargetError
from gameday.targets.base import Address
from gameday.targets.waiting import Deadline

_ASK_TIMEOUT_S = 10.0


def end_cache_sessions(
    component: str, address: Address, keep: Sequence[str], deadline: Deadline
) -> list[str]:
    """The names of the clients whose connections were ended: all but those named, and this one."""
    ended: list[str] = []
    try:
        with RespClient(address.host, address.port, deadline.at_most(_ASK_TIMEOUT_S).left_s()) as cache:
            cache.authenticate(urlsplit(address.url))
            own = cache.command("CLIENT", "ID")
            for line in str(cache.command("CLIENT", "LIST", "TYPE", "normal")).splitlines():
                fields = dict(word.partition("=")[::2] for word in line.split(" "))
                name = fields.get("name", "")
                if fields["id"] == str(own) or name in keep:
                    continue
                if cache.command("CLIENT", "KILL", "ID", fields["id"]):  # 0: it left meanwhile
                    ended.append(name)
    except (OSError, RespError, KeyError) as error:
        raise TargetError(f"disconnect {component}: {error}") from error
    return ended


def describe_ended(component: str, ended: Sequence[str]) -> str:
    """For people; `ended` are the clients' names."""
    if not ended:
        return f"no session of {component} to end"
    counts = ", ".join(f"{count} of {name or 'no name'}" for name, count in Counter(ended).most_common())
    return f"ended {len(ended)} sessions of {component}: {counts}"
