import os

import pytest

from testbed import plan, topology
from testbed.errors import UsageError
from testbed.sweep.cluster import files

TEXT = """
name: filed
nodes:
  a: {volumes: ["./site:/srv:ro"], setup: ["sh tools/begin.sh"]}
  b: {command: [sh, -c, "python3 -u server.py --port 80"]}
links: [{between: [a, b], delay: 1ms}]
workloads:
  - {name: told, kind: command, in: a, command: [./client, --verbose]}
timeline:
  - {at: 0s, run: {in: b, command: [cat, notes.txt]}}
"""
SENT = ["client", "notes.txt", "server.py", "site/deep/page.html", "tools/begin.sh"]


@pytest.fixture
def directory(tmp_path):
    beside = tmp_path / "beside"
    for name in (*SENT, "unused.txt", "site/more/b"):
        path = beside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    (beside / "site" / "empty").mkdir()
    (beside / "client").chmod(0o755)
    return beside


def planned(text, directory):
    return plan.resolve(topology.loads(text, "filed.yml", directory))


def arrived(packed, tmp_path):
    (tmp_path / "files.zip").write_bytes(packed)
    files.unpack(tmp_path / "files.zip", tmp_path / "there")
    return tmp_path / "there"


def test_what_nodes_and_commands_name_travels_and_nothing_else(directory, tmp_path):
    there = arrived(files.pack([planned(TEXT, directory)]), tmp_path)
    found = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
    assert found == sorted([*SENT, "site/more/b"])
    assert (there / "site" / "deep" / "page.html").read_text() == "content of site/deep/page.html"
    assert (there / "site" / "empty").is_dir()


def test_programs_stay_executable(directory, tmp_path):
    there = arrived(files.pack([planned(TEXT, directory)]), tmp_path)
    assert os.access(there / "client", os.X_OK)
    assert not (there / "server.py").stat().st_mode & 0o111


def test_the_same_files_make_the_same_archive(directory):
    assert files.pack([planned(TEXT, directory)]) == files.pack([planned(TEXT, directory)] * 2)


def test_a_volume_beside_the_directory_is_refused(directory):
    text = TEXT.replace("./site:", "../beside/site:")
    with pytest.raises(UsageError, match=r"not-sent: node a uses ../beside/site"):
        files.pack([planned(text, directory)])


def test_what_is_named_by_an_absolute_path_is_expected_on_the_workers(directory, tmp_path):
    text = TEXT.replace("./site:", f"{directory}/site:")
    there = arrived(files.pack([planned(text, directory)]), tmp_path)
    assert not (there / "site").exists()


def test_too_much_is_refused(directory, monkeypatch):
    monkeypatch.setattr(files, "_MOST_BYTES", 60)
    with pytest.raises(UsageError, match="put large files on the workers"):
        files.pack([planned(TEXT, directory)])


def test_a_link_to_a_directory_does_not_lead_out(directory, tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("secret")
    (directory / "site" / "out").symlink_to(tmp_path / "secrets")
    there = arrived(files.pack([planned(TEXT, directory)]), tmp_path)
    assert not (there / "site" / "out").exists()
