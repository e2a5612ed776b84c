#!/bin/sh
# Runs a sentinel: sh sentinel.sh PRIMARY. It takes a primary that was silent for a second for down; if two of three
# sentinels do, they elect one that makes the replica the primary. A sentinel keeps what it knows in its configuration.
if ! command -v redis-sentinel >/dev/null; then
    echo "no sentinel here: give the node the image testbed-redis, or, in runtime netns, apt-get install redis-sentinel" >&2
    exit 127
fi
address=$(getent ahostsv4 "$1" | awk 'NR == 1 {print $1}')
cat >/var/tmp/sentinel.conf <<END
port 26379
protected-mode no
dir /var/tmp
sentinel monitor shop $address 6379 2
sentinel down-after-milliseconds shop 1000
sentinel failover-timeout shop 2000
END
exec redis-sentinel /var/tmp/sentinel.conf
