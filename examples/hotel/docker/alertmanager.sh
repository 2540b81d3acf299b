#!/bin/sh
# Entry point of Alertmanager: fills its configuration in and starts it, wherever the image has it.
set -eu

sed -e "s|@PORT@|$WEBHOOK_PORT|" -e "s|@SECRET@|$WEBHOOK_SECRET|" \
    /etc/hotel/alertmanager.yml >/run/hotel/alertmanager.yml

for program in /bin/alertmanager /usr/bin/prometheus-alertmanager; do
    if [ -x "$program" ]; then
        exec "$program" --config.file=/run/hotel/alertmanager.yml --storage.path=/alertmanager \
            --cluster.listen-address=
    fi
done
echo "no Alertmanager in this image" >&2
exit 1
