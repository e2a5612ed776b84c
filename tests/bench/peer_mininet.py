"""Mininet's side of `bench_bringup` and `bench_tree`, run by Debian's Python, for which Debian packages Mininet.

`peer_mininet.py N switch` brings N hosts up on one Linux bridge, `peer_mininet.py N tree` N hosts that are routers in a
binary tree. It says `up`, sees the last host reach the first (of a tree, the first leaf) and says `reached`, and takes
all down at the end of standard input.
"""

import sys
from tempfile import NamedTemporaryFile

from mininet.net import Mininet  # type: ignore[import-not-found]
from mininet.nodelib import LinuxBridge  # type: ignore[import-not-found]
from mininet.topo import SingleSwitchTopo  # type: ignore[import-not-found]


def flat(count):
    """Hosts on one switch."""
    net = Mininet(topo=SingleSwitchTopo(k=count), switch=LinuxBridge, controller=None, ipBase="198.19.0.0/16")
    net.start()
    return net, net.hosts[-1], net.hosts[0].IP()


def tree(count):
    """Hosts that forward; host n has the children 2n and 2n + 1, over the subnet of number 2n or 2n + 1."""
    net = Mininet(controller=None)
    hosts = [None, *(net.addHost(f"r{number}", ip=None) for number in range(1, count + 1))]
    for number in range(2, count + 1):
        names = {"intfName1": f"r{number // 2}-c{number}", "intfName2": f"r{number}-up"}
        net.addLink(hosts[number // 2], hosts[number], **names)
    net.start()

    def address(number, end):
        return f"198.19.{number // 64}.{number % 64 * 4 + end}"

    def below(number):
        """The subnets between a host and all that is below it."""
        return [each for child in (2 * number, 2 * number + 1) if child <= count for each in (child, *below(child))]

    for number in range(1, count + 1):
        lines = [f"address add {address(number, 2)}/30 dev r{number}-up"] if number > 1 else []
        children = [child for child in (2 * number, 2 * number + 1) if child <= count]
        lines += [f"address add {address(child, 1)}/30 dev r{number}-c{child}" for child in children]
        lines += [f"route add default via {address(number, 1)}"] if number > 1 else []
        lines += [
            f"route add {address(each, 0)}/30 via {address(child, 2)}" for child in children for each in below(child)
        ]
        with NamedTemporaryFile("w", suffix=".ip") as script:  # too long for a line of a host's terminal
            print(*lines, sep="\n", file=script, flush=True)
            hosts[number].cmd(f"sysctl -qw net.ipv4.ip_forward=1; ip -batch {script.name}")
    leaf = (count + 1) // 2
    return net, hosts[count], address(leaf, 2)


net, last, target = (tree if sys.argv[2] == "tree" else flat)(int(sys.argv[1]))
print("up", flush=True)
if " 0% packet loss" in last.cmd(f"ping -c 1 -W 5 {target}"):
    print("reached", flush=True)
sys.stdin.read()
net.stop()
