"""TCP connections of programs that are not ours: an iperf3 transfer, beside what `ss` of iproute2 says of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from testbed import codec
from testbed.endpoint.columns import decode
from testbed.lab import Lab
from testbed.topology import loads
from tests.live.command_line import eventually, run
from tests.runtimes import RUNTIMES

TOPOLOGY = """
name: sockets
nodes:
  client: {}
  server: {command: "iperf3 -s", ready: {tcp: 5201}}
links: [{between: [client, server], delay: 10ms, loss: 1%, rate: 20mbit}]
sockets: [server]
workloads:
  - {name: download, kind: command, in: client, command: [iperf3, --client, server, --time, "2", --reverse, --json]}
"""
BYTES = 100_000
NONE: dict[str, Any] = {"info": {"bytes_acked": 0}}

pytestmark = pytest.mark.live


def by_ss(lab):
    """Of the server's connections, by the address of the other end, the fields that `ss` shows."""
    done = lab["server"].run(["ss", "--tcp", "--info", "--numeric", "--no-header", "--oneline", "sport", "=", ":5201"])
    assert done.status == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        state, received, unsent, _, peer, *said = line.split()
        fields = dict(re.findall(r"(\S+?):(\S+)", " ".join(said)))
        peer = peer.replace("[::ffff:", "").replace("]", "")
        found[peer] = {"state": state, "received": int(received), "unsent": int(unsent), "words": said, **fields}
    return found


def sender(connections):
    """The one that carries the data; iperf3 has another one for control."""
    return max(connections, key=lambda each: each["info"]["bytes_acked"])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_ss_says_is_what_we_say(lab_name, runtime):
    with Lab.up(loads(TOPOLOGY, "sockets.yml"), name=lab_name, runtime=runtime) as lab:
        with lab["client"].popen(["iperf3", "--client", "server", "--time", "3600", "--reverse"]):

            def seen():
                before = by_ss(lab)
                ours = sender([*map(codec.encode, lab.sockets("server")["server"].connections), NONE])
                return ours["info"]["bytes_acked"] >= BYTES and ours["peer"] in before and (before, ours, by_ss(lab))

            looks = eventually(seen)
        assert looks
        before, ours, after = looks
        before, after, info = before[ours["peer"]], after[ours["peer"]], ours["info"]
        assert (ours["state"], before["state"]) == ("ESTABLISHED", "ESTAB")
        assert ours["congestion"] in before["words"]
        assert ours["process"] == "iperf3"
        assert info["mss_bytes"] == int(before["mss"])
        # What only grows lies between what it was before and what it was after.
        for name in ("bytes_sent", "bytes_acked", "segs_out", "segs_in", "delivered"):
            assert int(before[name]) <= info[name] <= int(after[name]), name
        assert info["bytes_sent"] > BYTES
        least = [round(float(one["minrtt"]) * 1e6) for one in (before, after)]  # to 1 us
        assert min(least) <= info["min_rtt_ns"] <= max(least)
        assert info["min_rtt_ns"] >= 20_000_000
        total = [int(one.get("retrans", "0/0").split("/")[1]) for one in (before, after)]
        assert total[0] <= info["retransmits"] <= total[1]
        assert lab.sockets().keys() == {"client", "server"}
        done = run("sockets", lab_name, "server", "--json", lab=lab_name)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["server"].keys() == {"at_ns", "connections"}
        done = run("sockets", lab_name, "sevrer", lab=lab_name)
        assert done.returncode == 2
        assert "unknown-node" in done.stderr


@pytest.mark.netns
def test_a_run_samples_the_connections_of_the_nodes_asked_for(lab_name, tmp_path):
    with Lab.up(loads(TOPOLOGY, "sockets.yml"), name=lab_name, runtime="netns") as lab:
        result = lab.run(tmp_path)
    (sampled,) = result.sockets
    assert (sampled.node, sampled.connections) == ("server", 2)
    lines = [json.loads(line) for line in (result.path / sampled.file).read_text().splitlines()]
    assert {line["event"] for line in lines} == {"tcp-info"}
    assert {line["connection"].partition(":")[2].partition(" ")[0] for line in lines} == {"5201"}
    times: dict[str, list[int]] = {}
    acked: dict[str, list[int]] = {}
    for line in lines:
        times.setdefault(line["connection"], []).extend(decode(line["at_ns"]))
        acked.setdefault(line["connection"], []).extend(decode(line["bytes_acked"]))
    for connection, at in times.items():
        assert at == sorted(at)
        assert acked[connection] == sorted(acked[connection])
    assert len({at for every in times.values() for at in every}) <= sampled.samples
    assert max(map(max, acked.values())) > BYTES
    assert "iperf3" in {line["process"] for line in lines}
