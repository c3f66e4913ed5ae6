"""Datasets whose container names the columns itself (SAS transport files, Dataset-JSON): records as tables.

They are cut like every other table, so one layout reads a dataset as CSV, as XPT and as Dataset-JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.header_row import Head, lacking
from tasks.readers.json_text import HALF
from tasks.readers.rows import cut, fields
from tasks.readers.table import Glance, make_plan

#: records of one frame
RECORDS = 50_000


def look(text: str, names: list[str]) -> Glance:
    """What detection sees of a dataset: nothing but its columns."""
    return Glance(text, lambda layout: [Head("dataset", [names])], signature=True)


def frame_of(records: Sequence[Sequence[str]], width: int) -> pl.DataFrame:
    """Records of `width` texts as a frame f0, f1, ... Raises Unreadable for half a character."""
    try:
        return pl.DataFrame(records, schema=dict.fromkeys(fields(width), pl.String), orient="row")
    except UnicodeEncodeError:
        pass
    raise Unreadable(HALF)


def table(
    names: list[str], frames: Iterable[pl.DataFrame], layout: Layout, is_analyte: IsAnalyte, reading: Reading
) -> Reading:
    """`reading` with the rows of a dataset. `frames`: `row` (number of the record), f0, f1, ..., `raw`, `defect`.

    Raises Unreadable where the layout does not know the columns, or a column that is read is named twice.
    """
    lack = lacking(names, layout, is_analyte)
    if lack:
        raise Unreadable(f"no columns that layout {layout.name} knows")
    plan = dataclasses.replace(make_plan(Head("dataset", [names]), 1, layout, is_analyte), header=0)
    reading.columns_used, reading.columns_unused = plan.used, plan.unused

    def batches() -> Iterator[pl.DataFrame]:
        for frame in frames:
            yield from cut(frame, plan, layout, reading)

    reading.batches = batches()
    return reading
