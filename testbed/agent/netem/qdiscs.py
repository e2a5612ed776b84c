"""The two queueing disciplines of a link, netem and tbf, as values in the kernel's own units.

A value holds the whole configuration, and all of it is always sent, since the kernel keeps what is not
(net/sched/sch_netem.c, `netem_change`). What is read back then equals what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from testbed.agent.netem.messages import TbfOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroute2.netlink import nla

TICK_NS = 64
"""Nanoseconds in a tick of traffic control (include/net/pkt_sched.h, `PSCHED_SHIFT`)."""

_U32_MAX = (1 << 32) - 1
_LINKLAYER_ETHERNET = 1  # has the kernel compute transmission times itself, without a table of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class GilbertElliott:
    """Loss by a channel with a good and a bad state; probabilities in 1/2^32, as in tc-netem(8), `loss gemodel`.

    Attributes:
        p: of going from good to bad, per packet.
        r: of going from bad to good, per packet.
        h: of a packet in the bad state arriving; tc's is 1-h.
        k1: of a packet in the good state being lost; tc's 1-k.
    """

    attribute: ClassVar[str] = "NETEM_LOSS_GE"

    p: int
    r: int
    h: int
    k1: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FourState:
    """Loss by a chain of four states, as in tc-netem(8), `loss state`.

    Attributes:
        p13, p31, p32, p14, p23: of going from one state to the other, in 1/2^32.
    """

    attribute: ClassVar[str] = "NETEM_LOSS_GI"

    p13: int
    p31: int
    p32: int
    p14: int
    p23: int


LossModel = GilbertElliott | FourState
_LOSS_MODELS: tuple[type[GilbertElliott], type[FourState]] = (GilbertElliott, FourState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Netem:
    """All of netem's configuration but delay tables, slots and ECN, which nothing here sets.

    Probabilities and correlations are the kernel's 32-bit thresholds: 0 is never, v > 0 is (v + 1) / 2^32.

    Attributes:
        limit: packets that may be in flight.
        delay_ns, jitter_ns: 64 bits, signed.
        loss: of independent loss; 0 with a `loss_model`.
        gap: every gap-th packet may overtake; 0 is no reordering.
        rate: netem's own, bytes/s, whose queue is not apart from the packets in flight; 0 is unlimited.
        seed: of the generator, from kernel 6.6; None leaves it to the kernel.
    """

    kind: ClassVar[str] = "netem"

    limit: int
    delay_ns: int = 0
    jitter_ns: int = 0
    delay_correlation: int = 0
    loss: int = 0
    loss_correlation: int = 0
    loss_model: LossModel | None = None
    duplicate: int = 0
    duplicate_correlation: int = 0
    gap: int = 0
    reorder: int = 0
    reorder_correlation: int = 0
    corrupt: int = 0
    corrupt_correlation: int = 0
    rate: int = 0
    seed: int | None = None

    def encode(self) -> dict[str, Any]:
        """The value of `TCA_OPTIONS`."""
        attributes: list[tuple[str, Any]] = [
            ("TCA_NETEM_LATENCY64", self.delay_ns),
            ("TCA_NETEM_JITTER64", self.jitter_ns),
            (
                "TCA_NETEM_CORR",
                {
                    "delay": self.delay_correlation,
                    "loss": self.loss_correlation,
                    "duplicate": self.duplicate_correlation,
                },
            ),
            ("TCA_NETEM_REORDER", {"probability": self.reorder, "correlation": self.reorder_correlation}),
            ("TCA_NETEM_CORRUPT", {"probability": self.corrupt, "correlation": self.corrupt_correlation}),
            (
                "TCA_NETEM_RATE",
                {"rate": min(self.rate, _U32_MAX), "packet_overhead": 0, "cell_size": 0, "cell_overhead": 0},
            ),
            ("TCA_NETEM_RATE64", self.rate),
        ]
        if self.loss_model is not None:
            model = {name: getattr(self.loss_model, name) for name in type(self.loss_model).__slots__}
            attributes.append(("TCA_NETEM_LOSS", {"attrs": [(self.loss_model.attribute, model)]}))
        if self.seed is not None:
            attributes.append(("TCA_NETEM_PRNG_SEED", self.seed))
        return {
            "latency": 0,  # in ticks and 32 bits; the attribute overrules it
            "limit": self.limit,
            "loss": self.loss,
            "gap": self.gap,
            "duplicate": self.duplicate,
            "jitter": 0,
            "attrs": attributes,
        }

    @classmethod
    def decode(cls, options: nla) -> Self:
        """What the kernel says in `TCA_OPTIONS`."""
        correlations = options.get_attr("TCA_NETEM_CORR")
        reorder = options.get_attr("TCA_NETEM_REORDER")
        corrupt = options.get_attr("TCA_NETEM_CORRUPT")
        return cls(
            limit=options["limit"],
            delay_ns=options.get_attr("TCA_NETEM_LATENCY64"),
            jitter_ns=options.get_attr("TCA_NETEM_JITTER64"),
            delay_correlation=correlations["delay"],
            loss=options["loss"],
            loss_correlation=correlations["loss"],
            loss_model=_loss_model(options.get_attr("TCA_NETEM_LOSS")),
            duplicate=options["duplicate"],
            duplicate_correlation=correlations["duplicate"],
            gap=options["gap"],
            reorder=reorder["probability"],
            reorder_correlation=reorder["correlation"],
            corrupt=corrupt["probability"],
            corrupt_correlation=corrupt["correlation"],
            rate=_rate(options.get_attr("TCA_NETEM_RATE"), options.get_attr("TCA_NETEM_RATE64")),
            seed=options.get_attr("TCA_NETEM_PRNG_SEED"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tbf:
    """All of tbf's configuration but peak rates and overheads, which nothing here sets.

    Attributes:
        rate: bytes/s.
        limit: bytes of frames that wait.
        buffer: depth of the bucket: ticks of transmission at `rate`. What is longer than that is dropped.
    """

    kind: ClassVar[str] = "tbf"

    rate: int
    limit: int
    buffer: int

    def encode(self) -> dict[str, Any]:
        """The value of `TCA_OPTIONS`."""
        parameters = dict.fromkeys((name for name, _ in TbfOptions.Parameters.fields), 0) | {
            "linklayer": _LINKLAYER_ETHERNET,
            "rate": min(self.rate, _U32_MAX),
            "limit": self.limit,
            "buffer": self.buffer,
        }
        return {"attrs": [("TCA_TBF_PARMS", parameters), ("TCA_TBF_RATE64", self.rate)]}

    @classmethod
    def decode(cls, options: nla) -> Self:
        """What the kernel says in `TCA_OPTIONS`."""
        parameters = options.get_attr("TCA_TBF_PARMS")
        return cls(
            rate=_rate(parameters, options.get_attr("TCA_TBF_RATE64")),
            limit=parameters["limit"],
            buffer=parameters["buffer"],
        )


Qdisc = Netem | Tbf


def _rate(narrow: Mapping[str, int], wide: int | None) -> int:
    """A rate of 32 bits, or of 64 where the kernel or we had to send that, in bytes/s."""
    return narrow["rate"] if wide is None else wide


def _loss_model(attribute: nla | None) -> LossModel | None:
    for model in _LOSS_MODELS:
        fields = attribute and attribute.get_attr(model.attribute)
        if fields:
            return model(**{name: fields[name] for name in model.__slots__})
    return None
