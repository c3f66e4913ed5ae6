"""What stands of each sample as one row: a slot for each analyte, unit and end of its interval. Pure Polars."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import polars as pl

from tasks.codes import coded_frame, grouped, taken

ENDS = ("low", "high", "rounding")
#: Units of brain MRS: all metabolites of one fit share them, so a ratio needs no moles.
MRS_UNITS = ("{i.u.}", "1/{tCr}")
_SHORTEST_24H, _LONGEST_24H, _SMALLEST_24H = 20.0, 28.0, 0.4  # hours, hours, litres


def slot(analyte: str, unit: str, end: str) -> str:
    """The column of one end of one analyte in one unit, in a frame of one row per sample."""
    return f"{analyte}|{unit}|{end}"


@lru_cache(maxsize=4)
def units_in(columns: frozenset[str]) -> Mapping[str, set[str]]:
    """Analyte -> the units that `columns` have slots for."""
    units: dict[str, set[str]] = {}
    for name in columns:
        if name.endswith("|low"):
            analyte, unit, _ = name.split("|")
            units.setdefault(analyte, set()).add(unit)
    return MappingProxyType(units)


def wide(results: pl.DataFrame, analytes: set[str], height: int) -> pl.DataFrame:
    """One row per sample, one column per analyte, unit and end (`low`, `high`, `rounding`).

    results: one row per sample, analyte and unit; `_at`: which of the `height` samples."""
    used = results.select("_at", "analyte", "unit", "is_ratio", *ENDS)
    if used["is_ratio"].any():
        used = used.filter(~pl.col("is_ratio"))
    frame = spread(used, ["analyte", "unit"], {end: f"|{end}" for end in ENDS}, height, analytes)
    return _with_total_creatine(frame) if "tcr" in analytes else frame


def spread(
    rows: pl.DataFrame, by: list[str], values: dict[str, str], height: int, only: set[str] | None = None
) -> pl.DataFrame:
    """One row for each of `height` samples, and for each combination of `by` the columns `values`, named by the
    texts of `by` joined with | and by what `values` appends.

    rows: at most one per sample and combination; `_at`: which sample, null for none of them. only: texts of the
    first of `by` that are wanted. Many times faster than a pivot, and faster still where rows stand in the order of
    `by`.
    """
    nowhere = pl.Series([None], dtype=pl.UInt32).new_from_index(0, height)
    columns: list[pl.Series] = []
    for key, mine in grouped(rows.drop_nulls("_at").pipe(coded_frame, *by), *by):
        if only is not None and key[0] not in only:
            continue
        # which row of `mine` is the one of each sample
        at = nowhere.clone().scatter(mine["_at"], pl.int_range(mine.height, dtype=pl.UInt32, eager=True))
        ends = mine.select(pl.col(name).alias("|".join(key) + end) for name, end in values.items())
        columns.extend(taken(ends, at))
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=height)


def _with_total_creatine(frame: pl.DataFrame) -> pl.DataFrame:
    """Per total creatine, total creatine itself is 1: tables of ratios do not print it, and a ratio to it that is
    printed needs no division."""
    unit = MRS_UNITS[1]
    printed = [name for name in frame.columns if name.endswith(f"|{unit}|low")]
    if not printed:
        return frame
    any_of = pl.any_horizontal(pl.col(name).is_not_null() for name in printed)
    ends = {
        slot("tcr", unit, end): number for end, number in (("low", 1.0), ("high", 1.0), ("rounding", 0.0))
    }
    return frame.with_columns(
        pl.when(any_of)
        .then(pl.col(name).fill_null(number) if name in frame.columns else pl.lit(number))
        .alias(name)
        for name, number in ends.items()
    )


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
