"""Lines that somebody else writes into a container's own log, as the kubelet collects it.

A shell in the container writes to where its first process has its output. It ends at its total, after its time, and
with the container. It takes no container of its own: one that is added to a pod cannot be taken away again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gameday.agents import BEGUN
from gameday.errors import OperationTimedOut, TargetError, UsageError
from gameday.targets.base import Execution
from gameday.targets.kubernetes.own_pod import Templates
from gameday.targets.kubernetes.pods import Pod
from gameday.targets.waiting import Deadline

_CHECK_TIMEOUT_S = 30.0
_OUTPUT = "/proc/1/fd/1"
_CHECK = f"""
for needed in timeout readlink sleep tr; do
  command -v $needed >/dev/null || {{ echo "its image has no $needed"; exit 1; }}
done
output=$(readlink {_OUTPUT}) || {{ echo "its first process is another user's, not to be written to"; exit 1; }}
case "$output" in
  pipe:*|/dev/pts/*) ;;
  *) echo "its first process does not write to the log of the kubelet, but to $output"; exit 1 ;;
esac
(: >>{_OUTPUT}) 2>/dev/null || {{ echo "the output of its first process cannot be written to"; exit 1; }}
"""
# Each line is one write, which a pipe takes whole, so that no line of others is torn.
_WRITER = f"""
exec >>{_OUTPUT} || exit 1
trap 'exit 0' TERM
now() {{ read -r up _ </proc/uptime; up=${{up%.*}}${{up#*.}}; }}
now
rate=$1 lines=$2 begun=$up ends=$((up + $3 * 100)) written=0
while [ $written -lt $lines ]; do
  now
  [ $up -lt $ends ] || break
  due=$(((up - begun) * rate / 100 + 1))
  [ $due -lt $lines ] || due=$lines
  while [ $written -lt $due ]; do
    written=$((written + 1))
    printf 'gameday floods this log from outside: line %s of %s\\n' $written $lines
  done
  sleep 0.05
done
"""
# What is left in a container becomes a child of its first process, and a PostgreSQL takes one that ends by a signal, or
# not with 0 or 1, for a crash of its own. So this ends with 0, and the writer when it waits for nothing; the time-out
# is for one that cannot go on, because nobody reads the log.
_KEEPER = 'timeout -k 1 -s TERM "$5" sh -c "$1" gameday-flood-writer "$2" "$3" "$4"; exit 0'
_BEGIN = f"""
{_CHECK}
sh -c "$1" gameday-flood-keeper "$2" "$3" "$4" "$5" "$6" </dev/null >/dev/null 2>&1 &
sleep 0.1
kill -0 $! 2>/dev/null && echo "{BEGUN}$3 lines a second"
"""
# the mark is put together here, or this shell and what started it would have it themselves
_END = """
mark=gameday-flood
found=
tries=0
while [ $tries -lt 50 ]; do
  left=
  for process in /proc/[0-9]*; do
    line=$(tr '\\0' ' ' <"$process/cmdline" 2>/dev/null) || continue
    case "$line" in
      *"$mark-keeper "*) left=yes found=yes ;;
      timeout*) ;;
      *"$mark-writer "*) [ $tries -lt 20 ] && end=TERM || end=KILL; kill -$end "${process#/proc/}" ;;
    esac
  done 2>/dev/null
  [ -n "$left" ] || break
  tries=$((tries + 1))
  sleep 0.1
done
[ -z "$left" ] || { echo "a writer goes on"; exit 1; }
[ -z "$found" ] || echo ended
"""


class PodLogs(Templates):
    """Implements `Floodable`."""

    def check_flood(self, component: str) -> str:
        """Whether its container can write into its own log, found out in it."""
        deadline = Deadline.after(_CHECK_TIMEOUT_S)
        self.cluster.await_cluster(deadline)
        victim = self._to_flood(component)
        self._check_apart(component)
        done = self._beside(component, victim, ("sh", "-c", _CHECK), deadline)
        if done.exit_code != 0:
            raise UsageError(f"flood {component}: {victim}: {done.output.strip()[:500]}")
        return f"a shell in {victim} writes to the output of its first process, which goes to its log"

    def flood(self, component: str, lines_per_s: int, lines: int, ttl_s: float, timeout_s: float) -> str:
        """Begin to write into the log of its first pod that runs."""
        with self._operation(component, timeout_s) as deadline:
            victim = self._to_flood(component)
            self._check_apart(component)
            self._end_floods(component, deadline)
            ttl = math.ceil(ttl_s)
            pace = (str(lines_per_s), str(lines), str(ttl), str(ttl + 1))
            argv = ("sh", "-c", _BEGIN, "gameday", _KEEPER, _WRITER, *pace)
            done = self._beside(component, victim, argv, deadline)
            if BEGUN not in done.output:
                raise TargetError(f"flood {component}: {victim}: {done.output.strip()[:500] or 'no word'}")
            return f"{lines_per_s} lines a second go into the log of {victim}, {lines} in all"

    def unflood(self, component: str, timeout_s: float) -> str:
        """End it."""
        with self._operation(component, timeout_s) as deadline:
            ended = self._end_floods(component, deadline)
            return f"ended the flood of {component}" if ended else f"nobody floods the log of {component}"

    def _to_flood(self, component: str) -> Pod:
        running = self._pods(component)
        if not running:
            raise TargetError(f"flood {component}: it is down, it has no log to write to")
        return running[0]

    def _check_apart(self, component: str) -> None:
        """Raises UsageError where the first process in its container's sight is not its container's."""
        for one in self._workloads(component):
            own = self._own(component, one)
            shared = [name for name in ("shareProcessNamespace", "hostPID") if own.spec.get(name)]
            if shared:
                raise UsageError(
                    f"flood {component}: {one} has {shared[0]}, so the first process that its containers see is not "
                    f"theirs, and their log cannot be written to"
                )

    def _end_floods(self, component: str, deadline: Deadline) -> bool:
        """Whether there were any, in the pods that run; with a container its flood ends too."""
        found = False
        for pod in self._pods(component):
            try:
                done = self._beside(component, pod, ("sh", "-c", _END), deadline)
            except OperationTimedOut:
                raise
            except TargetError:
                if self._runs(component, pod):
                    raise
                continue
            if done.exit_code != 0:
                raise TargetError(f"unflood {component}: {pod}: {done.output.strip()[:500]}")
            found = found or "ended" in done.output
        return found

    def _runs(self, component: str, pod: Pod) -> bool:
        """Whether its containers run still."""
        return any(one.uid == pod.uid and not one.waiting for one in self._pods(component))

    def _beside(self, component: str, pod: Pod, argv: Sequence[str], deadline: Deadline) -> Execution:
        return self.cluster.execute(pod.name, self._container(component, pod), argv, deadline)
