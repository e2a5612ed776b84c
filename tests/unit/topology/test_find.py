from pathlib import Path

import pytest

from testbed.errors import UsageError
from testbed.topology import find, load


def test_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(find("lossy")).name == "lossy"


def test_the_working_directory_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topologies").mkdir()
    own = tmp_path / "topologies" / "lossy.yml"
    own.write_text("name: own")
    assert find("lossy").resolve() == own


def test_a_path(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("name: mine")
    assert find(str(path)) == path
    assert find(path) == path


@pytest.mark.parametrize("suffix", [".yml", ".yaml"])
def test_a_file_in_the_working_directory(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    Path(f"mine{suffix}").write_text("name: mine")
    assert find(f"mine{suffix}") == Path(f"mine{suffix}")


def test_nearest_spelling(tmp_path):
    with pytest.raises(UsageError) as raised:
        find("lozzy")
    assert raised.value.exit_code == 2
    assert 'did you mean "lossy"?' in str(raised.value)
    (tmp_path / "mine.yml").write_text("")
    with pytest.raises(UsageError) as raised:
        find(str(tmp_path / "mime.yml"))
    assert "mine.yml" in str(raised.value)


def test_a_directory(tmp_path):
    with pytest.raises(UsageError, match="is a directory"):
        find(str(tmp_path))


def test_a_directory_without_a_slash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labs").mkdir()
    (tmp_path / "labs" / "mine.yml").write_text("name: mine")
    with pytest.raises(UsageError, match='"labs" is a directory') as raised:
        find("labs")
    assert raised.value.hint == "files there are: labs/mine.yml"


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(UsageError, match="can't be read: File name too long"):
        find(str(tmp_path / f"{'x' * 300}.yml"))


def test_a_file_named_without_its_suffix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yml").write_text("name: mine")
    with pytest.raises(UsageError) as raised:
        find("mine")
    assert raised.value.hint == 'did you mean the file "mine.yml"?'
