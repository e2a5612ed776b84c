"""Who has a port of this machine."""

import os
import socket

import pytest

from testbed.runtime import ports
from testbed.services import PublishedPort


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
def test_the_program_that_has_a_port_is_named(protocol, kind):
    with socket.socket(type=kind) as own:
        own.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            own.listen()
        port = PublishedPort(port=80, host_port=own.getsockname()[1], protocol=protocol)
        assert ports.holder_of(port).endswith(f" (pid {os.getpid()})")
    assert ports.holder_of(port) == ""
