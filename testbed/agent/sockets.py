"""The TCP connections of a node, of all its programs, as its kernel reports them by inet_diag (sock_diag(7)).

Message formats are of include/uapi/linux/inet_diag.h. pyroute2 knows them too, but its socket wants an event loop of
its own, and its struct tcp_info ends with Linux 4.19.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING

import msgspec

from testbed.agent.messages import NodeSockets, TcpConnection
from testbed.errors import LabError, MachineError
from testbed.linux import namespaces
from testbed.linux.tcp_info import STATES, parse, parse_congestion

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_LARGEST_DUMP = 1 << 16

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, extensions, states
_MESSAGE = struct.Struct("=BBBB HH16s16sI8s IIIII")  # struct inet_diag_msg; the ports are big-endian
_ATTRIBUTE = struct.Struct("=HH")
_MEMORY = struct.Struct("=9I")  # SK_MEMINFO_* of linux/sock_diag.h

_INFO, _VEGASINFO, _CONG, _SKMEMINFO, _DCTCPINFO, _BBRINFO = 2, 3, 4, 7, 9, 16  # INET_DIAG_*
# _VEGASINFO asks for the information of any congestion control: net/ipv4/tcp_diag.c and inet_diag.c
_EXTENSIONS = sum(1 << extension - 1 for extension in (_INFO, _VEGASINFO, _CONG, _SKMEMINFO))
_CONNECTED = sum(
    1 << state for state in (1, 2, 4, 5, 8, 9, 11)
)  # no listeners, and none that only wait for time to pass


Owner = tuple[int | None, str | None]
"""The pid and the name of a process that has a socket open; None where that is not known."""


def sockets_of(network: int, owners: dict[int, Owner]) -> NodeSockets:
    """Return the TCP connections of a network namespace.

    Args:
        network: a file descriptor of it.
        owners: of the connections that were there the last time, by inode; made to be of those that are there now.
            Processes are looked through only where there are new connections.

    Raises:
        MachineError: `no-inet-diag`: the kernel can't tell.
        LabError: `sockets-refused`, with the kernel's reason.
    """
    with namespaces.inside(network):
        try:
            diag = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        except OSError as error:
            raise _refused(error.errno or 0) from None
    with diag:
        found = [
            _connection(message) for family in (socket.AF_INET, socket.AF_INET6) for message in _dump(diag, family)
        ]
    at_ns = monotonic_ns()
    inodes = {inode for inode, _ in found} - {0}  # nobody has accepted the connection yet
    known = {**owners, **(_owners(network) if inodes - owners.keys() else {})}
    owners.clear()
    owners.update((inode, known.get(inode, (None, None))) for inode in inodes)
    connections = []
    for inode, connection in found:
        pid, process = owners.get(inode, (None, None))
        connections.append(msgspec.structs.replace(connection, pid=pid, process=process))
    return NodeSockets(at_ns=at_ns, connections=tuple(connections))


def _refused(number: int) -> MachineError | LabError:
    if number in (errno.ENOENT, errno.EPROTONOSUPPORT):
        return MachineError(
            "no-inet-diag", "this kernel can't tell about TCP connections", "modprobe tcp_diag, or CONFIG_INET_DIAG"
        )
    return LabError("sockets-refused", f"the kernel does not tell about TCP connections: {os.strerror(number)}")


def _dump(diag: socket.socket, family: int) -> Iterator[bytes]:
    """Return all connections of an address family, as struct inet_diag_msg with attributes."""
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, _EXTENSIONS, _CONNECTED)
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    diag.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, flags, 0, 0) + request)
    while True:
        data = diag.recv(_LARGEST_DUMP)
        while data:
            length, kind, *_ = _HEADER.unpack_from(data)
            message, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                raise _refused(-struct.unpack_from("=i", message)[0])
            yield message


def _connection(message: bytes) -> tuple[int, TcpConnection]:
    """Return the inode of a connection, and its record."""
    family, state, _, _, _, _, source, destination, _, _, _, received, unsent, _, inode = _MESSAGE.unpack_from(message)
    local_port, peer_port = struct.unpack_from("!HH", message, 4)
    attributes = dict(_attributes(message[_MESSAGE.size :]))
    congestion = attributes.get(_CONG, b"").rstrip(b"\0").decode("ascii")
    own = next((attributes[kind] for kind in (_VEGASINFO, _DCTCPINFO, _BBRINFO) if kind in attributes), b"")
    memory = _MEMORY.unpack(attributes[_SKMEMINFO][: _MEMORY.size]) if _SKMEMINFO in attributes else (0,) * 9
    return inode, TcpConnection(
        local=f"{_address(family, source)}:{local_port}",
        peer=f"{_address(family, destination)}:{peer_port}",
        state=STATES.get(state, str(state)),
        congestion=congestion,
        receive_queue_bytes=received,
        send_queue_bytes=unsent,
        receive_buffer_bytes=memory[1],
        send_buffer_bytes=memory[3],
        drops=memory[8],
        info={**parse(attributes.get(_INFO, b"")), **parse_congestion(congestion, own)},
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]


def _address(family: int, packed: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(family, packed[:4])
    address = IPv6Address(packed)
    return str(address.ipv4_mapped) if address.ipv4_mapped else f"[{address}]"


def _owners(network: int) -> dict[int, Owner]:
    """Return the owners of the open sockets of a network namespace, by inode."""
    namespace = os.fstat(network).st_ino
    found: dict[int, Owner] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is nobody we may look at
            if (process / "ns" / "net").stat().st_ino == namespace:
                name = (process / "comm").read_text("utf-8", "replace").strip()
                for inode in _open_sockets(process):
                    found.setdefault(inode, (int(process.name), name))
    return found


def _open_sockets(process: Path) -> Iterator[int]:
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                yield int(target[len("socket:[") : -1])
