"""What `testbed init` writes, which a live test of the same name runs."""

import subprocess
import sys

import pytest
import yaml

from testbed.errors import UsageError
from testbed.importing import starter
from testbed.topology import load


def test_a_directory_gets_a_network_of_its_name(tmp_path):
    directory = tmp_path / "My Shop"
    directory.mkdir()
    [written] = starter.write(str(directory))
    assert (written.name, load(written).name) == ("network.yml", "my-shop")


def test_a_name_becomes_a_file(tmp_path):
    [written] = starter.write(str(tmp_path / "bad-wifi"))
    assert (written.name, load(written).name) == ("bad-wifi.yml", "bad-wifi")


def test_what_stands_in_comments_is_valid_too(tmp_path):
    [written] = starter.write(str(tmp_path / "all"))
    text = written.read_text().replace("# timeline:", "timeline:").replace("#   - {at", "  - {at")
    written.write_text(text)
    assert len(yaml.safe_load(text)["timeline"]) == len(load(written).timeline) == 2


def test_a_compose_file_gives_the_nodes(tmp_path):
    (tmp_path / "compose.yaml").write_text("services: {web: {image: nginx}, db: {image: postgres}}")
    [written] = starter.write(str(tmp_path))
    assert yaml.safe_load(written.read_text())["compose"] == {"file": "./compose.yaml"}


def test_a_topology_that_exists_stays(tmp_path):
    (tmp_path / "network.yml").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        starter.write(str(tmp_path))
    assert (tmp_path / "network.yml").read_text() == "mine"


def test_a_test_that_exists_stays(tmp_path):
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "pyproject.toml").touch()
    (directory / "test_shop_network.py").write_text("mine")
    assert starter.write(str(directory)) == [directory / "network.yml"]
    assert (directory / "test_shop_network.py").read_text() == "mine"


@pytest.mark.parametrize(("place", "code"), [("No Name", "bad-name"), ("none/there", "no-such-directory")])
def test_places_that_can_not_be(tmp_path, place, code):
    with pytest.raises(UsageError) as refused:
        starter.write(str(tmp_path / place))
    assert refused.value.code == code
    assert not [*tmp_path.iterdir()]


def test_the_command_says_what_it_wrote_and_what_is_next(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "init", "wifi"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["init    wifi.yml", "next    testbed run ./wifi.yml"]
