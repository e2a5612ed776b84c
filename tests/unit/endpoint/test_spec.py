from __future__ import annotations

import socket

import pytest

from testbed.endpoint.spec import Spec


@pytest.mark.parametrize(
    ("address", "family", "destination", "authority"),
    [
        ("198.18.7.2", socket.AF_INET, ("198.18.7.2", 80), "198.18.7.2:80"),
        ("2001:2::2", socket.AF_INET6, ("2001:2::2", 80, 0, 0), "[2001:2::2]:80"),
        ("2001:2:0:0:0:0:0:2", socket.AF_INET6, ("2001:2::2", 80, 0, 0), "[2001:2:0:0:0:0:0:2]:80"),
    ],
)
def test_the_address_decides_the_family(address, family, destination, authority):
    spec = Spec(kind="ping", role="client", address=address, port=80, seed=1, round_trip_ns=0, parameters={})
    assert (spec.family, spec.destination, spec.authority) == (family, destination, authority)


def test_the_destination_is_as_the_sender_of_its_answers():
    spec = Spec(kind="ping", role="client", address="::1", port=0, seed=1, round_trip_ns=0, parameters={})
    with socket.socket(spec.family, socket.SOCK_DGRAM) as end:
        end.bind(spec.destination)
        end.sendto(b"x", end.getsockname())
        assert end.recvfrom(1)[1] == (spec.destination[0], end.getsockname()[1], *spec.destination[2:])
