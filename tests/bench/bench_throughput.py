"""What gets across a link, by iperf3: `python -m tests.bench throughput [--guest]`, as root.

Between two nodes without a link that is impaired, and with 5 ms each way, by each engine that works here; TCP also with
loss and with a rate. In the guest (tests/guest) that is netem too. TCP's windows are large enough to fill the links.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.bench_bringup import TESTBED, run

ROOT = Path(__file__).parents[2]
LAB = "bench-throughput"
WINDOW_MOST = 64 << 20
SECONDS = 4
ROUNDS = 3
NO_LINK = "no link impaired"
GUEST_SECONDS = 900
TRAFFIC: dict[str, tuple[str, ...]] = {
    "TCP": (),
    "datagrams of 64 bytes": ("-u", "-b", "0", "-l", "64"),
    "datagrams of 1,400 bytes": ("-u", "-b", "0", "-l", "1400"),
}
MORE = {"loss of 1 in 100,000": "loss: 0.001%", "rate of 5 Gbit/s": "rate: 5gbit, queue: 10ms"}
"""What else links have for TCP."""


def topology(engine: str, more: str = "") -> str:
    """Two nodes; with an engine, a link of 5 ms each way, and more in one direction."""
    window = f'"4096 131072 {WINDOW_MOST}"'
    node = f"{{sysctls: {{net.ipv4.tcp_rmem: {window}, net.ipv4.tcp_wmem: {window}}}}}"
    back = f"{{from: b, to: a, delay: 5ms, engine: {engine}}}"
    there = f"{{from: a, to: b, delay: 5ms, engine: {engine}{more and f', {more}'}}}"
    links = "" if engine == NO_LINK else f"links: [{there}, {back}]\n"
    return f"name: {LAB}\nnodes: {{a: {node}, b: {node}}}\n{links}"


def iperf3(options: tuple[str, ...]) -> float:
    """Bits per second that are received; of datagrams, how many a second."""
    server = [str(TESTBED), "exec", LAB, "b", "--", "iperf3", "--server", "--one-off"]
    client = [str(TESTBED), "exec", LAB, "a", "--", "iperf3", "-c", "b", "--json", "-t", str(SECONDS), *options]
    with subprocess.Popen(server, stdout=subprocess.DEVNULL):
        time.sleep(2)  # until it listens
        end = json.loads(subprocess.run(client, check=True, capture_output=True, text=True).stdout)["end"]
    if options:
        return float(end["sum"]["packets"] - end["sum"]["lost_packets"]) / SECONDS
    return float(end["sum_received"]["bits_per_second"])


def measure(engines: tuple[str, ...] = ("userspace",)) -> Iterator[dict[str, Any]]:
    """Yield the figures without a link, and with one by each engine."""
    if not shutil.which("iperf3"):
        print("skipped: apt-get install iperf3")
        return
    for engine in (NO_LINK, *engines):
        yield from _measured(engine, topology(engine), TRAFFIC)
        if engine != NO_LINK:
            for what, more in MORE.items():
                yield from _measured(f"{engine}, {what}", topology(engine, more), {"TCP": ()})


def _measured(who: str, text: str, traffic: dict[str, tuple[str, ...]]) -> Iterator[dict[str, Any]]:
    with TemporaryDirectory() as directory:
        file = Path(directory, f"{LAB}.yml")
        file.write_text(text)
        run(TESTBED, "up", file, "--runtime", "netns")
        try:
            for what, options in traffic.items():
                load = os.getloadavg()[0]
                rates = sorted(iperf3(options) for _ in range(ROUNDS))
                rate, unit = (rates[ROUNDS // 2], "/s") if options else (rates[ROUNDS // 2] / 1e6, "Mbit/s")
                yield {"who": who, "what": what, "rate": rate, "unit": unit, "load": load}
        finally:
            run(TESTBED, "down", LAB)


def measure_in_guest() -> Iterator[dict[str, Any]]:
    """Yield the figures in the guest, with both engines."""
    guest = Path(os.environ.get("GUEST_DIR", Path.home() / ".cache" / "testbed-guest"))
    boot = (ROOT / "tests/guest/run-guest.sh", "-m", "1G", "-t", str(GUEST_SECONDS), "--")
    inside = (sys.executable, "-m", "tests.bench.bench_throughput", "/run/out/throughput.json")
    subprocess.run([*boot, *inside], cwd=ROOT, env={**os.environ, "GUEST_DIR": str(guest)}, check=True)
    yield from json.loads((guest / "out" / "throughput.json").read_text(encoding="utf-8"))


def main() -> None:
    """Measure and print; in the guest, write the figures to the file that the command line names."""
    if len(sys.argv) > 1 and __name__ == "__main__":
        Path(sys.argv[1]).write_text(json.dumps(list(measure(("netem", "userspace")))), encoding="utf-8")
        return
    for found in measure():
        print(f"{found['who']:16} {found['what']:26} {found['rate']:12,.0f} {found['unit']}")


if __name__ == "__main__":
    main()
