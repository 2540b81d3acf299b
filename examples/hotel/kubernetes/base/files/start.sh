#!/usr/bin/env bash
# Entry point of the database in Kubernetes, where a pod may be deleted at any moment: a cluster that was half made is
# made anew. What is half made nobody has used yet: it takes no connections before made.sh has run.
set -euo pipefail

if [ -e /backup/making ]; then
    echo "the cluster was only half made; making it anew"
    rm -rf "${PGDATA:?}" /backup/base /backup/base.new /backup/archive
fi
if [ ! -s "$PGDATA/PG_VERSION" ] && [ ! -e /backup/base ]; then
    : >/backup/making
fi
# volumes that are given to a group may have been made readable for it, which PostgreSQL refuses
[ ! -d "$PGDATA" ] || chmod 0700 "$PGDATA"
exec bash /etc/hotel/database.sh "$@"
