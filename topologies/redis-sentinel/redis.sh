#!/bin/sh
# Runs Redis: sh redis.sh [PRIMARY]. With the name of a primary, it is a replica of that.
if ! command -v redis-server >/dev/null; then
    echo "no Redis here: give the node the image testbed-redis, or, in runtime netns, apt-get install redis-server" >&2
    exit 127
fi
if [ -n "$1" ]; then
    address=$(getent ahostsv4 "$1" | awk 'NR == 1 {print $1}')
    set -- --replicaof "$address" 6379
fi
# Nothing is kept on disk. A replica waits for no further ones to come (repl-diskless-sync-delay).
exec redis-server --protected-mode no --dir /var/tmp --save "" --repl-diskless-sync-delay 0 --repl-timeout 5 "$@"
