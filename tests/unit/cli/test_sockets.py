from msgspec.structs import replace
from rich.console import Console

from testbed.agent.messages import NodeSockets, TcpConnection
from testbed.cli.sockets import _table

INFO = {
    "rtt_ns": 40_400_000,
    "min_rtt_ns": 40_000_000,
    "cwnd": 10,
    "unacked": 3,
    "lost": 0,
    "retransmits": 0,
    "delivery_rate": 125_000,
    "busy_ns": 1000,
    "rwnd_limited_ns": 0,
    "sndbuf_limited_ns": 0,
}
NAMES = {"198.18.0.2": "server", "198.18.0.3": "client"}


def connection(**changes):
    common = TcpConnection(
        local="198.18.0.2:80",
        peer="198.18.0.3:40000",
        process="nginx",
        state="ESTABLISHED",
        congestion="bbr",
        send_queue_bytes=5000,
        receive_queue_bytes=0,
        send_buffer_bytes=87040,
        receive_buffer_bytes=131072,
        drops=0,
        info=INFO,
    )
    return replace(common, **changes)


def shown(*connections):
    console = Console(width=160, highlight=False)
    with console.capture() as capture:
        console.print(_table({"server": NodeSockets(at_ns=1, connections=connections)}, NAMES))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_addresses_are_shown_as_node_names_and_empty_columns_are_left_out():
    assert shown(connection()) == [
        "node process local peer control rtt least cwnd in flight retrans delivery to send",
        "server nginx server:80 client:40000 bbr 40.4 ms 40 ms 10 3 0 1 mbit/s 5 KB",
    ]


def test_unusual_states_of_connections_are_shown():
    info = {**INFO, "lost": 2, "rwnd_limited_ns": 250}
    head, line = shown(connection(state="FIN-WAIT-1", process=None, receive_queue_bytes=7, info=info))
    assert " peer state control " in head
    assert head.endswith("in flight lost retrans delivery to send to read held up")
    assert line == "server ? server:80 client:40000 FIN-WAIT-1 bbr 40.4 ms 40 ms 10 3 2 0 1 mbit/s 5 KB 7 B rwnd 25%"


def test_an_address_of_no_node_is_shown_as_it_is_and_a_missing_field_as_unknown():
    old = {name: value for name, value in INFO.items() if name not in ("min_rtt_ns", "delivery_rate", "busy_ns")}
    (_, line) = shown(connection(peer="203.0.113.5:443", info=old))
    assert line == "server nginx server:80 203.0.113.5:443 bbr 40.4 ms ? 10 3 0 ? 5 KB"


def test_a_node_without_connections_is_reported():
    assert shown() == ["no TCP connections in server"]
