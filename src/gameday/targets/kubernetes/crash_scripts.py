"""How a PostgreSQL in a pod crashes: what `sh` does in its container. `$1` is its data directory; after `$2` seconds it
goes on, where nothing has ended it."""

from __future__ import annotations

# whoever starts a server there finds no PG_VERSION, and initdb refuses a folder that is not empty
DESTROY = """
echo "gameday destroys what is here" >"$1/.gameday-destroyed"
rm -f "$1/PG_VERSION"
"""
# its process in `pid`, and what is to stand still in `found`
_SERVER = """
pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || pid=
[ -n "$pid" ] || exit 0
found=
for status in /proc/[0-9]*/status; do
  while read -r name value; do
    [ "$name" = PPid: ] || continue
    [ "$value" = "$pid" ] && { child=${status#/proc/}; found="$found ${child%/status}"; }
    break
  done <"$status"
done 2>/dev/null
[ "$pid" = 1 ] || found="$pid $found"
[ -n "$found" ] || exit 0
"""
# The kubelet's SIGTERM comes before its SIGKILL, and on it a server stops in an orderly way: it ends sessions, writes a
# checkpoint and archives. Ended before its pod is deleted it may be started again by the kubelet, and then stop so.
# So its processes stand still first, all but the container's first one, which cannot be made to and waits for them;
# once the pod is being deleted they are ended. If that never comes they go on after `$2` seconds. The one that sees to
# it ends with 0: it becomes a child of the container's first process, and a PostgreSQL takes any other end of a child
# for a crash.
FREEZE = f"""{_SERVER}
(sleep "$2"; kill -CONT $found; exit 0) >/dev/null 2>&1 &
kill -STOP $found 2>/dev/null
exit 0  # who has ended meanwhile need not stand still
"""
# The stop signal is waited for: until it has sent that, a kubelet starts again what has ended. Told to end at once, and
# then left without its children, a server cannot begin anew, nor write a checkpoint. Where it is not the container's
# first process it stands still too, and the kubelet ends it.
CRASH = f"""{_SERVER}
[ "$pid" = 1 ] || exit 0
tries=0
until grep -q "^stopping" "$1/postmaster.pid"; do
  tries=$((tries + 1))
  [ $tries -lt 160 ] || exit 1
  sleep 0.05
done
kill -QUIT 1
kill -KILL $found
"""
