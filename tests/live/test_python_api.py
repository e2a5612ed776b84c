"""What a program does with a lab: files, programs, partitions, and changes that end with their context."""

import asyncio
import io
import tarfile
import tracemalloc
from contextlib import suppress

import pytest

from testbed.agent import messages
from testbed.errors import LabError, UsageError
from testbed.lab import Lab, files
from testbed.topology import loads
from tests.conftest import unused_name
from tests.pings import until_answered
from tests.runtimes import RUNTIMES

pytestmark = pytest.mark.live

TEXT = """
name: api
nodes: {a: {command: [sh, -c, "echo hello; sleep 600"], ready: {log: hello}}, b: , c: }
links:
  - {between: [a, b], delay: 5ms}
workloads: [{name: echo, kind: ping, from: a, to: b, count: 3, interval: 100ms}]
"""


@pytest.fixture(scope="module", params=RUNTIMES)
def lab(request):
    with unused_name() as name, Lab.up(loads(TEXT, "api.yml"), name=name, runtime=request.param) as up:
        yield up


def reaches(lab, target):
    """Whether packets of node a are answered."""
    return lab["a"].run(until_answered(target, count=2, interval_s=0.2)).status == 0


def is_cut_off(lab, target):
    """Whether packets of node a are not answered."""
    return " 0 received" in lab["a"].run(["ping", "-c", "2", "-i", "0.2", "-W", "0.5", target]).stdout


def test_files_go_there_and_back(lab, tmp_path):
    source = tmp_path / "site"
    (source / "below").mkdir(parents=True)
    (source / "run").write_text("#!/bin/sh\ncat ${0%/*}/below/data")
    (source / "run").chmod(0o755)
    (source / "below" / "data").write_bytes(bytes(range(256)))
    place = f"{tmp_path}/new/"  # in netns, nodes see this machine's files
    lab["b"].put(source, place)
    lab["b"].put(source / "run", f"{place}alone")
    assert lab["b"].run([f"{place}site/run"]).status == 0
    assert lab["b"].run(["stat", "-c", "%a %u", f"{place}alone"]).stdout == "755 0\n"
    back = lab["b"].get(f"{place}site", tmp_path / "back")
    assert (back / "below" / "data").read_bytes() == bytes(range(256))
    assert (back / "run").stat().st_mode & 0o777 == 0o755
    assert lab["b"].get(f"{place}alone", tmp_path) == tmp_path / "alone"
    with pytest.raises(LabError, match=r"copy-failed: .*node b"):
        lab["b"].get(f"{place}nothing", tmp_path / "gone")
    with pytest.raises(UsageError, match="no-such-file"):
        lab["b"].put(tmp_path / "nothing", place)
    with pytest.raises(UsageError, match="not an absolute path"):
        lab["b"].put(source, "somewhere")


def test_a_partition_ends_with_its_context(lab):
    with lab.partition(["a"], ["b"]):
        assert is_cut_off(lab, "b")
        assert reaches(lab, "c")
        with lab.partition(["a"], ["c"]):
            assert is_cut_off(lab, "c")
        assert reaches(lab, "c")
    assert reaches(lab, "b")
    for groups, said in (([["a"]], "less than two groups"), ([["a"], ["a", "b"]], "a in two groups")):
        with pytest.raises(UsageError, match=said), lab.partition(*groups):
            pass


def test_changes_end_with_their_context_or_with_restore(lab):
    link = lab.link("a", "b")
    with suppress(ZeroDivisionError), link.impaired(delay="60ms", loss="1%"):
        assert repr(link) == "<link a -> b: delay 60 ms, loss 1 %>"
        raise ZeroDivisionError
    assert link.impairments.describe() == "delay 5 ms"
    link.update(loss="100%")
    lab.link("a", "c").update(delay="9ms")
    lab.node("a").pause()
    lab.restore()
    assert (link.impairments.describe(), lab.link("a", "c").impairments.describe()) == ("delay 5 ms", "clear")
    assert reaches(lab, "b")


