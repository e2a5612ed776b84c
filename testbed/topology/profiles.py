"""Impairments by name. Each is one direction; `between` makes both directions alike.

The numbers are for orientation, not a model of a technology. The plan has the values, and the check measures them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.topology.impairments import ImpairmentKeys

if TYPE_CHECKING:
    from collections.abc import Mapping


def _profile(**written: str) -> ImpairmentKeys:
    """The impairment that the file's words `written` stand for."""
    return ImpairmentKeys.model_validate(written)


PROFILES: Mapping[str, ImpairmentKeys] = MappingProxyType(
    {
        # Gigabit Ethernet (IEEE 802.3ab) through a few switches; each hop stores and forwards 12 us per full frame.
        "lan": _profile(delay="100us", rate="1gbit"),
        # Rate and delay: "Wi-Fi" of Apple's Network Link Conditioner. Jitter: waiting for the medium, our choice.
        # No loss: 802.11 retransmits below IP.
        "wifi": _profile(delay="1ms", jitter="1ms", rate="40mbit"),
        # WebPageTest's connectivity profiles (connectivity.ini.sample), "LTE": 12 Mbit/s, 70 ms round trip.
        "lte": _profile(delay="35ms", rate="12mbit"),
        # The same, "3G": 1.6 Mbit/s down, 300 ms round trip.
        "3g": _profile(delay="150ms", rate="1600kbit"),
        # The same, "DSL": 1.5 Mbit/s down, 50 ms round trip.
        "dsl": _profile(delay="25ms", rate="1500kbit"),
        # RFC 2488, section 2: 239.6 ms (below the satellite) to 279.0 ms (edge of view) one way, here between the two;
        # a bit error rate of 1e-7 loses 0.12 % of full frames. Rate: a common consumer tariff, our choice.
        "satellite-geo": _profile(delay="260ms", loss="0.1%", rate="10mbit"),
        # Michel et al., "A First Look at Starlink Performance" (IMC 2022): median round trip 50 ms, middle half from
        # 40 to 60 ms, 100 to 200 Mbit/s promised. Loss: below 1 % when idle there, the number is our choice.
        "satellite-leo": _profile(delay="25ms", jitter="10ms", loss="0.4%", rate="100mbit"),
        # London to New York: 59 ms round trip on the shortest cable (Hibernia Express), 90 ms promised by carriers
        # (Verizon's service level agreement), here between the two. Rate and loss are left to the ends' own links.
        "transatlantic": _profile(delay="37ms"),
        # No technology: bad enough to see what loss does to a protocol within seconds.
        "lossy": _profile(delay="40ms", loss="2%"),
    }
)
