"""Samples of links' counters, read from a run by the name of a link."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from testbed.cli import cli
from testbed.errors import UsageError
from testbed.records import format_line
from testbed.runs import LINKS_FILE, LinkRecord, RunWriter, load


@pytest.fixture
def run(tmp_path, plan, statistics):
    with RunWriter(tmp_path, plan, runtime="netns") as writer:
        writer.begun(statistics)
        lines = [
            format_line("", "link", {"at_ns": [5, 9], "packets_out": [1, 4]}, link=name)
            for name in ("client -> server on wan", "server -> client on wan")
        ]
        (writer.run.path / LINKS_FILE).write_text("".join(lines))
        writer.counted(LinkRecord(file=LINKS_FILE, interval_ns=100, links=2, samples=4))
        writer.finished(statistics, ())
    return load(writer.run.path)


@pytest.mark.parametrize("name", ["client -> server", "client->server", "client -> server on wan"])
def test_a_link_s_samples_are_found_by_its_name(run, name):
    same = {"event": "link", "node": "", "link": "client -> server on wan"}
    assert [*run.samples(name)] == [
        same | {"at_ns": 5, "packets_out": 1},
        same | {"at_ns": 9, "packets_out": 4},
    ]


def test_an_unknown_link_is_an_error_with_those_that_exist(run):
    with pytest.raises(UsageError, match="its links are: client -> server"):
        run.samples("client -> sever")


def test_a_run_of_an_older_version_has_none(run):
    with pytest.raises(UsageError, match="has no samples of links"):
        replace(run, link_counts=None).samples("client -> server")


def test_the_command_prints_them_as_csv(run):
    none = CliRunner().invoke(cli, ["samples", str(run.path), "client->server", "--csv", "--event", "nope"])
    assert isinstance(none.exception, UsageError)
    assert "has no event nope" in str(none.exception)
    done = CliRunner().invoke(cli, ["samples", str(run.path), "client->server", "--csv"])
    assert done.output.splitlines() == [
        "event,node,link,at_ns,packets_out",
        "link,,client -> server on wan,5,1",
        "link,,client -> server on wan,9,4",
    ]


def test_a_record_elsewhere_is_refused(run):
    text = (run.path / "run.json").read_text()
    (run.path / "run.json").write_text(text.replace(f'"{LINKS_FILE}"', '"../other.jsonl"'))
    with pytest.raises(UsageError, match=r"link_counts\[0\]\.file"):
        load(run.path)
