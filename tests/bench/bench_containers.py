"""How fast the Docker Engine alone makes containers: `python -m tests.bench containers`, as root.

Containers of the testbed's image on a network of their own, made and started over the API by several threads, and
removed likewise: the floor under every program that brings containers up.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from docker.types import IPAMConfig, IPAMPool

from testbed.runtime.docker.engine import WORKERS, DockerEngine
from tests.bench.bench_bringup import works

IMAGE = "testbed:latest"
NAME = f"bench-floor-{os.getpid()}"
ROUNDS = {2: 5, 20: 3, 50: 3, 200: 1}


def floor(containers: int) -> tuple[float, float]:
    """Seconds to make a network and so many containers, and to remove them."""
    api = DockerEngine().api
    leaving = Lock()
    addresses = IPAMConfig(pool_configs=[IPAMPool(subnet="198.19.96.0/22")])

    def start(number: int) -> None:
        host = api.create_host_config(network_mode=NAME)
        made = api.create_container(IMAGE, name=f"{NAME}-{number}", host_config=host)
        api.start(made["Id"])

    def remove(number: int) -> None:
        with leaving:  # of many at once, version 20.10 loses count, and then keeps the network
            api.disconnect_container_from_network(f"{NAME}-{number}", NAME, force=True)
        api.remove_container(f"{NAME}-{number}", force=True)

    begun = time.monotonic()
    network = api.create_network(NAME, driver="bridge", internal=True, ipam=addresses)
    try:
        with ThreadPoolExecutor(WORKERS) as workers:
            list(workers.map(start, range(containers)))
        up = time.monotonic() - begun
    finally:
        begun = time.monotonic()
        present = api.containers(all=True, filters={"name": NAME})
        numbers = [int(each["Names"][0].rpartition("-")[2]) for each in present]
        with ThreadPoolExecutor(WORKERS) as workers:
            list(workers.map(remove, numbers))
        api.remove_network(network["Id"])
    return up, time.monotonic() - begun


def measure() -> Iterator[dict[str, Any]]:
    """Yield the medians, from few containers to many."""
    if not works("docker", "version"):
        print("skipped: start a Docker Engine")
        return
    for containers, rounds in ROUNDS.items():
        load = os.getloadavg()[0]
        taken = sorted(floor(containers) for _ in range(rounds))
        up, down = taken[rounds // 2]
        yield {
            "who": "the Docker Engine's API",
            "nodes": containers,
            "rounds": rounds,
            "at_once": WORKERS,
            "up": up,
            "down": down,
            "load": load,
        }


def main() -> None:
    """Measure and print."""
    for found in measure():
        print(f"{found['nodes']:5} containers: up {found['up']:6.2f} s, down {found['down']:6.2f} s")


if __name__ == "__main__":
    main()
