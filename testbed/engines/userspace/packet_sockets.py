"""The packet sockets from which a link reads frames and to which it sends them."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct

# linux/if_packet.h, asm-generic/socket.h and linux/sockios.h; the socket module lacks them.
_SOL_PACKET = 263
_SO_ATTACH_FILTER = 26
_PACKET_STATISTICS = 6
_PACKET_AUXDATA = 8
_PACKET_VNET_HDR = 15
_PACKET_QDISC_BYPASS = 20
_PACKET_IGNORE_OUTGOING = 23
_SO_SNDBUFFORCE = 32
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_SIOCGIFMTU = 0x8921
_ETH_P_ALL = 3

_RECEIVE_BUFFER_BYTES = 64 << 20
_SEND_BUFFER_BYTES = 4 << 20


def open_input(ifindex: int) -> socket.socket:
    """Open a socket that reads all frames that arrive at a device of the current network namespace.

    Before each comes its `struct virtio_net_hdr` (`segments`). The frames are read by `reading.FrameReader`.

    Raises:
        OSError: no such device, or no CAP_NET_RAW in the namespace.
    """
    sock = _open(ifindex, _PACKET_IGNORE_OUTGOING, 1)
    try:
        _set_buffer(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.bind((socket.if_indextoname(ifindex), _ETH_P_ALL))
    except BaseException:
        sock.close()
        raise
    return sock


def open_output(ifindex: int) -> socket.socket:
    """Open a socket that sends frames through a port of the current network namespace, bypassing qdiscs and clsact.

    Before each goes its `struct virtio_net_hdr` (`segments`).

    Raises:
        OSError: no such device, or no CAP_NET_RAW in the namespace.
    """
    sock = _open(ifindex, _PACKET_QDISC_BYPASS, 1)
    try:
        _set_buffer(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        sock.bind((socket.if_indextoname(ifindex), 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _open(ifindex: int, option: int, value: int) -> socket.socket:
    if ifindex <= 0:
        raise OSError(errno.ENODEV, f"no device has the index {ifindex}")
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    try:
        sock.setsockopt(_SOL_PACKET, option, value)
        sock.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_buffer(sock: socket.socket, force: int, plain: int, size: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:  # the privilege only counts in the initial user namespace: take what is allowed
        sock.setsockopt(socket.SOL_SOCKET, plain, size)


def device_name(sock: socket.socket) -> str:
    """Return the name of the device that a packet socket is bound to; empty once the device is gone."""
    return str(sock.getsockname()[0])


def mtu(sock: socket.socket) -> int:
    """Return the MTU of the device that a packet socket is bound to, bytes."""
    request = struct.pack("16si12x", device_name(sock).encode(), 0)
    _, found = struct.unpack_from("16si", fcntl.ioctl(sock, _SIOCGIFMTU, request))
    return int(found)


def kernel_drops(sock: socket.socket) -> int:
    """Return how many frames the kernel has dropped since the last call because the socket's buffer was full."""
    _, drops = struct.unpack("II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(drops)


def ignore_sender(incoming: socket.socket, mac: str) -> None:
    """Keep one sender's frames from a packet socket: classic BPF, see Documentation/networking/filter.rst.

    The sender is the near device of a pair: nothing that the kernel itself sends on it is a packet of the link.
    """
    octets = bytes.fromhex(mac.replace(":", ""))
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, 6),  # ld [6]: the first four bytes of the source MAC
            (0x15, 0, 3, int.from_bytes(octets[:4], "big")),  # jne keep
            (0x28, 0, 0, 10),  # ldh [10]: the other two
            (0x15, 0, 1, int.from_bytes(octets[4:], "big")),  # jne keep
            (0x06, 0, 0, 0),  # ret nothing
            (0x06, 0, 0, 0x40000),  # keep: ret all of it
        )
    )
    buffer = ctypes.create_string_buffer(program)
    incoming.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    )
