"""Which result counts: of all that was ever sent about a sample, what stands today. Pure Polars.

Preliminary never beats final or corrected; then the later report; then corrected over final; then
arrival. What still ties with different values is a conflict and nothing is published for it. A
withdrawal, and a correction that is itself quarantined, take the older value out.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

CONFLICT = "conflicting results"
SUBJECTS = "conflicting subjects"
WITHDRAWN = "withdrawn"
SUPERSEDED = "superseded by a quarantined correction"
QUARANTINED = "quarantined component"

_CLOCK = ["_final", "_reported", "_corrected", "received_at"]
_RESULT = ["sample_key", "analyte", "unit"]
_VALUE = ["low", "high"]


@dataclass(frozen=True)
class Current:
    """What stands: `results` (one row per sample, analyte and unit), `problems` (sample_key, analyte,
    problem: what is known of an analyte that has no result) and `samples` (one row per sample)."""

    results: pl.DataFrame
    problems: pl.DataFrame
    samples: pl.DataFrame


def _with_clock(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with `clock`: the rank of status, report and arrival, larger is later."""
    corrected = pl.col("status").is_in(["corrected", "withdrawn"])
    rows = rows.with_columns(
        (pl.col("status") != "preliminary").fill_null(True).alias("_final"),
        pl.col("reported_at").fill_null(pl.datetime(1, 1, 1, time_zone="UTC")).alias("_reported"),
        corrected.fill_null(False).alias("_corrected"),
    )
    clocks = rows.select(_CLOCK).unique().sort(_CLOCK).with_row_index("clock")
    return rows.join(clocks, on=_CLOCK, how="left", nulls_equal=True).drop(
        "_final", "_reported", "_corrected"
    )


