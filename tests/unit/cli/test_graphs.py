"""The commands that draw and import, and what they say of wrong words."""

import pytest
from click.testing import CliRunner

from testbed.cli import cli
from testbed.errors import UsageError
from tests.drawings import mermaid, svg_texts

COMPOSE = "services:\n  web: {image: nginx, init: true, volumes: ['./site:/srv:ro']}\n  db: {image: pg}\n"


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def called(*argv):
        return CliRunner().invoke(cli, [*map(str, argv)], catch_exceptions=False)

    return called


def test_text_is_the_default(call):
    done = call("graph", "lossy")
    assert done.exit_code == 0
    assert "client ◀─▶ server" in done.stdout


@pytest.mark.parametrize("name", ["out.svg", "out.mmd"])
def test_the_name_of_the_output_says_its_format(call, tmp_path, name):
    assert call("graph", "lossy", "--output", tmp_path / name).stdout == ""
    text = (tmp_path / name).read_text()
    assert svg_texts(text) if name.endswith("svg") else mermaid(text)


def test_the_option_counts_more_than_the_name(call, tmp_path):
    call("graph", "lossy", "--format", "dot", "--output", tmp_path / "out.svg")
    assert (tmp_path / "out.svg").read_text().startswith("digraph")


def test_a_wrong_format_topology_or_output_is_an_error_of_use(call, tmp_path):
    assert call("graph", "lossy", "--format", "png").exit_code == 2
    for argv in (["graph", "lossyy"], ["graph", "lossy", "--output", tmp_path / "lossy.txt" / "x.svg"]):
        (tmp_path / "lossy.txt").touch()
        with pytest.raises(UsageError):
            call(*argv)


def test_an_import_writes_the_topology_and_lists_what_is_left_out(call, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "site").mkdir()
    (tmp_path / "shop" / "compose.yml").write_text(COMPOSE)
    done = call("import", "shop/compose.yml")
    assert done.exit_code == 0
    assert "shop/compose.yml:2:23: left-out: services.web.init" in done.stderr
    assert "./shop/site:/srv:ro" in done.stdout
    call("import", "shop/compose.yml", "--output", "shop/lab.yml")
    assert call("validate", "shop/lab.yml").exit_code == 0
    assert "./site:/srv:ro" in (tmp_path / "shop" / "lab.yml").read_text()
    (tmp_path / "labs").mkdir()
    call("import", "shop/compose.yml", "--output", "labs/lab.yml")
    assert call("validate", "labs/lab.yml").exit_code == 0
    assert "../shop/site:/srv:ro" in (tmp_path / "labs" / "lab.yml").read_text()


def test_a_wrong_file_is_not_imported(call, tmp_path):
    (tmp_path / "wrong.yml").write_text("services: {web: {imge: x}}")
    with pytest.raises(UsageError, match=r"wrong.yml:1:18: unknown-key"):
        call("import", "wrong.yml", "--output", "out.yml")
    assert not (tmp_path / "out.yml").exists()
