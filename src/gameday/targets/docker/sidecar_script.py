"""What runs in a container's network namespace, in a helper's shell: a shell is there in a few milliseconds.

`put BASE TTL` puts what is in its variables, says `in force`, waits, and removes it; `heal PATTERN…` removes chains;
`probe` says what this kernel can do. A chain's last letter is `n` where its table was not there before it: then the
table goes with the last chain, so that nothing at all is left.
"""

from __future__ import annotations

SCRIPT = r"""
set -u
ROOT=6da0:
WIDE="rate 100gbit burst 1mb cburst 1mb quantum 60000"

chains() { # PATTERN...: command, table and chain of each chain that is there
  for command in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
    "$command-save" 2>/dev/null | while read -r first _; do
      case $first in
        '*'*) table=${first#?} ;;
        :*) for pattern in "$@"; do
              case ${first#:} in $pattern) echo "$command $table ${first#:}"; break ;; esac
            done ;;
      esac
    done
  done
}

devices() { ip -o link show up | sed -n 's/^[0-9]*: \([^:@]*\).*/\1/p' | grep -vx lo; }

unshape() { # CLASS
  for device in $(devices); do
    tc class del dev "$device" classid "$1" 2>/dev/null
    case $(tc qdisc show dev "$device" root) in
      *"htb $ROOT"*) [ -n "$(tc class show dev "$device")" ] || tc qdisc del dev "$device" root ;;
    esac
  done
}

drop_table() { # COMMAND TABLE: where it is empty, and the kernel's nft can
  case $1 in iptables-nft) family=ip ;; ip6tables-nft) family=ip6 ;; *) return 0 ;; esac
  "$1" -t "$2" -S | grep -qvE '^-P [A-Z]+ ACCEPT$' && return 0
  if command -v nft >/dev/null; then nft delete table "$family" "$2"; fi
}

heal() { # PATTERN...
  chains "$@" | while read -r command table chain; do
    for class in $("$command" -t "$table" -S "$chain" | sed -n 's/.*--set-class \([0-9a-f:]*\).*/\1/p' | sort -u); do
      unshape "$class"
    done
    for hook in INPUT OUTPUT POSTROUTING; do
      while "$command" -t "$table" -D "$hook" -j "$chain" 2>/dev/null; do :; done
    done
    "$command" -t "$table" -F "$chain" && "$command" -t "$table" -X "$chain" && echo "removed $chain"
    case $chain in *n) drop_table "$command" "$table" ;; esac
  done
  left=$(chains "$@")
  [ -z "$left" ] || { echo "still there: $left"; return 1; }
}

restore() { # FAMILY RULES: by the first backend that the kernel takes
  [ -n "$2" ] || return 0
  table=${2%%
*}
  problems=""
  for kind in nft legacy; do
    mark=o
    case $("$1-$kind-save" 2>/dev/null) in *"$table"*) ;; *) mark=n ;; esac
    [ -z "$(chains 'GAMEDAY-*n' | grep "^$1-$kind ${table#?} ")" ] || mark=n
    problem=$(echo "$2" | sed "s/@/$BASE$mark/g" | "$1-$kind-restore" --noflush 2>&1) && return 0
    problems="$problems $1-$kind: $problem"
  done
  echo "$problems"
  return 1
}

shape() {
  [ -n "$LEAF" ] || return 0
  for device in $(devices); do
    root=$(tc qdisc show dev "$device" root)
    case $root in
      *"htb $ROOT"*) ;;
      *" 0: "*|"") tc qdisc add dev "$device" root handle "$ROOT" htb default 0 direct_qlen 10000 2>&1 || return 1 ;;
      *) echo "$device has a queue discipline of its own, which is left alone: $root"; return 1 ;;
    esac
    tc class add dev "$device" parent "$ROOT" classid "$CLASS" htb $WIDE 2>&1 || return 1
    tc qdisc add dev "$device" parent "$CLASS" $LEAF 2>&1 || return 1
  done
}

put() {
  heal "$BASE?" || return 1
  restore iptables "$RULES4" && restore ip6tables "$RULES6" && shape
}

able() { # NAME COMMAND...
  name=$1; shift
  if said=$("$@" 2>&1); then echo "$name yes"; else echo "$name $said" | head -1; fi
}

probe() {
  rule() { iptables-nft "$@" || iptables-legacy "$@"; }
  able reject rule -A INPUT -p tcp -j REJECT --reject-with tcp-reset
  able lose rule -A INPUT -m statistic --mode random --probability 0.5 -j DROP
  able classify rule -t mangle -A POSTROUTING -j CLASSIFY --set-class "${ROOT}1"
  able htb tc qdisc add dev lo root handle "$ROOT" htb default 0 direct_qlen 10000
  able class tc class add dev lo parent "$ROOT" classid "${ROOT}1" htb $WIDE
  able class tc class add dev lo parent "$ROOT" classid "${ROOT}2" htb $WIDE
  able tbf tc qdisc add dev lo parent "${ROOT}1" tbf rate 100000bps burst 5000 limit 50000
  able netem tc qdisc add dev lo parent "${ROOT}2" netem delay 10ms
}

mode=$1; shift
case $mode in
  put)
    BASE=$1
    trap 'heal "$BASE?"; exit' TERM INT
    if problem=$(put); then
      echo "in force"
      sleep "$2" & wait $!
      heal "$BASE?"
    else
      heal "$BASE?"
      echo "failed: $problem"
      sleep 5 & wait $!  # so that somebody can read it
      exit 1
    fi ;;
  heal) heal "$@" ;;
  probe) probe ;;
esac
"""
