"""Offloads of a device: off wherever an engine would take several packets for one."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import re
import socket
import struct
from typing import TYPE_CHECKING

from testbed.errors import LabError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable

SEGMENTATION = ("tx-generic-segmentation", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation",
                "tx-tcp-accecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-udp-segmentation",
                "tx-sctp-segmentation")  # fmt: skip
"""Features (net/ethtool/common.c) that let one skb carry several packets."""

_TELLABLE = ("tx-generic-segmentation", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation")
_TELLABLE_LATER = "tx-udp-segmentation"
_LATER = (6, 2)
"""The version of Linux since which a packet socket says that a frame is several datagrams (linux/virtio_net.h)."""

_OTHER_UNTELLABLE = ("tx-gso-list", "tx-gso-partial", "tx-checksum-sctp")

# include/uapi/linux/ethtool.h and sockios.h
_SIOCETHTOOL = 0x8946
_GET_STRINGS, _GET_STRING_COUNTS, _GET_FEATURES, _SET_FEATURES = 0x1B, 0x37, 0x3A, 0x3B
_FEATURE_NAMES = 4  # ETH_SS_FEATURES
_NAME_BYTES = 32  # ETH_GSTRING_LEN
_BITS = 32
_BLOCK = struct.Struct("=IIII")  # struct ethtool_get_features_block
_REQUESTED, _ACTIVE = 1, 2  # places of masks in it


def switch_off(network: int, interfaces: Iterable[str], features: tuple[str, ...]) -> None:
    """Switch features of interfaces off and check that they are.

    Args:
        network: file descriptor of the network namespace that the interfaces are in.
        interfaces: their names.
        features: kernel names; those that a device does not have are ignored.

    Raises:
        LabError: `offload-stays-on`.
        OSError: there is no such interface, or the kernel refuses.
    """
    with namespaces.inside(network), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        settings = _settings(features, on=False)
        for interface in interfaces:
            _ethtool(control, interface, settings)
            stuck = _features(control, interface, _ACTIVE)
            if kept := ", ".join(name for name in stuck if name in features):
                raise LabError(
                    "offload-stays-on",
                    f"{interface} keeps {kept} on, so that several packets would be impaired as one",
                    "use a driver that can switch it off (veth can)",
                )


def switch_on(network: int, interface: str, features: tuple[str, ...]) -> None:
    """Switch features of an interface on again; see `switch_off`.

    Raises:
        OSError: there is no such interface, or the kernel refuses.
    """
    with namespaces.inside(network), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _ethtool(control, interface, _settings(features, on=True))


def wanted(network: int, interface: str) -> tuple[str, ...]:
    """Return the features of `SEGMENTATION` that are requested for an interface, in use or not; see `switch_off`.

    Raises:
        OSError: there is no such interface.
    """
    with namespaces.inside(network), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        return tuple(name for name in _features(control, interface, _REQUESTED) if name in SEGMENTATION)


def untellable() -> tuple[str, ...]:
    """Return the features of this kernel without which a packet socket can tell which packets a frame consists of.

    With them off, the kernel cuts such frames (those in tunnels, SCTP) before they get to the device.
    """
    version = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    tellable = (*_TELLABLE, _TELLABLE_LATER) if version >= _LATER else _TELLABLE
    cutting = {name for name in _feature_names() if name.startswith("tx-") and name.endswith("-segmentation")}
    return (*cutting.difference(tellable), *_OTHER_UNTELLABLE)


def _settings(features: tuple[str, ...], *, on: bool) -> bytes:
    """Return the command that switches features on or off, and leaves the others alone."""
    names = _feature_names()
    chosen = sum(1 << bit for bit, name in enumerate(names) if name in features)
    blocks = -(-len(names) // _BITS)
    masks = (chosen >> _BITS * block & 0xFFFF_FFFF for block in range(blocks))
    changes = (struct.pack("=II", mask, mask * on) for mask in masks)
    return struct.pack("=II", _SET_FEATURES, blocks) + b"".join(changes)


def _features(control: socket.socket, interface: str, which: int) -> list[str]:
    """Return the features of an interface that are set in one of the kernel's masks."""
    names = _feature_names()
    blocks = -(-len(names) // _BITS)
    answer = _ethtool(control, interface, struct.pack("=II", _GET_FEATURES, blocks) + bytes(_BLOCK.size * blocks))
    found = sum(block[which] << _BITS * at for at, block in enumerate(_BLOCK.iter_unpack(answer[8:])))
    return [name for bit, name in enumerate(names) if found >> bit & 1]


@functools.cache
def _feature_names() -> tuple[str, ...]:
    """Return the names of this kernel's features, by their bits; they are the same for all devices."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        counted = _ethtool(control, "lo", struct.pack("=IIQI", _GET_STRING_COUNTS, 0, 1 << _FEATURE_NAMES, 0))
        (count,) = struct.unpack_from("=I", counted, 16)
        question = struct.pack("=III", _GET_STRINGS, _FEATURE_NAMES, count) + bytes(_NAME_BYTES * count)
        strings = _ethtool(control, "lo", question)[12:]
    fields = (strings[start : start + _NAME_BYTES] for start in range(0, _NAME_BYTES * count, _NAME_BYTES))
    return tuple(field.partition(b"\0")[0].decode() for field in fields)


def _ethtool(control: socket.socket, interface: str, command: bytes) -> bytes:
    """Issue an ethtool command (SIOCETHTOOL), and return the buffer with the kernel's answer."""
    data = ctypes.create_string_buffer(command, len(command))
    fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP16x", interface.encode(), ctypes.addressof(data)))
    return data.raw
