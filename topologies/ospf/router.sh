#!/bin/sh
# Run FRR's zebra, which sets the kernel's routes, and ospfd, which finds them, until ospfd ends.
set -e
if [ "$(awk '{count += $3} END {print count}' /proc/self/uid_map)" = 1 ]; then
    echo "FRR changes to the user frr, and an ordinary user's lab has no user but root: run as root or use docker" >&2
    exit 1
fi
# In a container this begins before all wires are there, and zebra may miss addresses that come while it starts.
case $(hostname) in r1 | r2) wires=3 ;; *) wires=2 ;; esac
until [ "$(ip -4 -brief address | grep --count "^wire.* UP .*/")" = $wires ]; do sleep 0.1; done
# Where FRR's programs find each other: vtysh needs no option to find this router's daemons.
install --directory --owner frr --group frr /run/frr
# Router r3 has the ID 0.0.0.3. Without one, ospfd takes an address, and another one when a wire is added later.
{
    cat /mnt/ospfd.conf
    printf 'router ospf\n ospf router-id 0.0.0.%s\n' "$(hostname | tr --complement --delete 0-9)"
} >/run/frr/ospfd.conf
/usr/lib/frr/zebra --daemon --config_file /dev/null
exec /usr/lib/frr/ospfd --config_file /run/frr/ospfd.conf --log stdout
