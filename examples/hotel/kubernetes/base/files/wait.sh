#!/usr/bin/env bash
# wait.sh SECONDS ADDRESS...: until each HOST:PORT takes a connection and each HOST:PORT/PATH answers 200, so that the
# first minute after an installation has no errors that alert rules would see. Not for ever: what starts again while
# something is down has to cope with that.
set -uo pipefail

answers() {
    local host=${1%%:*} rest=${1#*:}
    local port=${rest%%/*} path
    path=${rest#"$port"}
    timeout 2 bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        [ -n "$3" ] || exit 0
        printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$3" "$1" >&3
        read -r _ status _ <&3 && [ "$status" = 200 ]' wait "$host" "$port" "$path" 2>/dev/null
}

within=$1
shift
for address in "$@"; do
    until answers "$address"; do
        if [ "$SECONDS" -ge "$within" ]; then
            echo "no answer from $address within $within s; going on without it"
            exit 0
        fi
        sleep 0.3
    done
done
