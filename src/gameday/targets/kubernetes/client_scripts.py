"""Strange clients as shell scripts: what an image of a database or a cache has of its own is enough for them.

Each waits for its password, which is brought to it when it runs, so that the API server never has it. Each ends by
itself after its time-to-live, and when an operator ends its session; a line that begins with `BEGUN` says that it is in
force. They do what `gameday.agents` does where gameday's own image is.
"""

from __future__ import annotations

from gameday.agents import BEGUN

REPORT, IMPORT = "nightly-report", "nightly-import"
"""What they call themselves."""
WORD = "/tmp/word"  # noqa: S108 - in a helper, whose /tmp is its own
GIVE_WORD = f"""
until [ -p {WORD} ]; do sleep 0.05; done
IFS= read -r word
printf '%s\\n' "$word" >{WORD}
"""
"""Run beside a client: passes on the password that it reads."""
_COMMON = f"""
set -u
trap '' PIPE
mkfifo /tmp/in /tmp/out {WORD} || exit 1
IFS= read -r word <{WORD}
rm {WORD}
now() {{ read -r up _ </proc/uptime; up=${{up%.*}}${{up#*.}}; }}
now
"""

EXHAUST = (
    _COMMON  # noqa: S608 - a script of this project's own
    + f"""
url=$1 ends=$((up + $2 * 100)) held=0 tries=0 begun= control= refusal= server=
export PGPASSWORD="$word" PGAPPNAME={REPORT} PGCONNECT_TIMEOUT=5
most=2000 # processes

ended() {{ echo "ended with $held connections: $1"; exit 0; }}

ordered() {{ # WORDS: ends where an operator ended this session; a server that shuts down says the same, to all
  case "$1" in *"due to administrator command"*) ;; *) return 0 ;; esac
  if other=$(psql -X -A -t -q -d "$url" -c "$since" 2>&1 3>&- 4<&-); then
    [ "$other" != "$server" ] || ended "an operator ended its session"
  elif room "$other"; then
    ended "an operator ended its session"
  fi
}}

room() {{ # WORDS: whether they refuse for want of room
  case "$1" in *"too many clients"*|*"remaining connection slots"*|*"too many connections"*) ;; *) return 1 ;; esac
}}

connect() {{ # the session that ends those of others, which it can when no other connection is left
  psql -X -A -t -q -d "$url" </tmp/in >/tmp/out 2>&1 &
  exec 3>/tmp/in 4</tmp/out
  control=yes
  ask "$since" || return 1
  [ "$server" = "$answer" ] || {{ rm -f /tmp/said.*; held=0; }} # those of a server that has gone
  server=$answer
}}

ask() {{ # STATEMENT: its one answer is in $answer
  answer=
  if [ -n "$control" ] && printf '%s;\\n' "$1" >&3 2>/dev/null && IFS= read -r answer <&4; then
    ordered "$answer"
    case "$answer" in *[!0-9]*|"") ;; *) return 0 ;; esac
  fi
  exec 3>&- 4<&-
  control=
  return 1
}}

take() {{ # until refused: 0 for want of room
  while now && [ "$up" -lt "$ends" ] && [ "$held" -lt "$most" ]; do
    tries=$((tries + 1)) said=/tmp/said.$tries
    psql -X -A -t -q -o /dev/null -d "$url" </tmp/hold >"$said" 2>&1 3>&- 4<&- &
    until [ -s "$said" ] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
    IFS= read -r first <"$said" || first=
    if [ "$first" = held ]; then
      held=$((held + 1))
      continue
    fi
    refusal=$(cat "$said")
    rm -f "$said"
    room "$refusal"
    return
  done
  return 1
}}

lost() {{ # sessions that ended
  asked=
  for said in /tmp/said.*; do
    [ -e "$said" ] || continue
    case "$(cat "$said")" in
      held) ;;
      *)
        [ -n "$asked" ] || ordered "$(cat "$said")"
        asked=yes
        rm -f "$said"
        held=$((held - 1))
        ;;
    esac
  done
}}

# Idle but for a question a second: so it notices that its session was ended, and the server that it has gone.
printf '%s\\n' '\\echo held' 'select 1 \\watch 1' >/tmp/hold
since="select extract(epoch from pg_postmaster_start_time())::bigint"
others="select count(pg_terminate_backend(pid)) from pg_stat_activity where backend_type = 'client backend'"
others="$others and usename = current_user and application_name <> '{REPORT}'"
until connect; do
  now
  [ "$up" -lt "$ends" ] || ended "its time was over"
  room "$answer" || {{ echo "cannot connect: $answer"; exit 1; }}
  sleep 0.1
done
while now && [ "$up" -lt "$ends" ]; do
  ask 'select 1' || connect || {{ lost; sleep 0.2; continue; }}
  full=
  if take; then
    full=yes
    if ask "$others" && [ "$answer" -gt 0 ]; then take || full=; fi
  fi
  lost
  if [ -n "$full" ] && [ -z "$begun" ]; then
    begun=yes
    echo "{BEGUN}holds $((held + 1)) connections, none is left"
  fi
  if [ -z "$full" ] && [ -z "$begun" ] && [ -n "$refusal" ]; then
    echo "cannot connect: $refusal"
    exit 1
  fi
  sleep 0.1
done
ended "its time was over"
"""  # noqa: S608 - a script of this project's own
)
"""`EXHAUST URL TTL`: takes every connection and each that becomes free, and keeps them."""

FLUSH = (
    _COMMON
    + f"""
host=$1 port=$2 user=$3 database=$4 every=$5 ends=$((up + $6 * 100)) count=0
[ -z "$word" ] || export REDISCLI_AUTH="$word"
cli=$(command -v redis-cli || command -v valkey-cli) || {{ echo "this image has no redis-cli"; exit 1; }}
"$cli" -h "$host" -p "$port" -n "$database" ${{user:+--user "$user"}} --no-auth-warning </tmp/in >/tmp/out 2>&1 &
exec 3>/tmp/in 4</tmp/out

ask() {{ # COMMAND: its one answer is in $answer
  answer=
  printf '%s\\n' "$1" >&3 2>/dev/null && IFS= read -r answer <&4
}}

ask 'CLIENT SETNAME {IMPORT}'
[ "$answer" = OK ] || {{ echo "cannot connect: $answer"; exit 1; }}
while now && [ "$up" -lt "$ends" ]; do
  ask 'CLIENT GETNAME' # it connects again by itself, without a name
  [ "$answer" = {IMPORT} ] || {{ echo "ended after $count flushes: its connection was ended"; exit 0; }}
  ask FLUSHALL
  [ "$answer" = OK ] || {{ echo "ended after $count flushes: $answer"; exit 0; }}
  count=$((count + 1))
  [ "$count" -gt 1 ] || echo "{BEGUN}flushed once"
  sleep "$every"
done
echo "ended after $count flushes: its time was over"
"""
)
"""`FLUSH HOST PORT USER DATABASE EVERY TTL`: empties a cache every so many seconds."""
