"""Balance metrics as intervals, with a reason for every one that is absent. Pure Polars."""

from __future__ import annotations

import math

import polars as pl

from schemas.catalogue import Catalogue, Metric
from tasks.current import Current
from tasks.intervals import ABSENT, Interval, balance, natural_range, ratio, status_of, total
from tasks.sides import (
    ENDS,
    PRINTED,
    RESPONSE,
    RESPONSES,
    UNITS,
    URINE,
    Sides,
    formula_of,
    interval,
    per_volume,
    slot,
    spread,
    wide,
)

_CREATININE_G_PER_L = (0.3, 3.0)  # WHO limits, as quoted by Biomed Environ Sci 2022;35:899
_CREATININE_MOLAR_MASS = 113.12  # g/mol
_SHORTEST_24H, _LONGEST_24H, _SMALLEST_24H = 20.0, 28.0, 0.4  # hours, hours, litres

#: What `compute` gives: one row per sample and metric. Sides are in `component_unit`.
COMPUTED_SCHEMA: dict[str, type[pl.DataType]] = {
    "sample_key": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "status": pl.String,
    "reason": pl.String,
    "basis": pl.String,
    "numerator_low": pl.Float64,
    "numerator_high": pl.Float64,
    "denominator_low": pl.Float64,
    "denominator_high": pl.Float64,
    "component_unit": pl.String,
    "reported_low": pl.Float64,
    "reported_high": pl.Float64,
    "reported_agrees": pl.Boolean,
}


def _figures(sides: Sides, unit: str, converted: bool = False) -> pl.Expr:
    """One struct of figures with both sides in `unit`."""

    def side(names: tuple[str, ...], widen: bool) -> dict[str, Interval]:
        if converted:
            return {name: per_volume(sides, name, widen) for name in names}
        return {name: interval(sides, name, unit, widen) for name in names}

    calculate = ratio if sides.formula.kind == "ratio" else balance
    scale = sides.formula.scale
    low, high = calculate(side(sides.numerator, False), side(sides.denominator, False))
    wide_low, wide_high = calculate(side(sides.numerator, True), side(sides.denominator, True))
    ends = {}
    for name, names in (("numerator", sides.numerator), ("denominator", sides.denominator)):
        intervals = list(side(names, False).values())
        for index, end in enumerate(("low", "high")):
            parts = [interval[index] for interval in intervals]
            mean = (total([part.log() for part in parts]) / len(parts)).exp()
            ends[f"{name}_{end}"] = total(parts) if sides.formula.kind == "ratio" else mean
    all_in = [per_volume(sides, n) if converted else interval(sides, n, unit) for n in sides.components]
    zero = pl.any_horizontal((high == 0) for _, high in all_in)
    basis = (RESPONSE if unit in RESPONSES else UNITS.get(unit, unit)) + (
        ", converted with the sample's creatinine" if converted else ""
    )
    return pl.struct(
        (low * scale).alias("low"), (high * scale).alias("high"),
        (wide_low * scale).alias("wide_low"), (wide_high * scale).alias("wide_high"),
        pl.lit(basis).alias("basis"), pl.lit(unit).alias("component_unit"),
        zero.alias("zero"), *(expression.alias(name) for name, expression in ends.items()),
    )  # fmt: skip


def _choose_basis(sides: Sides, specimens: list[str], mine: pl.LazyFrame) -> pl.Expr:
    """The figures in the first basis in which every component is there; never one side converted alone."""
    ways: list[tuple[pl.Expr, str, bool]] = []  # whether all is there; the unit; converted with creatinine
    for unit in sides.units():
        whole = pl.all_horizontal(sides.present(c, unit) for c in sides.components)
        ways.append((whole & ~pl.col("_incomplete_24h") if unit == "umol/(24.h)" else whole, unit, False))
    if set(specimens) & set(URINE) and slot("creatinine", "umol/L", "low") in sides.have:
        whole = pl.all_horizontal(
            sides.present(c, "umol/L")
            | (sides.present(c, "umol/mmol{creat}") & sides.present("creatinine", "umol/L"))
            for c in sides.components
        )
        ways.append((whole, "umol/L", True))
    if not ways:
        return _nothing()
    first = pl.coalesce(pl.when(whole).then(pl.lit(at)) for at, (whole, _, _) in enumerate(ways))
    taken = mine.select(first.alias("way").unique()).collect()["way"].drop_nulls().sort()
    # figures are dear, so those of a basis that no sample takes are not worked out
    figures = [pl.when(first == at).then(_figures(sides, *ways[at][1:])) for at in taken]
    return pl.coalesce(figures) if figures else _nothing()


