"""Balance metrics as intervals, with a reason for every one that is absent. Pure Polars."""

from __future__ import annotations

import math

import polars as pl

from schemas.catalogue import Catalogue, Metric
from tasks.codes import places
from tasks.current import Current
from tasks.intervals import ABSENT, BALANCE, STATUS, Interval, status_of, weigh
from tasks.sides import MISSING, PRINTED, URINE, Sides, formula_of
from tasks.slots import ENDS, incomplete_24h, spread, units_in, wide

_CREATININE_G_PER_L = (0.3, 3.0)  # WHO limits, as quoted by Biomed Environ Sci 2022;35:899
_CREATININE_MOLAR_MASS = 113.12  # g/mol
_PROBLEM = " problem"

#: What `compute` gives: one row per sample (and its place among the samples) and metric. Sides are in
#: `component_unit`. Texts may be coded.
COMPUTED_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "_at": pl.UInt32,
    "sample_key": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "status": STATUS,
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


def compute(now: Current, catalogue: Catalogue) -> pl.DataFrame:
    """Every metric of every sample that it is defined for, or refused in: one row each, in the order of the
    metrics' ids and of `now.samples`.

    Both sides are found metric by metric; what they are weighed against each other is worked out once, for all.

    Returns a frame of `COMPUTED_SCHEMA`.
    """
    metrics = [metric for _, metric in sorted(catalogue.metrics.items()) if metric.computed]
    frame = _by_sample(now, {analyte for metric in metrics for analyte in formula_of(metric).analytes})
    specimens, columns = set(frame["specimen"]), frozenset(frame.columns)
    every = (Sides(metric, refusals_of(metric, catalogue), columns) for metric in metrics)
    sides = [each for each in every if specimens.intersection(each.specimens)]
    if not sides:
        return pl.DataFrame(schema=COMPUTED_SCHEMA)
    ready = frame.with_columns(each.first_way() for each in sides)
    # figures are dear, so those of a basis that no sample takes are not worked out
    ways = pl.col([each.way for each in sides])
    taken = ready.select(ways.unique().drop_nulls().sort().implode()).row(0, named=True)
    texts = pl.Enum(sorted({text for each in sides for way in each.ways for text in (way.basis, way.unit)}))
    weighed = pl.concat(pl.collect_all(each.weighed(ready.lazy(), taken[each.way], texts) for each in sides))
    keys = now.samples["sample_key"].gather(weighed["_at"])
    return _computed(weighed.with_columns(keys).lazy()).collect()


def _by_sample(now: Current, analytes: set[str]) -> pl.DataFrame:
    """One row per sample of `now`, in its order, with all that `Sides.weighed` needs but the ways."""
    told = pl.col("specimen", "time_source", "time_precision").cast(pl.String)  # texts, where they are coded
    base = now.samples.select("sample_key", told).with_row_index("_at")
    results, problems = (
        rows.with_columns(places(rows["sample_key"], base["sample_key"]).alias("_at"))
        for rows in (now.results, now.problems)
    )
    base = pl.concat(
        [
            base,
            wide(results, analytes | {"creatinine", "urine_volume", "collection_duration"}, base.height),
            spread(
                results.select("_at", "analyte", "is_ratio", *ENDS).filter("is_ratio"),
                ["analyte"],
                PRINTED,
                base.height,
            ),
            spread(
                problems.filter(pl.col("analyte").is_in(sorted(analytes))),
                ["analyte"],
                {"problem": _PROBLEM},
                base.height,
            ),
        ],
        how="horizontal",
    )
    return incomplete_24h(base).with_columns(_missing(analyte, base) for analyte in sorted(analytes))


def _missing(analyte: str, frame: pl.DataFrame) -> pl.Expr:
    """Why an analyte is in no slot of a sample; null where it is in one."""
    units = units_in(frozenset(frame.columns)).get(analyte, ())
    anywhere = pl.any_horizontal(
        pl.lit(False), *(pl.col(f"{analyte}|{unit}|low").is_not_null() for unit in units)
    )
    why = pl.lit(f"missing component: {analyte}")
    if analyte + _PROBLEM in frame.columns:
        why = pl.col(analyte + _PROBLEM).fill_null(pl.lit("missing component"))
        why = pl.concat_str(why, pl.lit(f": {analyte}"))
    return pl.when(~anywhere).then(why).alias(analyte + MISSING)


