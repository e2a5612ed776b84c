"""The parser of expectations; every error has its position in the text."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from testbed import units
from testbed.codec import TextForm
from testbed.expectations.model import COMPARISONS, Amount, Expression, MetricTerm, Term

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

EXAMPLE = "download.goodput >= 5 mbit"

_QUANTITIES = MappingProxyType({"ns": units.DURATION, "bit/s": units.RATE, "bytes": units.SIZE})
_NOUNS = MappingProxyType(
    {
        "ns": "a duration, like 40ms",
        "bit/s": "a rate, like 20mbit",
        "bytes": "a size, like 64KB",
        "ratio": "a share, like 2%",
        "count": "a count, like 100",
    }
)

_SHOWN = 40
"""Characters of a piece of text that a message shows."""

_TOKEN = re.compile(
    r"""
    (?P<metric> [A-Za-z0-9][\w-]* \. [A-Za-z_][\w.]* )
  | (?P<number> [0-9]{1,18} (?: \. [0-9]{1,18} )? ) (?: [ ]? (?P<unit> % | [A-Za-z]+ (?: /s )? ) (?! [\w./] ) )?
  | (?P<comparison> >= | <= | == | != | > | < )
  | (?P<sign> [+-] )
  | (?P<times> \* )
  | (?P<other> [\w.-]+ | \S )
    """,
    re.VERBOSE | re.ASCII,
)


class ExpectationError(ValueError):
    """An error in the text of an expectation.

    Attributes:
        code: kebab-case name of the kind of fault.
        said: what is wrong, to follow the name of the place.
        at: where in the text, from 0.
        hint: what to write instead; empty where `allowed` says it.
        found, allowed, what: a name that is none of those allowed, and the plural noun for them.
    """

    def __init__(
        self,
        code: str,
        said: str,
        at: int,
        hint: str = "",
        *,
        found: str = "",
        allowed: Iterable[str] = (),
        what: str = "",
    ) -> None:
        super().__init__(said)
        self.code = code
        self.said = said
        self.at = at
        self.hint = hint
        self.found = found
        self.allowed = tuple(allowed)
        self.what = what


class Expectation(TextForm):
    """A comparison of two sums. Its JSON form is its text.

    Attributes:
        left: has a metric at least; its value is the one found.
        comparison: one of `COMPARISONS`.
        right: its value is the one wanted.
        unit: of both: `ns`, `bit/s`, `bytes`, `ratio`, or `count`.
    """

    __slots__ = ("comparison", "left", "right", "unit")

    def __init__(self, *, left: Expression, comparison: str, right: Expression, unit: str) -> None:
        self.left = left
        self.comparison = comparison
        self.right = right
        self.unit = unit

    @classmethod
    def from_text(cls, text: str) -> Expectation:
        """The expectation that a text states, whatever workloads and kinds there are.

        Raises:
            ExpectationError: it states none.
        """
        return parse(text, None)

    @property
    def metrics(self) -> tuple[MetricTerm, ...]:
        """The metrics in it."""
        return self.left.metrics + self.right.metrics

    @property
    def workloads(self) -> frozenset[str]:
        """The names of the workloads in it."""
        return frozenset(term.workload for term in self.metrics)

    def __str__(self) -> str:
        return f"{self.left} {self.comparison} {self.right}"

    def __repr__(self) -> str:
        return f"Expectation({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expectation) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def parse(text: str, kinds: Mapping[str, str | None] | None, grouped: Collection[str] = ()) -> Expectation:
    """Parse an expectation.

    Args:
        text: such as `rpc.latency.p99 < 400ms`.
        kinds: the kind of every workload by name; None where it is not known, and any metric is taken. None where the
            workloads are not known either, and any name is taken.
        grouped: the names of workloads that the members of a group of nodes run, whose metrics have an aggregate.

    Raises:
        ExpectationError: it states none.
    """
    return _Parser(tokens=_tokens(text), kinds=kinds, grouped=grouped).expectation()


class _Token(NamedTuple):
    """A piece of the text; `kind` is a group of `_TOKEN`, or `end`."""

    kind: str
    text: str
    at: int
    unit: str = ""


def _tokens(text: str) -> deque[_Token]:
    tokens = [
        _Token("number", match["number"], match.start(), match["unit"] or "")
        if match["number"]
        else _Token(str(match.lastgroup), match[0], match.start())
        for match in _TOKEN.finditer(text)
    ]
    return deque([*tokens, _Token("end", "", len(text.rstrip()))])


@dataclass(slots=True, kw_only=True)
class _Parser:
    """A recursive descent parser; `parts` are the operands read so far, with unit and position."""

    tokens: deque[_Token]
    kinds: Mapping[str, str | None] | None
    grouped: Collection[str]
    parts: list[tuple[MetricTerm | Amount, str, int]] = field(default_factory=list)

    def take(self, kind: str) -> _Token | None:
        """Consume and return the next token if it is of that kind."""
        return self.tokens.popleft() if self.tokens[0].kind == kind else None

    def unexpected(self, wanted: str, hint: str = "") -> NoReturn:
        token = self.tokens[0]
        found = f"has {_quote(token.text)}" if token.text else "ends"
        raise ExpectationError(
            "bad-expectation", f"{found} where {wanted}", token.at, hint or f"write it like {EXAMPLE}"
        )

    def expectation(self) -> Expectation:
        left = self.side()
        if not left.metrics:
            message = "has no metric on its left side"
            raise ExpectationError("bad-expectation", message, 0, f"the metric comes first: {EXAMPLE}")
        comparison = self.take("comparison")
        if comparison is None:
            self.unexpected(f"a comparison is expected: {', '.join(COMPARISONS)}")
        right = self.side()
        if self.tokens[0].kind != "end":
            self.unexpected("its end is expected", "an expectation is one comparison; write each in a line of its own")
        return Expectation(left=left, comparison=comparison.text, right=right, unit=self.unit())

    def side(self) -> Expression:
        terms = [Term(subtracted=False, of=self.part())]
        while sign := self.take("sign"):
            terms.append(Term(subtracted=sign.text == "-", of=self.part()))
        return Expression(tuple(terms))

    def part(self) -> MetricTerm | Amount:
        number = self.take("number")
        if number and not number.unit and self.take("times"):
            metric = self.take("metric")
            if metric is None:
                self.unexpected("a metric is expected", "it is a number times a metric: 2 * download.goodput")
            return self.metric_term(metric, number.text)
        if number:
            return self.amount(number)
        metric = self.take("metric")
        if metric is None:
            self.unexpected("a metric or a number is expected", f"a metric is WORKLOAD.METRIC, as in {EXAMPLE}")
        return self.metric_term(metric, "")

    def metric_term(self, token: _Token, times: str) -> MetricTerm:
        workload, label = token.text.split(".", 1)
        if self.kinds is not None and workload not in self.kinds:
            raise ExpectationError(
                "unknown-workload",
                f"names {_quote(workload)}, which is not a workload",
                token.at,
                found=workload,
                allowed=self.kinds,
                what="workloads",
            )
        kind = self.kinds[workload] if self.kinds is not None else None
        from testbed import metrics  # noqa: PLC0415 (loads the metrics of all installed packages; most plans have no expectations)

        if workload in self.grouped:
            metric = metrics.find_aggregate(label, kind)
            bare, _, how = label.rpartition(".")
            if metric is None and (whole := metrics.find(label, kind) or metrics.find(bare, kind)) is not None:
                message = f"names {_quote(token.text)}, which is of all members of a group"
                if how == "sum":
                    message = f"names {_quote(token.text)}, and a sum of these means nothing"
                hint = f"say which: {', '.join(f'{whole.label}.{how}' for how in whole.aggregates)}"
                raise ExpectationError("missing-aggregate", message, token.at, hint)
        else:
            metric = metrics.find(label, kind) or (metrics.find_aggregate(label, None) if self.kinds is None else None)
        if metric is None:
            raise ExpectationError(
                "unknown-metric",
                f"names {_quote(label)}, which is not a metric of {kind or 'any workload'}",
                token.at + len(workload) + 1,
                found=label,
                allowed=(name for name, metric in metrics.metrics_of(kind).items() if metric.unit != "name"),
                what=f"metrics of {kind}" if kind else "metrics",
            )
        if metric.unit == "name":
            message = f"names {_quote(label)}, which is text"
            raise ExpectationError("unknown-metric", message, token.at, "only numbers can be compared")
        term = MetricTerm(workload=workload, metric=metric, times=times)
        self.parts.append((term, metric.unit if metric.unit in _NOUNS else "count", token.at))
        return term

    def amount(self, token: _Token) -> Amount:
        unit, worth = _worth(token)
        amount = Amount(number=token.text, unit=token.unit, value=Fraction(token.text) * worth)
        self.parts.append((amount, unit, token.at))
        return amount

    def unit(self) -> str:
        """Return the unit that all parts share."""
        first, unit = next((part, unit) for part, unit, _ in self.parts if isinstance(part, MetricTerm))
        for part, other, at in self.parts:
            is_zero = isinstance(part, Amount) and not part.unit and not part.value
            if other != unit and not is_zero:
                noun = _NOUNS[unit].split(",")[0]
                message = f"has {part}, which is {_NOUNS[other].split(',')[0]}, and {first} is {noun}"
                raise ExpectationError("wrong-unit", message, at, f"write {_NOUNS[unit]}")
        return unit


def _worth(token: _Token) -> tuple[str, Fraction]:
    """Return the metric unit of a number, and the value of its written unit in that."""
    if not token.unit:
        return "count", Fraction(1)
    if token.unit == "%":
        return "ratio", Fraction(1, 100)
    for unit, quantity in _QUANTITIES.items():
        worths = {**quantity.units, **quantity.input_units}
        name = token.unit.removesuffix(quantity.suffix)
        name = name.lower() if quantity.ignore_case else name
        if name in worths:
            return unit, Fraction(worths[name])
    known = ("%", *(name for quantity in _QUANTITIES.values() for name in (*quantity.units, *quantity.input_units)))
    raise ExpectationError(
        "unknown-unit",
        f"has {_quote(token.unit)}, which is not a unit",
        token.at,
        found=token.unit,
        allowed=known,
        what="units",
    )


def _quote(text: str) -> str:
    return json.dumps(text[:_SHOWN], ensure_ascii=not text.isprintable())
