"""Which result counts: of all that was ever sent about a sample, what stands today. Pure Polars.

Preliminary never beats final or corrected; then the later report; then corrected over final; then
arrival. A correction or withdrawal that does not say when it was reported counts as reported on
arrival. What still ties with different values is a conflict and nothing is published for it. A
withdrawal, and a correction that is itself quarantined, take the older value out.

Nearly every row is the only one that speaks of its sample and analyte: it stands as it is, and the
rules are asked of the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tasks.codes import coded_frame, decoded, places, texts_of
from tasks.numbers import CENSORING

CONFLICT = "conflicting results"
SUBJECTS = "conflicting subjects"
WITHDRAWN = "withdrawn"
SUPERSEDED = "superseded by a quarantined correction"
QUARANTINED = "quarantined component"

_CLOCK = ["_final", "_reported", "_corrected", "received_at"]
_RESULT = ["sample_key", "analyte", "unit"]
_IDENTITY = ["sample", "specimen", "site", "visit", "timepoint"]
_TIME = ["collected_at", "collected_local", "time_precision", "time_source", "month"]
#: what identity and time of a sample are taken from
_ABOUT_SAMPLE = ["sample_key", "subject", *_IDENTITY, *_TIME, "status", "reported_at", "received_at"]
#: texts that are compared, sorted or written for each result
_CODED = ["sample_key", "specimen", "analyte", "unit", "basis", "status", "method", "export", "item"]
#: what all rows of a sample are to say alike: it is told of the sample, and not of a result
_OF_ALL = ["subject", "sample", "site", "visit", "timepoint", *_TIME]
#: what is of no use once it is known which rows stand
_DECIDING = ["role", "reasons", "replicate", "replicates", "dilution", "method_rank", "received_at"]

_OF_SAMPLE = (pl.col("role") == "sample") & pl.col("sample_key").is_not_null()


@dataclass(frozen=True)
class Current:
    """What stands: `results` (one row per sample, analyte and unit, without what
    is told of the sample; texts as codes), `problems` (sample_key, analyte,
    problem: what is known of an analyte that has no result) and `samples` (one row per sample that has
    an accepted row, whether anything of it stands or not)."""

    results: pl.DataFrame
    problems: pl.DataFrame
    samples: pl.DataFrame

    def of_months(self, months: list[str]) -> Current:
        """What stands of the samples that were collected in `months`."""
        samples = self.samples.filter(pl.col("month").is_in(months))
        if samples.height == self.samples.height:
            return self
        of_them = places(self.results["sample_key"], samples["sample_key"]).is_not_null()
        return Current(self.results.filter(of_them), self.problems, samples)


def _with_clock(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with `clock`: the rank of status, report and arrival, larger is later."""
    corrected = pl.col("status").is_in(["corrected", "withdrawn"]).fill_null(False)
    first = pl.datetime(1, 1, 1, time_zone="UTC")
    rows = rows.with_columns(
        (pl.col("status") != "preliminary").fill_null(True).alias("_final"),
        pl.coalesce("reported_at", pl.when(corrected).then("received_at"), first).alias("_reported"),
        corrected.alias("_corrected"),
    )
    clocks = rows.select(_CLOCK).unique().sort(_CLOCK).with_row_index("clock")
    return rows.join(clocks, on=_CLOCK, how="left", nulls_equal=True).drop(
        "_final", "_reported", "_corrected"
    )


