#!/bin/sh
# Tells whether a sentinel is ready for a fail-over: it knows the two others, and a replica that is in sync.
redis-cli -p 26379 info sentinel | grep status=ok,.*slaves=1,sentinels=3 \
    && redis-cli -p 26379 sentinel replicas shop | grep --after-context=1 master-link-status | grep --line-regexp ok
