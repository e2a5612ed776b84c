"""The compose project of the container that a process runs in, found by its mounts."""

import pytest

from testbed.errors import UsageError
from testbed.runtime.docker.discovery import own_project

CONTAINER = "0123456789abcdef" * 4
MOUNTS = f"615 600 8:1 /var/lib/docker/containers/{CONTAINER}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"


class Engine:
    """Knows one container."""

    def __init__(self, labels):
        self.api = self
        self._labels = labels

    def inspect_container(self, identity):
        assert identity == CONTAINER
        return {"Config": {"Labels": self._labels}}


@pytest.fixture
def mounts(tmp_path):
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


def test_it_is_that_of_the_containers_label(mounts):
    assert own_project(Engine({"com.docker.compose.project": "shop"}), mounts) == "shop"


@pytest.mark.parametrize("labels", [{}, None])
def test_a_container_of_no_project_has_none(mounts, labels):
    with pytest.raises(UsageError, match="no compose project"):
        own_project(Engine(labels), mounts)


def test_a_process_in_no_container_has_none(mounts):
    mounts.write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    with pytest.raises(UsageError, match="no container of one"):
        own_project(Engine({"com.docker.compose.project": "shop"}), mounts)
