"""What topologies/README.md says of the format is so."""

import re
from pathlib import Path

import pytest

from testbed import units
from testbed.engines.netem.fidelity import compromises, supports
from testbed.plan import resolve
from testbed.topology import loads, schema
from testbed.topology.profiles import PROFILES

FOLDER = Path(__file__).parents[3] / "topologies"
TEXT = (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL), ids=lambda text: text[:20])
def test_examples_are_valid(example):
    assert loads(example, "README.md", FOLDER).name


def test_every_key_is_in_it():
    for part in [schema(), *schema()["$defs"].values()]:
        for key in part["properties"]:
            assert re.search(rf"`{key}`|[{{ ]{key}: ", TEXT), key


@pytest.mark.parametrize(
    ("asked", "netem"), re.findall(r"^\| `([^`]*: [^`]*)` \| (yes|no|nearly)\b.*\|$", TEXT, re.MULTILINE)
)
def test_the_table_says_what_netem_supports(asked, netem):
    text = f"name: x\nnodes: {{a: , b: }}\nlinks: [{{from: a, to: b, {asked}}}]\n"
    [link] = resolve(loads(text, "README.md", FOLDER)).links
    if reason := supports(link.impairments, mtu=1500):
        assert netem == "no", reason
    else:
        assert netem == ("nearly" if compromises(link.impairments, mtu=1500) else "yes")


def test_every_shipped_file_is_in_it():
    for path in FOLDER.glob("*.yml"):
        assert f"| `{path.stem}` |" in TEXT


def test_profiles_are_as_in_it():
    def row(name, asked):
        profile = asked.resolve(mtu=1500, delay_back_ns=0)
        cells = [
            unit.format(value) if value else ""
            for unit, value in (
                (units.DURATION, profile.delay_ns),
                (units.DURATION, profile.jitter_ns),
                (units.PROBABILITY, profile.loss.probability if profile.loss else 0),
                (units.RATE, profile.bottleneck.rate.mean_bps if profile.bottleneck else 0),
            )
        ]
        return re.sub(" +", " ", f"| `{name}` | {' | '.join(cells)} |")

    assert [line for line in TEXT.splitlines() if line in [row(*one) for one in PROFILES.items()]] == [
        row(*one) for one in PROFILES.items()
    ]