def _latest(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return rows.filter(pl.col("clock") == pl.col("clock").max().over(by))


def _resolve_ties(tied: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """One row per group of `by`: repeated measurements as the layout says, otherwise a conflict.

    Never across exports: arrival and order of rows decide nothing here.
    """
    same = (pl.col("low").n_unique() == 1) & (pl.col("high").n_unique() == 1)
    one_export = pl.col("export").n_unique() == 1
    rule = pl.col("replicates").first()
    dilution = pl.col("dilution").fill_null(1.0)
    # the least diluted measurement that is not above the upper limit
    readable = pl.when(pl.col("high").is_finite()).then(dilution)
    tied = tied.sort([*by, "export", "row", "item"])
    groups = tied.with_columns(
        same.over(by).alias("_same"),
        (one_export & (rule == "mean")).over(by).alias("_mean"),
        (one_export & (rule == "diluted if above uloq") & readable.min().is_not_null())
        .over(by)
        .alias("_diluted"),
        (readable == readable.min().over(by)).fill_null(False).alias("_chosen"),
    )
    chosen = groups.filter(pl.col("_diluted") & pl.col("_chosen") & ~pl.col("_same"))
    same_again = (pl.col("low").n_unique() == 1) & (pl.col("high").n_unique() == 1)
    chosen = chosen.with_columns(same_again.over(by).alias("_clear"))
    parts = [
        groups.filter("_same"),
        groups.filter(~pl.col("_same") & pl.col("_mean")).with_columns(
            pl.col("low").mean().over(by), pl.col("high").mean().over(by), pl.col("rounding").max().over(by)
        ),
        chosen.filter("_clear").drop("_clear"),
        groups.filter(~pl.col("_same") & ~pl.col("_mean") & ~pl.col("_diluted")).with_columns(
            problem=pl.lit(CONFLICT)
        ),
        chosen.filter(~pl.col("_clear")).drop("_clear").with_columns(problem=pl.lit(CONFLICT)),
    ]
    one = pl.concat(parts).unique(by, keep="first", maintain_order=True)
    return one.drop("_same", "_mean", "_diluted", "_chosen")


def _one_method(rows: pl.DataFrame) -> pl.DataFrame:
    """Two methods for one result are a conflict unless the layout ranks them."""
    several = pl.len().over(_RESULT) > 1
    if not rows.select(several.any()).item():
        return rows
    tied, rest = rows.filter(several), rows.filter(~several)
    ranked = (pl.col("method_rank").null_count() == 0).over(_RESULT) & (
        pl.col("method_rank").n_unique() == pl.len()
    ).over(_RESULT)
    best = tied.filter(ranked & (pl.col("method_rank") == pl.col("method_rank").min().over(_RESULT)))
    others = tied.filter(~ranked)
    same = ((pl.col("low").n_unique() == 1) & (pl.col("high").n_unique() == 1)).over(_RESULT)
    others = others.with_columns(pl.when(same).then("problem").otherwise(pl.lit(CONFLICT)).alias("problem"))
    others = others.sort([*_RESULT, "method"]).unique(_RESULT, keep="first", maintain_order=True)
    return pl.concat([rest, best, others])


def _taken_out(winners: pl.DataFrame, against: pl.DataFrame, problem: str, same_unit: bool) -> pl.DataFrame:
    """Mark winners that a row of `against` of the same sample and analyte is not older than.

    With `same_unit`, a row that says its unit speaks only of that unit.
    """
    later = against.select(
        "sample_key", "analyte", pl.col("unit").alias("_unit"), pl.col("clock").alias("_clock")
    )
    if not same_unit:
        later = later.with_columns(pl.lit(None, pl.String).alias("_unit"))
    later = later.group_by("sample_key", "analyte", "_unit").agg(pl.col("_clock").max())
    for_all = later.filter(pl.col("_unit").is_null()).drop("_unit").rename({"_clock": "_all"})
    for_unit = later.drop_nulls("_unit").rename({"_unit": "unit"})
    marked = winners.join(for_all, on=["sample_key", "analyte"], how="left").join(
        for_unit, on=_RESULT, how="left"
    )
    out = (pl.max_horizontal("_all", "_clock") >= pl.col("clock")).fill_null(False)
    if not same_unit:  # a quarantined row of the same clock is no correction of it, but a line beside it
        out = (pl.max_horizontal("_all", "_clock") > pl.col("clock")).fill_null(False)
    return marked.with_columns(pl.when(out).then(pl.lit(problem)).otherwise("problem").alias("problem")).drop(
        "_all", "_clock"
    )


def current(rows: pl.DataFrame) -> Current:
    """What stands of `rows`, which hold every row (newest editions) of each sample in them.

    rows: `RESULT_SCHEMA` with `edition`, in any order; the result does not depend on the order.
    """
    rows = rows.filter((pl.col("role") == "sample") & pl.col("sample_key").is_not_null())
    rows = _with_clock(rows).with_columns(pl.lit(None, pl.String).alias("problem"))
    named = rows.filter(pl.col("analyte").is_not_null())
    accepted = named.filter("accepted")
    withdrawals = accepted.filter(pl.col("status") == "withdrawn")
    values = accepted.filter(pl.col("status") != "withdrawn")
    quarantined = named.filter(~pl.col("accepted"))
    # an empty later cell is no correction, unless it says that it is one
    corrections = quarantined.filter(
        pl.col("status").is_in(["corrected", "withdrawn"]).fill_null(False)
        | ~pl.col("reasons").list.contains("no value")
    )
    by = [*_RESULT, "method"]
    top = _latest(values, by)
    several = pl.len().over(by) > 1
    winners = pl.concat([top.filter(~several), _resolve_ties(top.filter(several), by)])
    winners = _taken_out(winners, withdrawals, WITHDRAWN, same_unit=True)
    winners = _taken_out(winners, corrections, SUPERSEDED, same_unit=False)
    # of two methods, one that was withdrawn no longer competes
    standing = _one_method(winners.filter(pl.col("problem").is_null()))
    subjects = rows.select("sample_key", "subject").drop_nulls().unique().group_by("sample_key").len()
    mixed = subjects.filter(pl.col("len") > 1)["sample_key"]
    standing = standing.with_columns(
        pl.when(pl.col("sample_key").is_in(mixed.implode()))
        .then(pl.lit(SUBJECTS))
        .otherwise("problem")
        .alias("problem")
    )
    results = standing.filter(pl.col("problem").is_null())
    marked = pl.concat([
        pl.concat([winners, standing]).filter(pl.col("problem").is_not_null()).select("sample_key", "analyte", "problem"),
        withdrawals.select("sample_key", "analyte", pl.lit(WITHDRAWN).alias("problem")),
        quarantined.select("sample_key", "analyte", pl.lit(QUARANTINED).alias("problem")),
    ])  # fmt: skip
    order = {CONFLICT: 0, SUBJECTS: 0, SUPERSEDED: 1, WITHDRAWN: 2, QUARANTINED: 3}
    problems = (
        marked.sort("sample_key", "analyte", pl.col("problem").replace_strict(order), "problem")
        .unique(["sample_key", "analyte"], keep="first", maintain_order=True)
    )  # fmt: skip
    return Current(results.drop("problem"), problems, _samples(rows, results))


def _samples(rows: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    """One row per sample that has a result: identity, and the collection time of what stands.

    Where results of a sample disagree about the time, the latest clock decides, then the earlier time.
    """
    identity = ["subject", "sample", "specimen", "site", "visit", "timepoint"]
    time = ["collected_at", "collected_local", "time_precision", "time_source", "month"]
    latest = results.sort(
        ["sample_key", "clock", "collected_local", "time_precision", "time_source", "collected_at"],
        descending=[False, True, False, False, False, False],
    ).unique("sample_key", keep="first", maintain_order=True)
    known = rows.group_by("sample_key").agg(pl.col(name).drop_nulls().min() for name in identity)
    return latest.select("sample_key", *time).join(known, on="sample_key", how="left", maintain_order="left")
