import io
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from testbed.errors import MachineError, UsageError
from testbed.runs import RunWriter, archive, load

SAMPLES = '{"event":"end"}\n' * 1000


@pytest.fixture
def run(tmp_path, plan, voice):
    with RunWriter(tmp_path / "there", plan, runtime="netns", images={"nginx:1.27": "sha256:1"}) as writer:
        with writer.samples("voice") as file:
            file.write(SAMPLES)
        writer.ended(voice)
    return writer.run


@pytest.fixture
def make(tmp_path, run):
    """A zip file of the run, and of what else is to be in it."""

    def made(*entries, without=(), prefix=f"lossy/{run.path.name}/"):
        path = tmp_path / "made.zip"
        with zipfile.ZipFile(path, "w") as written:
            for name in {"run.json", "samples/voice.jsonl"} - {*without}:
                written.write(run.path / name, prefix + name)
            for entry, data in entries:
                written.writestr(entry, data)
        return path

    return made


def test_an_export_is_a_run_where_it_is_unpacked(tmp_path, run):
    file = archive.export(run, tmp_path / "run.zip")
    shutil.rmtree(tmp_path / "there")
    found = load(file, tmp_path / "here")
    assert found.path == (tmp_path / "here" / "imported" / "lossy" / run.path.name).resolve()
    assert found.to_json() == run.to_json()
    assert (found.path / "samples" / "voice.jsonl").read_text() == SAMPLES


def test_an_export_is_small_and_the_same_every_time(tmp_path, run):
    first = archive.export(run, tmp_path / "first.zip").read_bytes()
    shutil.copytree(run.path, tmp_path / "copied" / run.path.name)
    copied = load(tmp_path / "copied" / run.path.name)
    assert archive.export(copied, tmp_path / "second.zip").read_bytes() == first
    assert len(first) < len(SAMPLES)


def test_an_export_is_unpacked_once(tmp_path, run):
    file = archive.export(run, tmp_path / "run.zip")
    first = load(file, tmp_path / "here")
    (first.path / "report.html").write_text("written again")
    assert load(file, tmp_path / "here").path == first.path
    assert (first.path / "report.html").read_text() == "written again"


def test_an_unpacked_run_never_replaces_another_one(tmp_path, run):
    file = archive.export(run, tmp_path / "run.zip")
    there = load(file, tmp_path / "here").path / "run.json"
    there.write_text(there.read_text() + " ")
    with pytest.raises(UsageError, match="run-exists"):
        load(file, tmp_path / "here")


def test_a_run_that_failed_can_be_exported_too(tmp_path, plan):
    writer = RunWriter(tmp_path / "there", plan, runtime="netns")
    with pytest.raises(RuntimeError), writer:
        raise RuntimeError("made up")
    found = load(archive.export(writer.run, tmp_path / "run.zip"), tmp_path / "here")
    assert (found.status, found.error) == ("failed", "made up")


def test_an_export_that_can_not_be_written_is_a_usage_error(tmp_path, run):
    with pytest.raises(UsageError, match="not a regular file"):
        archive.export(run, Path("/dev/null"))
    with pytest.raises(UsageError, match="not-exported"):
        archive.export(run, tmp_path / "none" / "run.zip")


def link_to(target):
    entry = zipfile.ZipInfo("lossy/20261122T212613Z-d9a9/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, target


def packed_by(method):
    entry = zipfile.ZipInfo("lossy/20261122T212613Z-d9a9/packed")
    entry.compress_type = method
    return entry, "x"


@pytest.mark.parametrize(
    "entry",
    [
        ("../../outside", "x"),
        ("/tmp/outside", "x"),
        ("lossy/../../outside", "x"),
        ("lossy/./outside", "x"),
        ("lossy\\..\\outside", "x"),
        ("other/run/run.json", "x"),
        link_to("/etc/passwd"),
        packed_by(zipfile.ZIP_BZIP2),
        packed_by(zipfile.ZIP_LZMA),
    ],
)
def test_archives_with_entries_that_no_export_has_are_refused(tmp_path, make, entry):
    with pytest.raises(UsageError, match="not-an-export"):
        load(make(entry), tmp_path / "here")
    assert [path for path in (tmp_path / "here").rglob("*") if path.is_file()] == []


def test_an_archive_without_a_run_is_refused(tmp_path, make):
    with pytest.raises(UsageError, match=r"run\.json"):
        load(make(without=["run.json"]), tmp_path / "here")
    with pytest.raises(UsageError, match=r"run\.json"):
        load(make(prefix="lossy/"), tmp_path / "here")


def test_names_that_are_no_text_are_refused(tmp_path, run, make):
    file = make((f"lossy/{run.path.name}/é", "x"))
    file.write_bytes(file.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(UsageError, match="not-an-export"):
        load(file, tmp_path / "here")


def test_a_file_that_is_not_a_zip_file_is_refused(tmp_path):
    (tmp_path / "run.zip").write_text("no zip file")
    with pytest.raises(UsageError, match="not-an-export"):
        load(tmp_path / "run.zip", tmp_path / "here")


def test_a_damaged_archive_leaves_nothing(tmp_path, run):
    file = archive.export(run, tmp_path / "run.zip")
    data = bytearray(file.read_bytes())
    data[data.index(b"samples/voice.jsonl") + 40] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(UsageError, match="not-an-export"):
        load(file, tmp_path / "here")
    assert [path for path in (tmp_path / "here").rglob("*") if path.is_file()] == []


def claiming(path, size):
    """The file, whose list of entries says of each that it is as large as that."""
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 24 : at + 28] = size.to_bytes(4, "little")
        at = data.find(b"PK\x01\x02", at + 4)
    path.write_bytes(data)
    return path


def test_an_archive_that_would_be_too_large_is_refused(tmp_path, run, make):
    entries = [(f"lossy/{run.path.name}/{number}", "x") for number in range(5)]
    with pytest.raises(UsageError, match="would unpack to"):
        load(claiming(make(*entries), 0xFFFF_FFF0), tmp_path / "here")


def test_an_archive_for_which_there_is_no_room_is_refused(tmp_path, run, monkeypatch):
    file = archive.export(run, tmp_path / "run.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(MachineError, match="no-room"):
        load(file, tmp_path / "here")


def test_an_export_contains_only_files(tmp_path, run):
    (run.path / "leads-out").symlink_to("/etc/passwd")
    with zipfile.ZipFile(io.BytesIO(archive.export(run, tmp_path / "run.zip").read_bytes())) as found:
        assert {Path(name).name for name in found.namelist()} == {"run.json", "voice.jsonl"}


def test_only_its_owner_may_read_an_export_and_what_it_is_unpacked_to(tmp_path, run):
    previous = os.umask(0)
    try:
        file = archive.export(run, tmp_path / "run.zip")
        found = load(file, tmp_path / "here")
    finally:
        os.umask(previous)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for directory in (run.path, found.path, tmp_path / "here", tmp_path / "here" / "imported"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory


def test_an_export_follows_no_link_that_somebody_has_put_in_its_way(tmp_path, run):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / ".run.zip.new").symlink_to(victim)
    archive.export(run, tmp_path / "run.zip")
    assert victim.read_text() == "kept"
    assert (tmp_path / "run.zip").is_file()
