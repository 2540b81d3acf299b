#!/usr/bin/env bash
# Entry point of the database: prepares what the image does not know of, then does as the image does.
set -euo pipefail

mkdir -p /backup/archive
# in Kubernetes it is not root, and its volumes are its own
if [ "$(id -u)" = 0 ]; then
    chown postgres:postgres /backup /backup/archive
fi

# A new, empty cluster in place of lost data would look healthy, and its log would mix with the archive's.
if [ -e /backup/base ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$PGDATA is empty and /backup/base is not: the data are lost; restore them" >&2
    exit 1
fi

# The superuser gets in over the socket, inside the container, and nowhere else: nobody knows this password.
POSTGRES_PASSWORD=$(head -c 24 /dev/urandom | base64)
export POSTGRES_PASSWORD
exec docker-entrypoint.sh "$@"
