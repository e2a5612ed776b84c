import pytest

from testbed.errors import UsageError
from testbed.runs.output_files import make_directory, write_whole


def test_a_file_takes_the_place_of_another_and_leaves_nothing_beside_it(tmp_path):
    file = tmp_path / "run.json"
    for text in ("long, and the first", "ä"):
        write_whole(file, text)
        assert file.read_text("utf-8") == text
    assert list(tmp_path.iterdir()) == [file]


def test_an_unwritable_file_is_an_error_with_the_reason(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"not-written.*Not a directory"):
        make_directory(tmp_path / "file" / "below")
    with pytest.raises(UsageError, match=r"not-written.*No such file"):
        write_whole(tmp_path / "none" / "run.json", "")
