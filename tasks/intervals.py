"""Arithmetic of intervals as Polars expressions: ratios of sums, log-ratio balances, and what is known of them.

A ratio of intervals is `top.low / bottom.high .. top.high / bottom.low`; nothing is substituted for
censored results. Left-censored arithmetic: Helsel 2006, Chemosphere 65:2434. Log-ratio balances:
Egozcue and Pawlowsky-Glahn's isometric log-ratio, sqrt(rs/(r+s)) ln(g(x+)/g(x-)).
"""

from __future__ import annotations

import math
from functools import reduce

import polars as pl

from schemas.formula import Formula

UNCENSORED, BELOW, ABOVE, BOUNDED = "uncensored", "below", "above", "bounded"
UNDETERMINED, ABSENT = "undetermined", "absent"
STATUS = pl.Enum(sorted([UNCENSORED, BELOW, ABOVE, BOUNDED, UNDETERMINED, ABSENT]))

#: What a formula is: a ratio of two sums that share nothing; a part of a whole; a whole over its part; a balance.
SHAPES = RATIO, PART, WHOLE, BALANCE = "ratio", "part", "whole", "balance"
SHAPE = pl.Enum(SHAPES)

Interval = tuple[pl.Expr, pl.Expr]


def shape_of(formula: Formula) -> str:
    """Which of `SHAPES` a formula has."""
    if formula.kind == "balance":
        return BALANCE
    if not formula.shared:
        return RATIO
    if set(formula.numerator) == set(formula.denominator):
        raise ValueError("a side divided by itself is no metric")
    return PART if formula.shared == set(formula.numerator) else WHOLE


def natural_range(formula: Formula) -> tuple[float, float]:
    """What a metric can be at all: a part of a whole is at most 1, a whole over its part at least 1."""
    return {
        RATIO: (0.0, math.inf),
        PART: (0.0, formula.scale),
        WHOLE: (formula.scale, math.inf),
        BALANCE: (-math.inf, math.inf),
    }[shape_of(formula)]


def factor_of(formula: Formula) -> float:
    """What a log-ratio of geometric means is multiplied with: sqrt(rs/(r+s)); 1 for a ratio."""
    r, s = len(formula.numerator), len(formula.denominator)
    return math.sqrt(r * s / (r + s)) if formula.kind == "balance" else 1.0


def total(parts: list[pl.Expr]) -> pl.Expr:
    """Their sum."""
    return reduce(lambda a, b: a + b, parts)


def mean_log(parts: list[pl.Expr]) -> pl.Expr:
    """The logarithm of their geometric mean."""
    return total([part.log() for part in parts]) / len(parts)


def opposed(formula: Formula, amounts: dict[str, Interval]) -> tuple[Interval, Interval]:
    """What is weighed against what: sums; of a part and its whole the rest and the part, `d/(d+l) = 1/(1+l/d)`,
    so that an analyte on both sides is in the arithmetic once and bounds stay sharp; of a balance mean logarithms.
    """
    top, bottom = formula.numerator, formula.denominator
    shape = shape_of(formula)
    if shape in (PART, WHOLE):
        whole = bottom if shape == PART else top
        top, bottom = (
            tuple(name for name in whole if name not in formula.shared),
            tuple(name for name in (top if shape == PART else bottom) if name in formula.shared),
        )
    join = mean_log if shape == BALANCE else total

    def side(names: tuple[str, ...]) -> Interval:
        ends = [amounts[name] for name in dict.fromkeys(names)]
        return join([low for low, _ in ends]), join([high for _, high in ends])

    return side(top), side(bottom)


def weigh(shape: pl.Expr, factor: pl.Expr, top: Interval, bottom: Interval) -> Interval:
    """The interval of a metric, not yet scaled, of what `opposed` gave for it."""
    low, high = _divide(top, bottom)
    least, most = factor * (top[0] - bottom[1]), factor * (top[1] - bottom[0])
    # an end where an amount may be zero is infinite; -inf - -inf and inf - inf say nothing
    least = pl.when(least.is_nan()).then(-math.inf).otherwise(least)
    most = pl.when(most.is_nan()).then(math.inf).otherwise(most)
    return (
        _by_shape(shape, ratio=low, part=1 / (1 + high), whole=1 + low, balance=least),
        _by_shape(shape, ratio=high, part=1 / (1 + low), whole=1 + high, balance=most),
    )


def _by_shape(shape: pl.Expr, ratio: pl.Expr, part: pl.Expr, whole: pl.Expr, balance: pl.Expr) -> pl.Expr:
    return (
        pl.when(shape == RATIO).then(ratio).when(shape == PART).then(part).when(shape == WHOLE).then(whole)
        .otherwise(balance)
    )  # fmt: skip


def _divide(top: Interval, bottom: Interval) -> Interval:
    """The interval of all ratios of two non-negative intervals; 0/0 and inf/inf give 0..infinity.

    A true zero on top of anything that can be more than zero is exactly zero.
    """
    (a, b), (c, d) = top, bottom
    low = pl.when((a == 0) | d.is_infinite()).then(0.0).otherwise(a / d)
    high = (
        pl.when(b == 0)
        .then(pl.when(d == 0).then(math.inf).otherwise(0.0))
        .when((c == 0) | b.is_infinite())
        .then(math.inf)
        .otherwise(b / c)
    )
    return low, high


def status_of(low: pl.Expr, high: pl.Expr, lowest: pl.Expr, highest: pl.Expr) -> pl.Expr:
    """What is known of an interval whose values lie from `lowest` to `highest` in any case."""
    open_below, open_above = low <= lowest, high >= highest
    return (
        pl.when(low == high).then(pl.lit(UNCENSORED, STATUS))
        .when(open_below & open_above).then(pl.lit(UNDETERMINED, STATUS))
        .when(open_below).then(pl.lit(BELOW, STATUS)).when(open_above).then(pl.lit(ABOVE, STATUS)).otherwise(pl.lit(BOUNDED, STATUS))
    )  # fmt: skip
