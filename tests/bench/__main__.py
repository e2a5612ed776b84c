"""`python -m tests.bench [NAME ...]`: the benchmarks named, or all of them."""

import argparse
import importlib
import os
import sys

NAMES = ("bringup", "containers", "links", "tree", "filters", "engine", "relay", "stream", "throughput", "records")


def main() -> None:
    """Run them one after the other, for they would disturb each other."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the testbed beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all unless given")
    names = parser.parse_args().names or NAMES
    for name in names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(NAMES)}")
    if os.geteuid() != 0:
        sys.exit("the peers need root: sudo make bench")
    for name in names:
        print(f"== {name}", flush=True)
        importlib.import_module(f"tests.bench.bench_{name}").main()
        print()


if __name__ == "__main__":
    main()
