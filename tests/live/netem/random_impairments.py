"""A file of random impairments that netem carries out to the letter, by a seed."""

from __future__ import annotations

import random

from testbed.plan import resolve
from testbed.topology import loads

JITTER = ("uniform", "normal", "pareto", "paretonormal")


def random_file(seed):
    """A topology with a link for each distribution of delays and each kind of loss; all else about them is random."""
    draw = random.Random(seed)

    def percent(low, high):
        return f"{draw.uniform(low, high):.2f}%"

    def delayed(distribution):
        jitter = draw.randrange(30, 60)
        spread = f"{{spread: {jitter}ms, distribution: {distribution}, order: free}}"
        return f"delay: {draw.randrange(4, 7) * jitter}ms, jitter: {spread}"

    def unsteady():
        return draw.choice(("", f", loss: {percent(2, 10)}", f", duplicate: {percent(5, 20)}"))

    losses = (
        percent(10, 40),
        f"{{rate: {percent(15, 30)}, burst: {draw.randrange(2, 6)}}}",
        f"{{to_bad: {percent(5, 10)}, to_good: {percent(20, 40)}}}",
        f"{{p13: {percent(5, 10)}, p31: {percent(20, 40)}, p14: {percent(2, 6)}}}",
        f"{{p13: {percent(5, 10)}, p31: {percent(10, 20)}, p32: {percent(10, 20)}, p23: {percent(20, 80)}}}",
    )

    def limited():
        return draw.choice(("", f", rate: {draw.randrange(20, 100)}mbit, queue: 2s"))

    links = [f"{delayed(distribution)}{unsteady()}{limited()}" for distribution in JITTER]
    links += [f"delay: {draw.randrange(1, 30)}ms, loss: {loss}{limited()}" for loss in losses]
    links.append(f"delay: {draw.randrange(1, 30)}ms, duplicate: {percent(10, 40)}{limited()}")
    nodes = "".join(f"  n{number}: {{}}\n" for number in range(len(links) + 1))
    lines = "".join(f"  - {{from: n0, to: n{number}, {link}}}\n" for number, link in enumerate(links, start=1))
    return f"name: random\nseed: {seed}\nnodes:\n{nodes}links:\n{lines}"


def all_impairments_of(text):
    """The impairments of a file's links, in their order."""
    return [link.impairments for link in resolve(loads(text, "random.yml")).links]