def _computed(weighed: pl.LazyFrame) -> pl.LazyFrame:
    """`COMPUTED_SCHEMA` of what `Sides.weighed` gives."""
    low, high = _metric("")
    wide_low, wide_high = _metric("wide_")
    figures = weighed.with_columns(
        low.alias("low"), high.alias("high"), wide_low.alias("wide_low"), wide_high.alias("wide_high")
    ).with_columns(_reason().alias("reason"))
    there = pl.col("reason").is_null()
    status = status_of(pl.col("low"), pl.col("high"), pl.col("lowest"), pl.col("highest"))
    said = {
        "value": pl.when(there & (pl.col("low") == pl.col("high"))).then("low"),
        "low": pl.when(there).then("low"),
        "high": pl.when(there).then("high"),
        "status": pl.when(there).then(status).otherwise(pl.lit(ABSENT, STATUS)),
        "reported_agrees": pl.when(there & pl.col("reported_low").is_not_null()).then(_agrees()),
    }
    return figures.select(said.get(name, pl.col(name)).alias(name) for name in COMPUTED_SCHEMA)


def _metric(prefix: str) -> Interval:
    top, bottom = (
        (pl.col(f"{prefix}{side}_low"), pl.col(f"{prefix}{side}_high")) for side in ("top", "bottom")
    )
    low, high = weigh(pl.col("shape"), pl.col("factor"), top, bottom)
    return low * pl.col("scale"), high * pl.col("scale")


def _reason() -> pl.Expr:
    """Why there is no value; null where there is one."""
    nothing = pl.col("low").is_null()
    balance_zero = pl.col("zero") & (pl.col("shape") == BALANCE)
    # a denominator so small that the ratio overflows is as good as zero
    zero_denominator = pl.col("low") == math.inf
    return pl.coalesce(
        "refused",
        pl.when(nothing & pl.col("incomplete")).then(pl.lit("incomplete 24 h collection")),
        pl.when(nothing & pl.col("areas")).then(pl.lit("peak areas that no layout calls comparable")),
        pl.when(nothing).then(pl.lit("different basis")),
        pl.when(balance_zero).then(pl.lit("zero in a log-ratio balance")),
        pl.when(zero_denominator).then(pl.lit("zero denominator")),
    )


def _agrees() -> pl.Expr:
    """Whether a printed ratio agrees with its components within the rounding of all of them."""
    rounding = pl.col("reported_rounding").fill_null(0.0)
    printed_low, printed_high = pl.col("reported_low") - rounding, pl.col("reported_high") + rounding
    slack = 1e-9 * printed_high.abs().fill_nan(0.0)  # binary rounding of decimal texts, nothing else
    slack = pl.when(slack.is_finite()).then(slack).otherwise(0.0)
    return (printed_low <= pl.col("wide_high") + slack) & (printed_high + slack >= pl.col("wide_low"))


def refusals_of(metric: Metric, catalogue: Catalogue) -> dict[str, str]:
    """Specimen -> why the metric is refused there, for the analytes that a guard refuses."""
    components = set(formula_of(metric).analytes)
    return {
        specimen: guard.reason.partition(":")[0]
        for guard in catalogue.guards
        if guard.action == "refuse" and guard.analyte in components
        for specimen in guard.specimens
    }


def unusual_creatinine(results: pl.DataFrame) -> pl.DataFrame:
    """sample_key of urine whose creatinine lies outside 0.3 to 3.0 g/L, wherever in its interval it lies: `<0.2`
    is outside, `<0.5` may be inside. Flagged, never dropped."""
    urine = (
        pl.col("specimen").is_in(URINE) & (pl.col("analyte") == "creatinine") & (pl.col("unit") == "umol/L")
    )
    low, high = (pl.col(end) * _CREATININE_MOLAR_MASS / 1e6 for end in ("low", "high"))
    lowest, highest = _CREATININE_G_PER_L
    return results.filter(urine & ((high < lowest) | (low > highest))).select("sample_key").unique()
