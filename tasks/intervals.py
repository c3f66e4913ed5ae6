"""Arithmetic of intervals as Polars expressions: ratios of sums, log-ratio balances, and what is known of them.

A ratio of intervals is `num.low / den.high .. num.high / den.low`; nothing is substituted for
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

Interval = tuple[pl.Expr, pl.Expr]


def total(parts: list[pl.Expr]) -> pl.Expr:
    return reduce(lambda a, b: a + b, parts)


def divide(numerator: Interval, denominator: Interval) -> Interval:
    """The interval of all ratios of two non-negative intervals; 0/0 and inf/inf give 0..infinity.

    A true zero numerator over anything that can be more than zero is exactly zero.
    """
    (a, b), (c, d) = numerator, denominator
    low = pl.when((a == 0) | d.is_infinite()).then(0.0).otherwise(a / d)
    high = (
        pl.when(b == 0)
        .then(pl.when(d == 0).then(math.inf).otherwise(0.0))
        .when((c == 0) | b.is_infinite())
        .then(math.inf)
        .otherwise(b / c)
    )
    return low, high


def ratio(numerator: dict[str, Interval], denominator: dict[str, Interval]) -> Interval:
    """Sum over sum. An analyte on both sides is rewritten, `d/(d+l) = 1/(1+l/d)`, so bounds stay sharp."""
    shared = set(numerator) & set(denominator)

    def sum_of(side: dict[str, Interval], names: set[str]) -> Interval:
        ends = [side[name] for name in side if name in names]
        return total([low for low, _ in ends]), total([high for _, high in ends])

    if not shared:
        return divide(sum_of(numerator, set(numerator)), sum_of(denominator, set(denominator)))
    if set(numerator) == set(denominator):
        raise ValueError("a side divided by itself is no metric")
    whole, part = (denominator, numerator) if shared == set(numerator) else (numerator, denominator)
    low, high = divide(sum_of(whole, set(whole) - shared), sum_of(part, shared))
    if whole is denominator:
        return 1 / (1 + high), 1 / (1 + low)
    return 1 + low, 1 + high


def balance(numerator: dict[str, Interval], denominator: dict[str, Interval]) -> Interval:
    """sqrt(rs/(r+s)) ln(g(numerator)/g(denominator)); an end where an amount may be zero is infinite."""
    r, s = len(numerator), len(denominator)
    factor = math.sqrt(r * s / (r + s))

    def mean_log(side: dict[str, Interval], end: int) -> pl.Expr:
        return total([interval[end].log() for interval in side.values()]) / len(side)

    low = factor * (mean_log(numerator, 0) - mean_log(denominator, 1))
    high = factor * (mean_log(numerator, 1) - mean_log(denominator, 0))
    # -inf - -inf and inf - inf say nothing
    return pl.when(low.is_nan()).then(-math.inf).otherwise(low), pl.when(high.is_nan()).then(
        math.inf
    ).otherwise(high)


def natural_range(formula: Formula) -> tuple[float, float]:
    """What a metric can be at all: a part of a whole is at most 1, a whole over its part at least 1."""
    if formula.kind == "balance":
        return -math.inf, math.inf
    if not formula.shared:
        return 0.0, math.inf
    is_part = set(formula.numerator) == formula.shared
    return (0.0, formula.scale) if is_part else (formula.scale, math.inf)


def status_of(low: pl.Expr, high: pl.Expr, lowest: float = 0.0, highest: float = math.inf) -> pl.Expr:
    """What is known of an interval whose values lie from `lowest` to `highest` in any case."""
    open_below, open_above = low <= lowest, high >= highest
    return (
        pl.when(low == high).then(pl.lit(UNCENSORED))
        .when(open_below & open_above).then(pl.lit(UNDETERMINED))
        .when(open_below).then(pl.lit(BELOW)).when(open_above).then(pl.lit(ABOVE)).otherwise(pl.lit(BOUNDED))
    )  # fmt: skip
