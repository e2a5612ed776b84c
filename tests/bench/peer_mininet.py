"""Mininet's side of `bench_bringup`, run by Debian's Python, for which Debian packages Mininet.

`peer_mininet.py N` brings N hosts up on one Linux bridge and says `up`, sees the last host reach the first and says
`reached`, and takes all down at the end of standard input.
"""

import sys

from mininet.net import Mininet  # type: ignore[import-not-found]
from mininet.nodelib import LinuxBridge  # type: ignore[import-not-found]
from mininet.topo import SingleSwitchTopo  # type: ignore[import-not-found]

net = Mininet(topo=SingleSwitchTopo(k=int(sys.argv[1])), switch=LinuxBridge, controller=None, ipBase="198.19.0.0/16")
net.start()
print("up", flush=True)
if net.ping([net.hosts[0], net.hosts[-1]], timeout="5") == 0:
    print("reached", flush=True)
sys.stdin.read()
net.stop()
