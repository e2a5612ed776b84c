"""Netlink messages about the queueing disciplines of a link (include/uapi/linux/pkt_sched.h).

pyroute2 0.9.7 lacks netem's 64-bit attributes, loss models and tables, tbf without a table of transmission times,
bfifo, pie, red, and some of cake; this module provides them. For codel and fq_codel pyroute2's classes are used.
"""

from __future__ import annotations

from typing import Self

from pyroute2.netlink import nla
from pyroute2.netlink.rtnl.tcmsg import tcmsg

_RATE = (("cell_log", "B"), ("linklayer", "B"), ("overhead", "H"), ("cell_align", "h"), ("mpu", "H"), ("rate", "I"))
RATES = (*_RATE, *((f"peak_{name}", form) for name, form in _RATE))
"""The fields of the two `struct tc_ratespec` of a token bucket: those of its rate, and those of its peak."""


class NetemOptions(nla):  # type: ignore[misc]
    """`TCA_OPTIONS` of netem: `struct tc_netem_qopt`, then attributes."""

    fields = (("latency", "I"), ("limit", "I"), ("loss", "I"), ("gap", "I"), ("duplicate", "I"), ("jitter", "I"))
    nla_map = (
        ("TCA_NETEM_UNSPEC", "none"),
        ("TCA_NETEM_CORR", "Correlations"),
        ("TCA_NETEM_DELAY_DIST", "cdata"),
        ("TCA_NETEM_REORDER", "RandomEvent"),
        ("TCA_NETEM_CORRUPT", "RandomEvent"),
        ("TCA_NETEM_LOSS", "LossModel"),
        ("TCA_NETEM_RATE", "Rate"),
        ("TCA_NETEM_ECN", "uint32"),
        ("TCA_NETEM_RATE64", "uint64"),
        ("TCA_NETEM_PAD", "none"),
        ("TCA_NETEM_LATENCY64", "int64"),
        ("TCA_NETEM_JITTER64", "int64"),
        ("TCA_NETEM_SLOT", "none"),
        ("TCA_NETEM_SLOT_DIST", "none"),
        ("TCA_NETEM_PRNG_SEED", "uint64"),
    )

    class Correlations(nla):  # type: ignore[misc]
        """`struct tc_netem_corr`."""

        fields = (("delay", "I"), ("loss", "I"), ("duplicate", "I"))

    class RandomEvent(nla):  # type: ignore[misc]
        """`struct tc_netem_reorder` and `struct tc_netem_corrupt`."""

        fields = (("probability", "I"), ("correlation", "I"))

    class Rate(nla):  # type: ignore[misc]
        """`struct tc_netem_rate`."""

        fields = (("rate", "I"), ("packet_overhead", "i"), ("cell_size", "I"), ("cell_overhead", "i"))

    class LossModel(nla):  # type: ignore[misc]
        """One of the two models of correlated loss."""

        nla_map = (
            ("NETEM_LOSS_UNSPEC", "none"),
            ("NETEM_LOSS_GI", "FourState"),
            ("NETEM_LOSS_GE", "GilbertElliott"),
        )

        class FourState(nla):  # type: ignore[misc]
            """`struct tc_netem_gimodel`."""

            fields = (("p13", "I"), ("p31", "I"), ("p32", "I"), ("p14", "I"), ("p23", "I"))

        class GilbertElliott(nla):  # type: ignore[misc]
            """`struct tc_netem_gemodel`."""

            fields = (("p", "I"), ("r", "I"), ("h", "I"), ("k1", "I"))


class TbfOptions(nla):  # type: ignore[misc]
    """`TCA_OPTIONS` of tbf."""

    nla_map = (
        ("TCA_TBF_UNSPEC", "none"),
        ("TCA_TBF_PARMS", "Parameters"),
        ("TCA_TBF_RTAB", "none"),
        ("TCA_TBF_PTAB", "none"),
        ("TCA_TBF_RATE64", "uint64"),
        ("TCA_TBF_PRATE64", "uint64"),
    )

    class Parameters(nla):  # type: ignore[misc]
        """`struct tc_tbf_qopt`."""

        fields = (
            *RATES,
            ("limit", "I"),
            ("buffer", "I"),
            ("mtu", "I"),
        )


class PieOptions(nla):  # type: ignore[misc]
    """`TCA_OPTIONS` of pie."""

    nla_map = (
        ("TCA_PIE_UNSPEC", "none"),
        ("TCA_PIE_TARGET", "uint32"),
        ("TCA_PIE_LIMIT", "uint32"),
        ("TCA_PIE_TUPDATE", "uint32"),
        ("TCA_PIE_ALPHA", "uint32"),
        ("TCA_PIE_BETA", "uint32"),
        ("TCA_PIE_ECN", "uint32"),
        ("TCA_PIE_BYTEMODE", "uint32"),
        ("TCA_PIE_DQ_RATE_ESTIMATOR", "uint32"),
    )


class RedOptions(nla):  # type: ignore[misc]
    """`TCA_OPTIONS` of red."""

    nla_map = (
        ("TCA_RED_UNSPEC", "none"),
        ("TCA_RED_PARMS", "Parameters"),
        ("TCA_RED_STAB", "cdata"),
        ("TCA_RED_MAX_P", "uint32"),
        ("TCA_RED_FLAGS", "none"),
    )

    class Parameters(nla):  # type: ignore[misc]
        """`struct tc_red_qopt`."""

        fields = (
            ("limit", "I"),
            ("qth_min", "I"),
            ("qth_max", "I"),
            ("w_log", "B"),
            ("p_log", "B"),
            ("scell_log", "B"),
            ("flags", "B"),
        )


class CakeOptions(nla):  # type: ignore[misc]
    """`TCA_OPTIONS` of cake; the attributes that the testbed uses are known, others are skipped."""

    nla_map = (
        *((f"TCA_CAKE_{name}", "none") for name in ("UNSPEC", "PAD")),
        ("TCA_CAKE_BASE_RATE64", "uint64"),
        *((f"TCA_CAKE_{name}", "uint32") for name in ("DIFFSERV_MODE", "ATM", "FLOW_MODE")),
        ("TCA_CAKE_OVERHEAD", "int32"),
        *((f"TCA_CAKE_{name}", "uint32") for name in ("RTT", "TARGET", "AUTORATE", "MEMORY")),
    )


class FifoOptions(nla):  # type: ignore[misc]
    """`TCA_OPTIONS` of bfifo: `struct tc_fifo_qopt`."""

    fields = (("limit", "I"),)


_OPTIONS = {
    "netem": NetemOptions,
    "tbf": TbfOptions,
    "bfifo": FifoOptions,
    "pie": PieOptions,
    "red": RedOptions,
    "cake": CakeOptions,
}


class QdiscMessage(tcmsg):  # type: ignore[misc]
    """A message about a queueing discipline, with the options above."""

    _nlmsg_base__compiled_nla = False  # pyroute2 compiles `nla_map` once a class; a subclass would inherit the parent's

    @staticmethod
    def get_options(message: tcmsg, *args: object, **kwargs: object) -> type[nla]:
        """Return the class of the options for the message's kind of queueing discipline."""
        own = _OPTIONS.get(message.get_attr("TCA_KIND"))
        return own or tcmsg.get_options(message, *args, **kwargs)

    @classmethod
    def reread(cls, message: tcmsg) -> Self:
        """Decode the bytes of another message as a message of this class."""
        again = cls(message.data, offset=message.offset)
        again.decode()
        return again
