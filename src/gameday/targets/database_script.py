"""What is done to a database's directories, by a shell that sees them: a helper's, or one of the database's own image.

`SCRIPT MODE DATA BACKUP ARCHIVE …`; modes: `check` says when the backup was taken; `destroy`; `restore HAD WAL CONF`
puts the backup in place of the data; `undo` puts the old data back; `settle` ends what an interrupted restore left;
`tidy` removes the old data.

The data directory may be a mount, which cannot be renamed, so everything is kept in it. Each step is a rename, and
PG_VERSION, without which no server and no initdb begins, leaves first and comes last: a helper may be killed at any
moment, and whoever starts the container then meets the old data, the new, or a refusal.
"""

from __future__ import annotations

from pathlib import Path

from gameday.docker_spec import ContainerPostgresql
from gameday.targets.postgresql import restore_command

_SETTINGS = ("restore_command", "recovery_target", "recovery_target_timeline", "recovery_target_action")
FORGET = (*(f"alter system reset {name}" for name in _SETTINGS), "select pg_reload_conf()")
"""Statements: the settings of a recovery have no effect after it, but would be in the next base backup."""


def configuration(spec: ContainerPostgresql, to: str) -> str:
    """CONF: appended to postgresql.auto.conf. Every setting is given: the backup may have others of its own."""
    command = restore_command(Path(spec.archive)) if spec.archive else "false"
    only = to == "backup"
    values = (command, "immediate" if only else "", "current" if only else "latest", "promote")
    lines = [f"{name} = '{_escaped(value)}'" for name, value in zip(_SETTINGS, values, strict=True)]
    return "\n".join(["", *lines, ""])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def arguments(mode: str, spec: ContainerPostgresql, *more: str) -> list[str]:
    """The command that runs `SCRIPT`."""
    return ["sh", "-c", SCRIPT, "gameday", mode, spec.data, spec.backup, spec.archive or "", *more]


SCRIPT = r"""
set -eu
NEW=.gameday-new
ASIDE=.gameday-aside
WHOLE=.gameday-aside-is-whole  # everything old has been put aside: what else is there is new
DESTROYED=.gameday-destroyed   # initdb refuses a directory that has a file

fail() { echo "$1"; exit 1; }

own() { # AS PATHS: whoever is not root has made them, so they are the server's already
  as=$1
  shift
  [ "$(id -u)" != 0 ] || chown --reference="$as" "$@"
}

outside() { # WHAT PATH FOLDER: symbolic links and mounts of the same folder are seen through
  at=$2
  while :; do
    [ ! "$at" -ef "$3" ] || fail "$1 $2 is in $3"
    case $at in /|.) return 0 ;; esac
    at=$(dirname "$at")
  done
}

whole_backup() {
  [ -f "$BACKUP/PG_VERSION" ] || fail "no base backup in $BACKUP: it has no PG_VERSION"
  [ -z "$(ls -A "$BACKUP/pg_tblspc" 2>/dev/null)" ] || fail "the base backup in $BACKUP has tablespaces"
}

wipe() {
  rm -f PG_VERSION
  find . -mindepth 1 -maxdepth 1 ! -name '.gameday-*' -exec rm -rf --one-file-system -- {} +
}

put_aside() {
  [ -d "$ASIDE" ] || { mkdir "$ASIDE"; own "$BACKUP" "$ASIDE"; }
  [ ! -e PG_VERSION ] || mv PG_VERSION "$ASIDE"
  find . -mindepth 1 -maxdepth 1 ! -name '.gameday-*' -exec mv -t "$ASIDE" -- {} +
  : >"$WHOLE"
}

put_in_place() { # FOLDER
  find "$1" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t . -- {} +
  [ ! -e "$1/PG_VERSION" ] || mv "$1/PG_VERSION" .
  rmdir "$1"
}

tidy() {
  rm -rf --one-file-system "$ASIDE"
  rm -rf --one-file-system "$NEW" "$NEW.partial"
  rm -f "$WHOLE"
}

undo() {
  if [ -d "$ASIDE" ]; then
    if [ -e "$WHOLE" ]; then wipe; rm -f "$WHOLE"; fi
    put_in_place "$ASIDE"
  fi
  tidy
}

settle() { # a server that has recovered removes the signal: then the new data are the database, and may have grown
  if [ -e "$WHOLE" ] && [ -e PG_VERSION ] && [ ! -e recovery.signal ] && [ ! -d "$NEW" ]; then tidy; else undo; fi
}

prepare() { # WAL CONF: a data directory that will recover when a server is started in it
  mkdir "$NEW.partial"
  cp -a --reflink=auto -- "$BACKUP/." "$NEW.partial/"
  if [ "$1" = with-wal ] && [ -d pg_wal/ ]; then
    find pg_wal/ -maxdepth 1 -type f -name '[0-9A-F]*' -exec cp -a --reflink=auto -t "$NEW.partial/pg_wal" -- {} +
  fi
  cd "$NEW.partial"
  rm -f standby.signal postmaster.pid
  printf '%s' "$2" >>postgresql.auto.conf
  : >recovery.signal
  own PG_VERSION postgresql.auto.conf recovery.signal
  chmod --reference=PG_VERSION postgresql.auto.conf recovery.signal
  cd "$DATA"
  mv "$NEW.partial" "$NEW"
}

restore() { # HAD WAL CONF
  whole_backup
  if [ "$1" = destroyed ]; then tidy; wipe; else settle; fi
  prepare "$2" "$3"
  [ "$1" = destroyed ] || put_aside
  own "$BACKUP" .
  chmod --reference="$BACKUP" .
  chmod g-ws,o-rwx .  # a volume that is shared with a group gives it more than a server accepts
  put_in_place "$NEW"
  rm -f "$DESTROYED"
}

destroy() {
  whole_backup
  echo "gameday destroyed what was here; it is to be restored from $BACKUP" >"$DESTROYED"
  wipe
  tidy
}

mode=$1 DATA=$2 BACKUP=$3 ARCHIVE=$4
shift 4
if [ "$mode" = check ]; then
  whole_backup
  stat -c %Y "$BACKUP/PG_VERSION"
  exit
fi
mkdir -p "$DATA"
outside backup "$BACKUP" "$DATA"
outside data "$DATA" "$BACKUP"
[ -z "$ARCHIVE" ] || outside archive "$ARCHIVE" "$DATA"
cd "$DATA"
case $mode in
  destroy|restore|undo|settle|tidy) "$mode" "$@" ;;
  *) fail "unknown mode $mode" ;;
esac
"""