def _latest(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """The latest row of each group of `by`; where all rows are named replicates, the latest of each.

    Adds `_replicate`: the name, null where it tells nothing apart.
    """
    if rows["replicate"].null_count() == len(rows):
        return rows.filter(pl.col("clock") == pl.col("clock").max().over(by)).with_columns(
            _replicate="replicate"
        )
    final = pl.col("status") != "preliminary"
    rows = rows.filter(final == final.max().over(by))
    all_named = (pl.col("replicate").null_count() == 0).over(by)
    rows = rows.with_columns(pl.when(all_named).then("replicate").alias("_replicate"))
    return rows.filter(pl.col("clock") == pl.col("clock").max().over([*by, "_replicate"]))


def _equal(end: str) -> pl.Expr:
    """Whether one end is the same in all rows of a group, but for the last bits of a converted unit."""
    lowest, highest = pl.col(end).min(), pl.col(end).max()
    return (lowest == highest) | (highest.is_finite() & (highest - lowest <= 1e-12 * highest))


def _same_value() -> pl.Expr:
    return _equal("low") & _equal("high")


def _resolve_ties(tied: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """One row per group of `by`: repeated measurements as the layout says, otherwise a conflict.

    Across exports only where the replicates have names: arrival and order of rows decide nothing here.
    """
    same = _same_value()
    replicate = pl.col("_replicate")
    named = (
        (replicate.null_count() == 0)
        & (replicate.n_unique() == pl.len())
        & (pl.col("replicates").n_unique() == 1)
    )
    repeated = (pl.col("export").n_unique() == 1) | named
    rule = pl.col("replicates").first()
    dilution = pl.col("dilution").fill_null(1.0)
    # the least diluted measurement that is not above the upper limit
    readable = pl.when(pl.col("high").is_finite()).then(dilution)
    tied = tied.sort([*by, "export", "row", "item"])
    groups = tied.with_columns(
        same.over(by).alias("_same"),
        (repeated & (rule == "mean")).over(by).alias("_mean"),
        (repeated & (rule == "diluted if above uloq") & readable.min().is_not_null())
        .over(by)
        .alias("_diluted"),
        (readable == readable.min().over(by)).fill_null(False).alias("_chosen"),
    )
    chosen = groups.filter(pl.col("_diluted") & pl.col("_chosen") & ~pl.col("_same"))
    chosen = chosen.with_columns(_same_value().over(by).alias("_clear"))
    parts = [
        groups.filter("_same"),
        groups.filter(~pl.col("_same") & pl.col("_mean")).with_columns(
            pl.col("low").mean().over(by),
            pl.col("high").mean().over(by),
            pl.col("rounding").max().over(by),
            pl.col("censoring").replace("none", None).drop_nulls().first().over(by).fill_null("none"),
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
    same = _same_value().over(_RESULT)
    others = others.with_columns(pl.when(same).then("problem").otherwise(pl.lit(CONFLICT)).alias("problem"))
    others = others.sort([*_RESULT, "method"]).unique(_RESULT, keep="first", maintain_order=True)
    return pl.concat([rest, best, others])


def _taken_out(rows: pl.DataFrame, against: pl.DataFrame, problem: str, same_unit: bool) -> pl.DataFrame:
    """Mark rows that a row of `against` of the same sample and analyte is not older than.

    A method or replicate that both name, and with `same_unit` the unit, must agree. Without it the
    row must be later: one of the same clock is no correction, but a line beside it.
    """
    if against.is_empty():
        return rows
    names = ["unit", "method", "replicate"] if same_unit else ["method", "replicate"]
    keys = ["sample_key", "analyte", *names]
    later = against.group_by(keys).agg(pl.col("clock").max())
    pairs = rows.select(*keys, "clock").unique().join(later, on=["sample_key", "analyte"], suffix="_later")
    speaks = [(pl.col(name) == pl.col(f"{name}_later")).fill_null(True) for name in names]
    newer = pl.col("clock_later") >= pl.col("clock") if same_unit else pl.col("clock_later") > pl.col("clock")
    out = pairs.filter(newer, *speaks).select(*keys, "clock", pl.lit(problem).alias("_out")).unique()
    marked = rows.join(out, on=[*keys, "clock"], how="left", nulls_equal=True)
    return marked.with_columns(pl.coalesce("problem", "_out").alias("problem")).drop("_out")


def _alone(rows: pl.DataFrame) -> pl.Series:
    """Which rows stand because nothing else speaks of their sample and analyte."""
    sample, analyte = (pl.col(name).to_physical().cast(pl.UInt64) for name in ("sample_key", "analyte"))
    pair = sample * len(texts_of(rows["analyte"])) + analyte
    whole = pl.col("accepted") & pl.col("analyte").is_not_null() & (pl.col("status") != "withdrawn")
    return rows.select((_OF_SAMPLE & whole & ~pair.is_duplicated()).fill_null(False)).to_series()


def current(rows: pl.DataFrame) -> Current:
    """What stands of `rows`, which hold every row (newest editions) of each sample in them.

    rows: `RESULT_SCHEMA` with `edition`, in any order; the result does not depend on the order.
    """
    rows = rows.rechunk()  # once, not at each step that needs it
    own = coded_frame(rows.drop(_OF_ALL), *_CODED)
    # of repeated measurements a censoring may come out that none of them has
    own = own.with_columns(rows["censoring"].cast(CENSORING))
    alone = _alone(own)
    others = rows.filter(_OF_SAMPLE & ~alone & pl.col("analyte").is_not_null())
    others = _with_clock(others).with_columns(pl.lit(None, pl.String).alias("problem"))
    accepted = others.filter("accepted")
    withdrawals = accepted.filter(pl.col("status") == "withdrawn")
    values = accepted.filter(pl.col("status") != "withdrawn")
    quarantined = others.filter(~pl.col("accepted"))
    # an empty later cell is no correction, unless it says that it is one
    corrections = quarantined.filter(
        pl.col("status").is_in(["corrected", "withdrawn"]).fill_null(False)
        | ~pl.col("reasons").list.contains("no value")
    )
    by = [*_RESULT, "method"]
    values = _taken_out(values, withdrawals, WITHDRAWN, same_unit=True)
    values = _taken_out(values, corrections, SUPERSEDED, same_unit=False)
    taken_out = values.filter(pl.col("problem").is_not_null())
    # of two methods or replicates, one that was withdrawn no longer competes
    top = _latest(values.filter(pl.col("problem").is_null()), by)
    several = pl.len().over(by) > 1
    winners = pl.concat([top.filter(~several), _resolve_ties(top.filter(several), by)]).drop("_replicate")
    standing = _one_method(winners.filter(pl.col("problem").is_null()))

    about = rows.select(_ABOUT_SAMPLE)
    # the rows of a sample mostly stand together, and say the same of it as the one before
    says_more = about.select(pl.any_horizontal(pl.all().ne_missing(pl.all().shift(1)))).to_series()
    told = about.filter(alone & (says_more | ~alone.shift(1, fill_value=False))).unique()
    subjects = pl.concat([told, standing.select(_ABOUT_SAMPLE)]).select("sample_key", "subject")
    subjects = subjects.drop_nulls().unique().group_by("sample_key").len()
    of_several = subjects.filter(pl.col("len") > 1)["sample_key"]
    mixed = pl.col("sample_key").is_in(of_several.implode())
    standing = standing.with_columns(
        pl.when(mixed).then(pl.lit(SUBJECTS)).otherwise("problem").alias("problem")
    )
    chosen = standing.filter(pl.col("problem").is_null())
    mixed_alone = alone & places(own["sample_key"], of_several).is_not_null()
    unopposed = own.drop(_DECIDING).filter(alone & ~mixed_alone)
    results = pl.concat([unopposed, chosen.select(unopposed.columns).cast(unopposed.schema)])
    unsolved = pl.concat([
        *(some.filter(pl.col("problem").is_not_null()).select("sample_key", "analyte", "problem")
          for some in (winners, standing, taken_out)),
        decoded(own.select("sample_key", "analyte").filter(mixed_alone)).with_columns(problem=pl.lit(SUBJECTS)),
        withdrawals.select("sample_key", "analyte", pl.lit(WITHDRAWN).alias("problem")),
        quarantined.select("sample_key", "analyte", pl.lit(QUARANTINED).alias("problem")),
    ])  # fmt: skip
    order = {CONFLICT: 0, SUBJECTS: 0, SUPERSEDED: 1, WITHDRAWN: 2, QUARANTINED: 3}
    problems = (
        unsolved.sort("sample_key", "analyte", pl.col("problem").replace_strict(order), "problem")
        .unique(["sample_key", "analyte"], keep="first", maintain_order=True)
    )  # fmt: skip
    stands = pl.concat([told.filter(~mixed), chosen.select(_ABOUT_SAMPLE)])
    return Current(results, problems, _samples(stands, pl.concat([told, accepted.select(_ABOUT_SAMPLE)])))


def _samples(stands: pl.DataFrame, accepted: pl.DataFrame) -> pl.DataFrame:
    """One row per sample: identity, and the collection time of what stands, or else of what was accepted.

    Where rows of a sample disagree about the time, the latest clock decides, then the earlier time; where
    they disagree about the subject, it is not known.
    """
    nothing_stands = accepted.join(stands, on="sample_key", how="anti")
    rows = _with_clock(pl.concat([stands, nothing_stands]).unique())
    latest = rows.sort(
        ["sample_key", "clock", "collected_local", "time_precision", "time_source", "collected_at", "month"],
        descending=[False, True, False, False, False, False, False],
    ).unique("sample_key", keep="first", maintain_order=True)
    subject = pl.col("subject").drop_nulls()
    known = rows.group_by("sample_key").agg(
        pl.when(subject.n_unique() == 1).then(subject.first()).alias("subject"),
        *(pl.col(name).drop_nulls().min() for name in _IDENTITY),
    )
    return latest.select("sample_key", *_TIME).join(known, on="sample_key", how="left", maintain_order="left")