def _reason(metric: Metric, sides: Sides, refusals: dict[str, str]) -> pl.Expr:
    """Why there is no value; null where there is one."""
    missing = pl.concat_str(
        [
            pl.when(~sides.anywhere(c)).then(pl.concat_str(
                pl.col(f"_problem_{c}").fill_null("missing component") if f"_problem_{c}" in sides.have else pl.lit("missing component"),
                pl.lit(f": {c}"),
            )) for c in sides.components
        ], separator="; ", ignore_nulls=True,
    )  # fmt: skip
    figures = pl.col("_figures")
    refused = (
        pl.col("specimen").replace_strict(refusals, default=None, return_dtype=pl.String)
        if refusals
        else pl.lit(None, pl.String)
    )
    clock = pl.lit(None, pl.String)
    if metric.time_needed:
        lacks = (pl.col("time_source") != "collected").fill_null(True)
        if metric.time_needed == "clock":
            lacks |= (pl.col("time_precision") != "clock").fill_null(True)
        clock = pl.when(lacks).then(
            pl.lit(
                "needs the clock time of collection"
                if metric.time_needed == "clock"
                else "needs the time of collection"
            )
        )
    nothing = figures.struct.field("low").is_null()
    areas = pl.all_horizontal(
        pl.any_horizontal(sides.present(c, unit) for unit in RESPONSES) for c in sides.components
    )
    # a denominator so small that the ratio overflows is as good as zero
    zero_denominator = figures.struct.field("low") == math.inf
    balance_zero = figures.struct.field("zero") & pl.lit(sides.formula.kind == "balance")
    incomplete = pl.col("_incomplete_24h") & pl.all_horizontal(
        sides.present(c, "umol/(24.h)") for c in sides.components
    )
    return pl.coalesce(
        refused, pl.when(missing != "").then(missing), clock,
        pl.when(nothing & incomplete).then(pl.lit("incomplete 24 h collection")),
        pl.when(nothing & areas).then(pl.lit("peak areas that no layout calls comparable")),
        pl.when(nothing).then(pl.lit("different basis")),
        pl.when(balance_zero).then(pl.lit("zero in a log-ratio balance")),
        pl.when(zero_denominator).then(pl.lit("zero denominator")),
    )  # fmt: skip


def refusals_of(metric: Metric, catalogue: Catalogue) -> dict[str, str]:
    """Specimen -> why the metric is refused there, for the analytes that a guard refuses."""
    components = set(formula_of(metric).analytes)
    return {
        specimen: guard.reason.partition(":")[0]
        for guard in catalogue.guards
        if guard.action == "refuse" and guard.analyte in components
        for specimen in guard.specimens
    }


def _nothing() -> pl.Expr:
    names = (
        "low",
        "high",
        "wide_low",
        "wide_high",
        "numerator_low",
        "numerator_high",
        "denominator_low",
        "denominator_high",
    )
    return pl.struct(*(pl.lit(None, pl.Float64).alias(name) for name in names), pl.lit(None, pl.String).alias("basis"),
                     pl.lit(None, pl.String).alias("component_unit"), pl.lit(None, pl.Boolean).alias("zero"))  # fmt: skip


