"""What a runner and a dead-man switch say to each other: lines, over a pipe or a container's standard input.

hello {"environ": {...}, "runner": {"pid": 1, "created": 1.0}}    to a switch in a container, once and first;
    answered by `ready`, or by `refused` and the reason
deadline NANOSECONDS    answered by `armed`, or by `refused` and the reason
disarm                  nothing is left to revert: it ends
"""

from __future__ import annotations

HELLO = b"hello "
ARM = b"deadline "
DISARM = b"disarm"
READY = b"ready"
ARMED = b"armed"
REFUSED = b"refused "