def test_long_files_are_copied_without_being_in_memory(lab, tmp_path):
    source, length = tmp_path / "long", 64 << 20
    with source.open("wb") as file:
        file.truncate(length)
        file.write(b"begins")
    tracemalloc.start()
    try:
        lab.node("a").put(source, "/tmp/long")
        lab.node("a").get("/tmp/long", tmp_path / "copied")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    lab["a"].run(["rm", "/tmp/long"])
    assert most < length / 4
    assert (tmp_path / "copied").stat().st_size == length
    assert (tmp_path / "copied").read_bytes().strip(b"\0") == b"begins"


@pytest.mark.parametrize("change", ["impaired", "partition"])
def test_a_change_that_is_interrupted_when_it_has_been_made_is_undone(lab, monkeypatch, change):
    interrupted: list[messages.Impair] = []
    link, call = lab.link("a", "b"), lab.agent.call

    def interrupting(message):
        result = call(message)
        if isinstance(message, messages.Impair) and not interrupted:
            interrupted.append(message)
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(lab.agent, "call", interrupting)
    context = link.impaired(delay="60ms") if change == "impaired" else lab.partition(["a"], ["b"])
    with pytest.raises(KeyboardInterrupt), context:
        pass
    assert interrupted
    assert link.impairments.describe() == "delay 5 ms"


def test_programs_logs_addresses_and_names_of_things(lab):
    with lab["b"].popen(["sh", "-c", "echo up; exec sleep 60"]) as program:
        assert next(iter(program)) == "up"
        assert repr(program) == "<sh -c echo up; exec sleep 60 in node b>"
    assert program.wait() == 137
    assert lab.node("a").logs() == "hello\n"
    address = lab["b"].addresses["lan"]
    assert address in lab["a"].run(["ping", "-c1", "b"]).stdout
    assert repr(lab) == f"<lab {lab.name}: {lab.runtime}, nodes a, b, c>"
    assert repr(lab["b"]) == f"<node b of lab {lab.name}: {address} on lan>"
    assert [node.name for node in lab.nodes] == ["a", "b", "c"]
    assert [repr(link) for link in lab.links] == ["<link a -> b: delay 5 ms>", "<link b -> a: delay 5 ms>"]


def test_what_a_notebook_shows_of_a_lab_and_a_run(lab, tmp_path):
    shown = lab._repr_html_()
    assert "<td>a -&gt; b on lan</td><td>delay 5 ms</td>" in shown
    assert "<td>delay</td><td>5 ms</td>" in lab.link("a", "b")._repr_html_()
    run = lab.run(tmp_path, check=False)
    assert repr(run) == f"<run {run.path}: complete, not trusted>"
    assert "<th>echo (ping)</th>" in run._repr_html_()
    assert "<td>sent</td><td>3</td>" in run._repr_html_()
    assert "not trusted: the links were not measured" in run._repr_html_()
    assert run["echo"].sent == 3
    for library in ("pandas", "polars"):
        frame = run.frame("echo", library)
        assert sorted(
            frame["seq"].drop_nulls().unique().to_list() if library == "polars" else frame["seq"].dropna().unique()
        )
    with pytest.raises(UsageError, match="library is 'numpy'"):
        run.frame("echo", "numpy")


def test_in_asyncio(lab):
    """Calls block; threads make them side by side."""

    async def both():
        runs = (asyncio.to_thread(lab[name].run, ["hostname"]) for name in ("a", "b"))
        return [done.stdout.strip() for done in await asyncio.gather(*runs)]

    assert asyncio.run(both()) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("x/../../out", tarfile.REGTYPE, "leads out of it"),
        ("x/link", tarfile.SYMTYPE, "neither a file nor a directory"),
    ],
)
def test_an_archive_of_a_node_cannot_write_elsewhere(tmp_path, name, kind, said):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        tar.addfile(entry, io.BytesIO())
    with pytest.raises(LabError, match=said):
        files.unpack(io.BytesIO(archive.getvalue()), tmp_path / "into")
    assert not list(tmp_path.rglob("out"))