def one_metric(metric: Metric, frame: pl.DataFrame, refusals: dict[str, str]) -> pl.LazyFrame:
    """One row per sample of `frame` in a specimen that the metric is defined for, or refused in: its interval,
    status, reason, sides and printed ratio.

    frame: one row per sample with slots (`wide`), `specimen`, `time_source`, `time_precision`,
    `_incomplete_24h`, `_problem_<analyte>` and, where the lab prints the ratio, what `PRINTED` names.
    refusals: specimen -> why the metric is refused there.
    """
    sides = Sides(metric, frame)
    specimens = [*metric.specimens, *refusals]
    mine = frame.lazy().filter(pl.col("specimen").is_in(specimens))
    mine = mine.with_columns(
        _choose_basis(sides, specimens, mine).alias("_figures"),
        *(sides.printed(end).alias(f"reported_{end}") for end in ENDS),
    )
    mine = mine.with_columns(_reason(metric, sides, refusals).alias("reason")).unnest("_figures")
    lowest, highest = natural_range(sides.formula)
    there = pl.col("reason").is_null()
    printed_low = pl.col("reported_low") - pl.col("reported_rounding").fill_null(0.0)
    printed_high = pl.col("reported_high") + pl.col("reported_rounding").fill_null(0.0)
    slack = 1e-9 * printed_high.abs().fill_nan(0.0)  # binary rounding of decimal texts, nothing else
    slack = pl.when(slack.is_finite()).then(slack).otherwise(0.0)
    agrees = (printed_low <= pl.col("wide_high") + slack) & (printed_high + slack >= pl.col("wide_low"))
    figures = {
        "metric": pl.lit(metric.id),
        "value": pl.when(there & (pl.col("low") == pl.col("high"))).then("low"),
        "low": pl.when(there).then("low"),
        "high": pl.when(there).then("high"),
        "status": pl.when(there)
        .then(status_of(pl.col("low"), pl.col("high"), lowest, highest))
        .otherwise(pl.lit(ABSENT)),
        "reported_agrees": pl.when(there & pl.col("reported_low").is_not_null()).then(agrees),
    }
    return mine.select(
        figures.get(name, pl.col(name)).cast(t).alias(name) for name, t in COMPUTED_SCHEMA.items()
    )


def compute(now: Current, catalogue: Catalogue) -> pl.DataFrame:
    """Every metric of every sample that it is defined for, or refused in: one row each, in the order of the
    metrics' ids and of `now.samples`.

    Returns a frame of `COMPUTED_SCHEMA`.
    """
    metrics = [metric for _, metric in sorted(catalogue.metrics.items()) if metric.computed]
    analytes = {analyte for metric in metrics for analyte in formula_of(metric).analytes}
    slots = wide(now.results, analytes | {"creatinine", "urine_volume", "collection_duration"})
    base = now.samples.select("sample_key", "specimen", "time_source", "time_precision")
    frame = incomplete_24h(base.join(slots, on="sample_key", how="left", maintain_order="left"))
    for analyte, group in now.problems.filter(pl.col("analyte").is_in(sorted(analytes))).group_by("analyte"):
        named = group.select("sample_key", pl.col("problem").alias(f"_problem_{analyte[0]}"))
        frame = frame.join(named, on="sample_key", how="left", maintain_order="left")
    ratios = now.results.filter("is_ratio").select("sample_key", "analyte", *ENDS)
    ratios = spread(ratios, ["analyte"], PRINTED)
    frame = frame.join(ratios, on="sample_key", how="left", maintain_order="left")
    specimens = set(frame["specimen"])
    parts: list[pl.LazyFrame] = []
    for metric in metrics:
        refusals = refusals_of(metric, catalogue)
        if specimens.intersection([*metric.specimens, *refusals]):
            parts.append(one_metric(metric, frame, refusals))
    return pl.concat(pl.collect_all(parts)) if parts else pl.DataFrame(schema=COMPUTED_SCHEMA)


def incomplete_24h(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with `_incomplete_24h`: the collection took under 20 h, over 28 h, or gave under 0.4 L.

    Source of the limits: ARUP's acceptance rule, as quoted by the University of Iowa's test directory, test 2965.
    """
    none = pl.lit(None, pl.Float64)
    hours = (
        pl.col(slot("collection_duration", "h", "low"))
        if slot("collection_duration", "h", "low") in frame.columns
        else none
    )
    litres = (
        pl.col(slot("urine_volume", "L", "high"))
        if slot("urine_volume", "L", "high") in frame.columns
        else none
    )
    bad = (hours < _SHORTEST_24H) | (hours > _LONGEST_24H) | (litres < _SMALLEST_24H)
    return frame.with_columns(bad.fill_null(False).alias("_incomplete_24h"))


def unusual_creatinine(results: pl.DataFrame) -> pl.DataFrame:
    """sample_key of urine whose creatinine lies outside 0.3 to 3.0 g/L, wherever in its interval it lies: `<0.2`
    is outside, `<0.5` may be inside. Flagged, never dropped."""
    urine = (
        pl.col("specimen").is_in(URINE) & (pl.col("analyte") == "creatinine") & (pl.col("unit") == "umol/L")
    )
    low, high = (pl.col(end) * _CREATININE_MOLAR_MASS / 1e6 for end in ("low", "high"))
    lowest, highest = _CREATININE_G_PER_L
    return results.filter(urine & ((high < lowest) | (low > highest))).select("sample_key").unique()
