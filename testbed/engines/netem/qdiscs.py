"""netem's configuration as a value in the kernel's own units.

The whole configuration is always sent, because the kernel keeps settings that are not sent (net/sched/sch_netem.c,
`netem_change`). The value read back equals the value sent, except for the table of delays, which can't be read.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroute2.netlink import nla

_U32_MAX = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GemodelLoss:
    """Loss by a channel with a good and a bad state; probabilities in 1/2^32, as in tc-netem(8), `loss gemodel`.

    Attributes:
        p: of going from good to bad, per packet.
        r: of going from bad to good, per packet.
        h: that a packet in the bad state is delivered; tc's argument is 1-h.
        k1: that a packet in the good state is lost; tc's argument is 1-k.
    """

    attribute: ClassVar[str] = "NETEM_LOSS_GE"

    p: int
    r: int
    h: int
    k1: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLoss:
    """Loss by a chain of four states, as in tc-netem(8), `loss state`.

    Attributes:
        p13, p31, p32, p14, p23: probabilities of going from the first state to the second, in 1/2^32.
    """

    attribute: ClassVar[str] = "NETEM_LOSS_GI"

    p13: int
    p31: int
    p32: int
    p14: int
    p23: int


LossModel = GemodelLoss | StateLoss
_LOSS_MODELS: tuple[type[GemodelLoss], type[StateLoss]] = (GemodelLoss, StateLoss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Netem:
    """netem's whole configuration except slots and ECN, which the testbed does not use.

    Probabilities and correlations are the kernel's 32-bit thresholds: 0 means never, v > 0 means (v + 1) / 2^32. The
    exception is `reorder` with a gap: there 0 means 1 / 2^32.

    Attributes:
        limit: packets that may be in flight.
        delay_ns: 64 bits, signed.
        jitter_ns: standard deviation of the delay, at most 2^31 - 1.
        delay_table: deviations to draw from, in 1/8192 of the jitter; at most 16384 (NETEM_DIST_MAX). If it is empty,
            the kernel keeps its table, and only a new netem has none and spreads the delay evenly. The table can't be
            read back.
        loss: probability of independent loss; 0 with a `loss_model`.
        gap: every gap-th packet may overtake; 1 means all, 0 means no reordering.
        rate: netem's own, bytes/s, which has no queue apart from the packets in flight; 0 is unlimited.
        seed: of the random numbers, from kernel 6.6 on; if None, the kernel chooses one.
    """

    kind: ClassVar[str] = "netem"

    limit: int
    delay_ns: int = 0
    jitter_ns: int = 0
    delay_table: tuple[int, ...] = ()
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
        """Return the value of `TCA_OPTIONS`."""
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
        if self.delay_table:
            attributes.append(("TCA_NETEM_DELAY_DIST", array("h", self.delay_table).tobytes()))
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
        """Create the value from the `TCA_OPTIONS` that the kernel sent."""
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
            rate=rate(options.get_attr("TCA_NETEM_RATE"), options.get_attr("TCA_NETEM_RATE64")),
            seed=options.get_attr("TCA_NETEM_PRNG_SEED"),
        )


def rate(narrow: Mapping[str, int], wide: int | None) -> int:
    """Return a rate in bytes/s from the kernel's field of 32 bits or, if present, its attribute of 64 bits."""
    return narrow["rate"] if wide is None else wide


def _loss_model(attribute: nla | None) -> LossModel | None:
    for model in _LOSS_MODELS:
        fields = attribute and attribute.get_attr(model.attribute)
        if fields:
            return model(**{name: fields[name] for name in model.__slots__})
    return None
