"""Every kind of workload over IPv6: the packets that tcpdump sees, and what ping and curl measure beside them."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from testbed.lab import Lab
from testbed.topology import loads
from tests.live import grid

pytestmark = [pytest.mark.live, pytest.mark.netns]

DELAY_MS = 20
MSS = 1440
"""What a TCP segment carries where the MTU is 1500, without TCP's options: headers take 40 and 20 bytes (RFC 6691)."""

WATCHED = "(ip6[6] = 6 and ip6[53] & 2 != 0) or (ip6 and not tcp) or ip"
"""What opens connections of TCP over IPv6, other packets of IPv6, and all of IPv4."""


def test_every_kind_works_between_nodes_with_ipv6_alone(lab_name):
    cells = {
        name: grid.Cell(name=name, delay_ms=DELAY_MS, loss=0, family=6, runtime="netns")
        for name in grid.WORKLOADS
        if name != "command"
    }
    with Lab.up(loads(grid.topology(cells.values(), ip="6"), "grid.yml"), name=lab_name, runtime="netns") as lab:
        client = lab["client"]
        with client.popen(["sh", "-c", f"exec tcpdump -Z root -nn -l -i eth0 '{WATCHED}' 2>&1"]) as tcpdump:
            lines = iter(tcpdump)
            while "listening on" not in next(lines):
                pass
            with ThreadPoolExecutor(len(cells)) as pool:
                problems = [*pool.map(lambda cell: grid.problems_of(cell, lab), cells.values())]
            tcpdump.stop()
            seen = [*lines]
        assert [problem for each in problems for problem in each] == []
        packets = [line for line in seen if " > " in line]
        assert [line for line in packets if " IP6 " not in line] == []
        for workload in lab.plan.workloads:
            end = ": ICMP6, echo request" if workload.kind == "ping" else f".{workload.port}: "
            sent = [line for line in packets if f" > {workload.address}{end}" in line]
            assert sent, workload
            assert {int(mss) for line in sent for mss in re.findall(r"\[S\].* mss (\d+)", line)} <= {MSS}
        replies = client.run(f"ping -6 -c 3 -i 0.2 {cells['ping'].server}").stdout
        assert min(map(float, re.findall(r"time=([\d.]+)", replies))) >= 2 * DELAY_MS
        web = cells["http"].server
        shown = "%{http_code} %{remote_ip} %{time_total}"
        answer = client.run(f"curl -6 -sS -o /dev/null -w '{shown}' http://{web}/1KB").stdout
        status, address, seconds = answer.split()
        assert (status, address) == ("200", lab[web].addresses6["lan"])
        assert float(seconds) * 1000 >= 4 * DELAY_MS
