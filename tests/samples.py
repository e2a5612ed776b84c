"""Parts of plans that several tests use."""

from testbed.plan.nodes import Interface, Node


def bare_node(name: str, at: Interface) -> Node:
    """A node with one interface, and with nothing else that a file can say."""
    return Node(
        name=name,
        interfaces=(at,),
        image=None,
        command=(),
        environment={},
        cpus_milli=0,
        memory_bytes=0,
        sysctls={},
        ready=None,
    )
