"""Slow and narrow paths: the queue in which packets wait. Decides, and touches nothing.

Packets are told apart by iptables, which puts them into a class (see `partition`); everything else on the interface
passes as before. The class is one of htb, at whose root what has no class is not held up; prio would do too, and fewer
kernels have it.
"""

from __future__ import annotations

from gameday.fault_spec import DelayFault, NetworkFault, ThrottleFault

_PACKET = 1514
_BURST_S = 0.02
_WAITING_S = 0.4


def leaf(fault: NetworkFault) -> str:
    """Words for `tc qdisc add dev DEVICE parent CLASS`; empty for faults that need none."""
    match fault:
        case ThrottleFault():
            return _bucket(fault.bytes_per_s)
        case DelayFault():
            jitter = f" {_us(fault.jitter)}us" if fault.jitter else ""
            return f"netem limit 100000 delay {_us(fault.by)}us{jitter}"
        case _:
            return ""


def _bucket(bytes_per_s: int) -> str:
    """tc reads `bps` as bytes a second. What exceeds the burst is cut into packets by tbf itself, so a small burst
    makes a slow line flow instead of bursting."""
    burst = max(2 * _PACKET, round(bytes_per_s * _BURST_S))
    waiting = max(20 * _PACKET, round(bytes_per_s * _WAITING_S))
    return f"tbf rate {bytes_per_s}bps burst {burst} limit {burst + waiting}"


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
