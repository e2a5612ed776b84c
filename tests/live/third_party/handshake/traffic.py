"""What handshake does in the nodes."""

from testbed.endpoint import tcp
from testbed.endpoint.owner import Owner
from testbed.endpoint.spec import Spec


def client(spec: Spec, owner: Owner) -> None:
    """Connect `count` times."""
    for number in range(spec.parameters["count"]):
        found = tcp.connect(spec, owner)
        found.connection.close()
        owner.emit_columns("connections", {"begun_ns": [found.begun_ns], "connected_ns": [found.connected_ns]})
        owner.progress(number / spec.parameters["count"])
    owner.emit("end")


def server(spec: Spec, owner: Owner) -> None:
    """Accept until told to stop."""
    with tcp.listen(spec) as server:
        owner.emit("listening")
        while not owner.stopping:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                continue
    owner.emit("end")
