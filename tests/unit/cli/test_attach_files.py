"""`testbed attach --file`: what goes together, and whose project a file is of."""

import pytest
from click.testing import CliRunner

from testbed.cli.attaching import attach_command
from testbed.errors import UsageError
from testbed.lab.sidecar import attachable
from testbed.topology import TopologyError

LINKS = "name: slow\nlinks: [{between: [web, db], delay: 20ms}]\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "slow.yml"
    path.write_text(LINKS)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shop", "--wait"], "--wait is for a file"),
        (["shop", "--file", "FILE", "--link", "web,db", "delay=1ms"], "--file has the links"),
        (["shop", "other", "--file", "FILE"], "for one project"),
        (["web", "db", "--link", "web", "db", "delay=1ms"], "'delay=1ms' is given where containers are named"),
        (["web", "db", "--link", "web", "--link", "db"], "--link 'web' has one end"),
        (["--file", "FILE", "--host", "east=ssh://east"], "--file has the hosts"),
        (["web", "--namespace", "--host", "east=ssh://east"], "namespaces are those of this machine"),
        (["web", "--host", "ssh://east"], "write it like east=ssh://user@east.example"),
    ],
)
def test_what_does_not_go_together_is_an_error(file, words, said):
    words = [str(file) if word == "FILE" else word for word in words]
    found = CliRunner().invoke(attach_command, words)
    assert isinstance(found.exception, UsageError)
    assert said in str(found.exception)


def test_a_file_is_of_the_project_that_is_named_unless_it_names_one(file):
    found = attachable(file, "shop").compose
    assert found is not None
    assert found.project == "shop"
    file.write_text(f"{LINKS}compose: {{project: own}}\n")
    found = attachable(file, "shop").compose
    assert found is not None
    assert found.project == "own"


def test_a_file_that_names_containers_needs_no_project(file):
    file.write_text(f"{LINKS}nodes: {{web: {{container: shop-web-1}}, db: {{container: db}}}}\n")
    assert attachable(file, None).compose is None
    found = attachable(file, "shop").compose
    assert found is not None
    assert found.project == "shop"


def test_what_is_wrong_in_the_file_is_at_its_line(file):
    file.write_text(LINKS.replace("delay: 20ms", "delay: 20 parsecs"))
    with pytest.raises(TopologyError, match=r"slow\.yml:2:"):
        attachable(file, "shop")
