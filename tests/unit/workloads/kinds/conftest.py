"""Clients and servers of kinds as real endpoint processes on loopback."""

from tests.unit.endpoint.conftest import port, start, start_raw

__all__ = ["port", "start", "start_raw"]
