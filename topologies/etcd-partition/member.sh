#!/bin/sh
# Runs a member of the cluster of three: sh member.sh. Its name is the node's.
# A follower elects a new leader when it has heard nothing for the election timeout (1 s), or up to twice that.
if ! command -v etcd >/dev/null; then
    echo "no etcd here: give the node the image testbed-etcd, or, in runtime netns, apt-get install etcd-server" >&2
    exit 127
fi
exec etcd --name "$(hostname)" --data-dir /var/tmp/etcd --log-level error --logger zap \
    --heartbeat-interval 100 --election-timeout 1000 --pre-vote \
    --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls "http://$(hostname):2379" \
    --listen-peer-urls http://0.0.0.0:2380 --initial-advertise-peer-urls "http://$(hostname):2380" \
    --initial-cluster "s1=http://s1:2380,s2=http://s2:2380,s3=http://s3:2380" --initial-cluster-state new
