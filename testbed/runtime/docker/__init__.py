"""Nodes as containers of a Docker Engine, near or far."""

from testbed.runtime.docker.runtime import DockerRuntime

__all__ = ["DockerRuntime"]
