"""What the Docker Engine is told of services, and what its refusals mean."""

import pytest

from testbed.errors import LabError
from testbed.plan import resolve
from testbed.runtime.docker import builds, services
from testbed.topology import loads


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "Dockerfile").touch()

    def made(keys):
        text = f"name: x\nnetworks: {{lan: {{internal: false}}}}\nnodes: {{a: {{{keys}}}}}"
        return resolve(loads(text, "x.yml", tmp_path))

    return made


DRIVER = "node a: driver failed programming external connectivity on endpoint x (0a1b): "


@pytest.mark.parametrize(
    "said",
    [
        f"{DRIVER}Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
        f"{DRIVER}Bind for 0.0.0.0:8080 failed: port is already allocated",
    ],
)
def test_a_port_in_use_is_explained(plan, said):
    node, refused = plan("ports: [9090:90, 8080:80]").node("a"), LabError("docker-refused", said)
    error = services.explained(node, refused, lambda port: f"whoever has {port.host_port}")
    assert error.code == "port-in-use"
    assert error.message == "node a publishes port 8080/tcp of this machine, which whoever has 8080 has"
    assert error.hint
    assert "8080" in error.hint


def test_other_refusals_stay_as_they_are(plan):
    error = LabError("docker-refused", "node a: no such device")
    assert services.explained(plan("ports: [8080:80]").node("a"), error, str) is error


def test_ports_on_any_and_on_given_addresses(plan):
    made = plan("ports: [80, 8080:80, '127.0.0.1:53:5353/udp', '127.0.0.1::81']")
    assert services.host_options(made, made.node("a"), [])["port_bindings"] == {
        "80/tcp": [None, 8080],
        "5353/udp": [("127.0.0.1", 53)],
        "81/tcp": [("127.0.0.1", None)],
    }


@pytest.mark.parametrize(
    ("restart", "policy"),
    [
        ("'no'", {"Name": "no", "MaximumRetryCount": 0}),
        ("always", {"Name": "always", "MaximumRetryCount": 0}),
        ("on-failure:3", {"Name": "on-failure", "MaximumRetryCount": 3}),
    ],
)
def test_restart_policies(plan, restart, policy):
    made = plan(f"restart: {restart}")
    assert services.host_options(made, made.node("a"), [])["restart_policy"] == policy


def test_a_built_image_has_the_topologys_name_unless_the_file_names_it(plan):
    for keys, image in (
        ("build: .", "testbed-build/x:a"),
        ("build: ., image: mine", "mine"),
        ("image: other", "other"),
        ("", "default"),
    ):
        made = plan(keys)
        assert builds.image_of(made, made.node("a"), "default") == image
