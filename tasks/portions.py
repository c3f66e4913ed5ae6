"""What of the ledger is computed together: whole months, and all rows of the samples that stand in them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from schemas.result import UNDATED

_OF_SAMPLE = (pl.col("role") == "sample") & pl.col("sample_key").is_not_null()
_MONTH = pl.col("month").fill_null(UNDATED)


def in_months(months: Collection[str]) -> pl.Expr:
    """Whether a row stands in one of the months, in words by which row groups of other months are passed over."""
    inside = pl.col("month").is_in([month for month in months if month != UNDATED])
    return inside | pl.col("month").is_null() if UNDATED in months else inside


def extents(rows: pl.LazyFrame, months: Collection[str]) -> pl.DataFrame:
    """How many rows each sample that stands in `months` has in each month, also in others: sample (a hash of
    its key), month, rows.

    Two samples of one hash are taken for one here, so that at worst too much is looked at.
    """
    inside = in_months(months)
    sample = pl.col("sample_key").hash()

    def counted(some: pl.LazyFrame) -> pl.DataFrame:
        by_month = some.filter(_OF_SAMPLE).group_by(sample.alias("sample"), _MONTH)
        return by_month.agg(pl.len().alias("rows")).collect(engine="streaming")

    here = counted(rows.filter(inside))
    samples = here["sample"].unique().implode()
    there = counted(rows.filter((~inside).fill_null(True) & sample.is_in(samples)))
    return pl.concat([here, there])


@dataclass(frozen=True)
class Portion:
    """Months that are computed together, with the editions that each is built from; a month that is larger than
    the memory should hold stands alone, and is computed in parts, each with whole samples."""

    editions: dict[str, str]
    parts: int = 1

    @property
    def months(self) -> list[str]:
        """The months."""
        return list(self.editions)


def portions(stale: Mapping[str, str], extents: pl.DataFrame, size: int) -> list[Portion]:
    """Stale months (with their editions) in portions of about `size` rows, so that memory stays flat.

    extents: as `extents` gives them."""
    counts = dict(extents.group_by("month").agg(pl.col("rows").sum()).iter_rows())
    out: list[Portion] = []
    filled = 0
    for month in sorted(stale):
        # what has no month is quarantined: no sample of it is computed
        rows = counts.get(month, 0) if month != UNDATED else 0
        if not out or filled + rows > size:
            # up to twice the size at once: what is divided takes the way over temporary files, and more time. Parts
            # are smaller, because one is computed while another and the month before are written
            out.append(Portion({}, 1 if rows <= 2 * size else math.ceil(rows / (1.5 * size))))
            filled = 0
        out[-1].editions[month] = stale[month]
        filled += rows
    return out


def in_several_months(extents: pl.DataFrame) -> pl.DataFrame:
    """The extents of the samples that stand in several months: a correction may have moved a sample."""
    return extents.filter(pl.col("sample").is_duplicated())


def moved(rows: pl.LazyFrame, extents: pl.DataFrame) -> pl.LazyFrame:
    """The rows of the samples of `extents`."""
    of_them = pl.col("sample_key").hash().is_in(extents["sample"].unique().implode())
    return rows.filter(in_months(extents["month"].unique().to_list()) & _OF_SAMPLE & of_them)


def rows_of(
    rows: pl.LazyFrame, moved: pl.LazyFrame, months: list[str], extents: pl.DataFrame
) -> pl.LazyFrame:
    """Every row of the samples that stand in `months`, of the `rows` of all samples, and of those that `moved`."""
    here = pl.col("month").is_in([month for month in months if month != UNDATED])
    samples = extents.filter(here)["sample"]
    of_them = pl.col("sample_key").hash().is_in(samples.implode())
    elsewhere = moved.filter((~here).fill_null(True) & of_them)
    return pl.concat([rows.filter(here & _OF_SAMPLE), elsewhere])
