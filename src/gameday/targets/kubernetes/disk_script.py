"""What is done on a disk by a shell in its container, or in a helper that has it mounted.

`SCRIPT COMMAND PATH [PATTERN…]`; commands: `describe`; `fill` to the last byte; `unfill`; `reclaim` deletes the regular
files whose names match. Its answer are lines of a word and a value.
"""

from __future__ import annotations

from collections.abc import Sequence

from gameday.agents.disk_files import CORE, LARGEST
from gameday.targets.disk_words import DiskAnswer

SCRIPT = f"""
set -u
command=$1 path=$2
shift 2

problem() {{ echo "problem $1"; exit 0; }}

device() {{ stat -c %d "$1" 2>/dev/null; }}

space() {{
  set -- $(stat -f -c '%S %b %a' "$path")
  size=$(($1 * $2)) free=$(($1 * $3))
}}

memory() {{ # how much more the container may take, in bytes, but for a tenth; nothing where there is no limit
  set -- /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.current /sys/fs/cgroup/memory.stat inactive_file
  [ -r "$1" ] || set -- /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory/memory.usage_in_bytes \\
    /sys/fs/cgroup/memory/memory.stat total_inactive_file
  [ -r "$1" ] || return 0
  limit=$(cat "$1")
  case "$limit" in max|????????????????*) return 0 ;; esac
  cached=$(sed -n "s/^$4 //p" "$3")
  echo $((limit - limit / 10 - $(cat "$2") + ${{cached:-0}}))
}}

check() {{
  [ -d "$path" ] && [ ! -L "$path" ] || problem "is no folder"
  for other in "$path/.." / /etc/hosts /etc/resolv.conf /dev/termination-log; do
    [ "$(device "$path")" != "$(device "$other")" ] ||
      problem "is no disk of its own: to fill it would fill the disk of the node"
  done
  space
  [ "$size" -gt 0 ] && [ "$size" -le {LARGEST} ] ||
    problem "is a disk of $size bytes; at most {LARGEST} are filled"
  [ -w "$path" ] || problem "cannot be written by its container's user"
  left=$(memory)
  if [ "$command" != reclaim ] && [ "$(stat -f -c %T "$path")" = tmpfs ] && [ -n "$left" ]; then
    [ "$free" -lt "$left" ] || problem "has $free bytes free, which are memory, and its container can spare $left: \\
to fill it would end the container; give it a smaller sizeLimit, or the container more memory"
  fi
}}

core=$path/{CORE}
case $command in
  describe) check ;;
  fill)
    check
    [ ! -L "$core" ] || problem "has a symbolic link {CORE}"
    umask 077
    (ulimit -f {LARGEST // 512}; exec cat /dev/zero >>"$core") 2>/dev/null
    echo "written $(stat -c %s "$core")"
    # in a subshell: where no file can be made, a redirection ends the shell
    (printf x >>"$core") 2>/dev/null || echo "full yes"
    ;;
  unfill)
    [ ! -f "$core" ] || {{ rm -f -- "$core" && echo "deleted {CORE}"; }}
    [ -d "$path" ] || exit 0
    ;;
  reclaim)
    check
    cd "$path" || exit 1
    first=$1
    shift
    for pattern; do set -- "$@" -o -name "$pattern"; shift; done
    find . -xdev -type f \\( -name "$first" "$@" \\) -exec sh -c '
      for file; do
        bytes=$(stat -c %s "$file") && rm -f -- "$file" && printf "freed %s %s\\n" "$bytes" "${{file#./}}"
      done' sh {{}} +
    ;;
esac
space
echo "size $size"
echo "free $free"
"""


def arguments(command: str, path: str, patterns: Sequence[str] = ()) -> tuple[str, ...]:
    """The command that runs `SCRIPT`."""
    return ("sh", "-c", SCRIPT, "gameday", command, path, *patterns)


def understood(output: str) -> DiskAnswer:
    """A list of names that was too long is cut in its middle."""
    found = DiskAnswer()
    for line in output.splitlines():
        word, _, value = line.partition(" ")
        if word == "problem":
            found.problem = value
        elif word in ("size", "free", "written") and value.isdigit():
            setattr(found, word, int(value))
        elif word == "full":
            found.full = True
        elif word == "deleted":
            found.deleted.append(value)
        elif word == "freed":
            size, _, name = value.partition(" ")
            if size.isdigit():
                found.freed += int(size)
                found.deleted.append(name)
    return found
