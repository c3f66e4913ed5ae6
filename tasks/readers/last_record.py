"""The last record of a table whose text has no line end: has it all been sent, or may it be cut off?

Many programs end no last line, and a file that was cut off looks the same: `12.3` may be half of `12.34`. The
last field is taken for whole only where the column shows that it is; otherwise what it tells gets a defect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import polars as pl

from schemas.layout import Layout
from tasks.readers.rows import fields
from tasks.readers.table import Plan
from tasks.readers.text import Text

#: what the last record ends with is read: it may be half a number
CUT = "the file may be cut off within this record"
#: a column shows a form (two decimals, a date and a time) when so many cells in a row have it
ENOUGH = 20
#: the column is looked at so far back
_BACK = 1000


def _form(text: str) -> str:
    """The form of a text: digits alike, and all whole parts of decimal numbers alike."""
    return re.sub(r"\d", "0", re.sub(r"^([<>]?=?\s*-?)\d+(?=[.,]\d+$)", r"\g<1>0", text.strip()))


def shown_whole(text: str, others: list[str]) -> bool:
    """Whether a column whose cells above are `others` shows that `text` is not the beginning of a longer one."""
    if text and not re.search(r"\d", text):
        # a word that stood there before, and is not the beginning of another that stood there
        return text in others and not any(other != text and other.startswith(text) for other in others)
    form = _form(text)
    if re.fullmatch("0+", form):
        return False  # a whole number may have any length
    return len(others) >= ENOUGH and all(_form(other) == form for other in others)


def marked(
    frames: Iterable[pl.DataFrame], text: Text, plan: Plan, delimiter: str
) -> Iterator[tuple[pl.DataFrame, int | None]]:
    """The frames of `rows.cut`, and with the last one the number of a record whose last cell may be cut off: a
    wide table has other cells in it. A long record that may be cut off has a defect instead."""
    before: pl.DataFrame | None = None
    for frame in frames:
        if frame.height and before is not None:
            yield before, None
        before = frame if frame.height else before
    if before is None:
        return
    last = len(plan.names) - 1
    if text.ended or before["defect"][-1] is not None or before["row"][-1] <= plan.header:
        yield before, None
        return
    *others, end = (cell or "" for cell in before.filter(pl.col("row") > plan.header)[f"f{last}"].tail(_BACK))
    closed = text.closed and end and not end.endswith('"')
    whole = closed or shown_whole(end, [other for other in others if other or not end])
    at_once = {
        index
        for columns in (plan.columns, plan.fallbacks)
        for ours, indexes in columns.items()
        for index in indexes
        if ours != "comment"  # half a comment tells nothing wrong
    }
    if whole or last not in at_once:
        yield before, None if whole else int(before["row"][-1])
        return
    names = fields(len(plan.names))
    raw = delimiter.join(cell or "" for cell in before.select(names).row(-1))
    mark = pl.int_range(pl.len()) == pl.len() - 1
    yield (
        before.with_columns(
            *(pl.when(mark).then(None).otherwise(pl.col(name)).alias(name) for name in names),
            raw=pl.when(mark).then(pl.lit(raw)).otherwise("raw"),
            defect=pl.when(mark).then(pl.lit(CUT)).otherwise("defect"),
        ),
        None,
    )


def without_cut_cell(rows: pl.DataFrame, record: int | None, plan: Plan, layout: Layout) -> pl.DataFrame:
    """Our rows, of which the one with the last cell of `record` has a defect."""
    last = len(plan.names) - 1
    cell = next((cell for cell in plan.cells if last in (cell.index, cell.rel_sd)), None)
    if record is None or cell is None or layout.wide is None:
        return rows
    mark = (pl.col("row") == record) & (pl.col("item") == str(cell.index + 1))
    return rows.with_columns(
        raw=pl.when(mark).then("value").otherwise("raw"),
        defect=pl.when(mark).then(pl.lit(CUT)).otherwise("defect"),
        value=pl.when(mark).then(None).otherwise("value"),
    )
