#!/usr/bin/env bash
# Takes a base backup that can be started by itself, unless there is one. Under another name first: what is called base
# is whole.
set -euo pipefail

if [ -e /backup/base ]; then
    echo "there is a base backup already"
    exit 0
fi
rm -rf /backup/base.new
pg_basebackup -h /var/run/postgresql -U postgres -D /backup/base.new -c fast -X stream --no-manifest
mv /backup/base.new /backup/base
echo "took a base backup"
