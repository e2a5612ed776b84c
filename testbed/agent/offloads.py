"""Segmentation offloads of a device: off wherever a link is impaired, so that one packet is one packet."""

from __future__ import annotations

from pyroute2.ethtool.ioctl import IoctlEthtool

from testbed.errors import LabError
from testbed.linux import namespaces

SEGMENTATION = ("tx-generic-segmentation", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation",
                "tx-tcp-mangleid-segmentation", "tx-udp-segmentation")  # fmt: skip
"""Features (net/ethtool/common.c) that let one skb carry several packets."""

ALL = (*SEGMENTATION, "tx-checksum-ip-generic", "tx-checksum-sctp", "tx-scatter-gather", "tx-scatter-gather-fraglist")
"""Features without which the kernel hands over single, complete frames with their checksums filled in."""


def switch_off(network: int, interface: str, features: tuple[str, ...]) -> None:
    """Switch features of an interface off and check that they are.

    Args:
        network: file descriptor of the network namespace that the interface is in.
        interface: its name.
        features: kernel names; those that the device has not got are left alone.

    Raises:
        LabError: `offload-stays-on`.
    """
    with namespaces.inside(network):
        ethtool = IoctlEthtool(interface)
        try:
            found = ethtool.get_features()
            for feature in features:
                if feature in found and found.is_active(feature):
                    found[feature] = False
            ethtool.set_features(found)
            after = ethtool.get_features()
        finally:
            ethtool.close()
    stuck = [feature for feature in features if feature in after and after.is_active(feature)]
    if stuck:
        raise LabError(
            "offload-stays-on",
            f"{interface} keeps {', '.join(stuck)} on, so that several packets would be impaired as one",
            "use a driver that can switch it off (veth can)",
        )
