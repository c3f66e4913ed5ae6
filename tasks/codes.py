"""Texts that repeat, as codes: what a text means is asked once of each text, however many rows say it. Pure Polars.

A code is a category of `pl.Enum`; categories are in the order of the texts, so that codes are compared and sorted as
the texts are, and many times faster. Files say texts: see `schemas.parquet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import polars as pl
from polars import selectors as cs

#: a column whose equal neighbours leave at most this share of it is coded by its runs
_FEW_RUNS = 0.25


def coded(texts: pl.Series) -> pl.Series:
    """A column of texts as codes of the texts that stand in it; one of codes stays as it is."""
    if isinstance(texts.dtype, pl.Enum):
        return texts
    if texts.null_count() == len(texts):
        return pl.Series(texts.name, [None], pl.Enum([])).new_from_index(0, len(texts))
    runs = texts.rle_id()
    begins = (runs != runs.shift(1)).fill_null(True)
    few = texts.filter(begins) if int(runs[-1]) < _FEW_RUNS * len(texts) else texts
    codes = few.cast(pl.Enum(few.unique().drop_nulls().sort()))
    return codes if few is texts else codes.gather(runs)


def constant(text: str | None) -> pl.Expr:
    """One text in all rows, as a code."""
    return pl.lit(text, pl.Enum([] if text is None else [text]))


def texts_of(codes: pl.Series) -> pl.Series:
    """The texts that a column of codes can say, in the order of the codes."""
    return codes.dtype.categories if isinstance(codes.dtype, pl.Enum) else pl.Series([], dtype=pl.String)


def by_text(column: pl.Series, meaning: Callable[[pl.Series], pl.Series], absent: object = None) -> pl.Series:
    """What each text of a column means, asked once of each; where there is no text `absent`.

    column: codes or texts. meaning: of a column of texts, row by row. What it gives as texts comes back coded.
    """
    column = coded(column)
    texts = texts_of(column)
    told = meaning(texts)
    if told.dtype == pl.String:
        if told.equals(texts, null_equal=True):
            return column
        told = coded(told)
    at = column.to_physical()
    if absent is not None:
        told, at = (
            told.append(pl.Series([absent], dtype=told.dtype)),
            at.cast(pl.UInt32).fill_null(len(texts)),
        )
    return told.gather(at).alias(column.name)


def numbers_of(named: Mapping[str, float], dtype: type[pl.DataType], texts: pl.Series) -> pl.Series:
    """The numbers that texts stand for: a meaning for `by_text`."""
    return pl.Series([named.get(text) for text in texts], dtype=dtype)


def places(column: pl.Series, keys: pl.Series) -> pl.Series:
    """Where each text of a column stands in `keys`, which has each text once; null where it does not."""
    index = keys.cast(pl.String).to_frame("key").with_row_index("at")

    def place(texts: pl.Series) -> pl.Series:
        return texts.to_frame("key").join(index, on="key", how="left", maintain_order="left")["at"]

    return by_text(column, place)


def taken(frame: pl.DataFrame, at: pl.Series) -> pl.DataFrame:
    """The rows of `frame` at the places `at`, one for each of them; nulls where that is null."""
    return frame.select(pl.all().gather(at))


def combinations(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """The distinct rows of a frame of codes, as texts, and for each row of `frame` which of them it is."""
    key, possible = _nothing(frame), 1
    for column in frame:
        nulls = column.null_count()
        if nulls == len(column) or (nulls == 0 and len(texts_of(column)) == 1):
            continue  # it says the same in every row
        numbers, more = _counted(column)
        if possible * more >= 2**63:
            key, possible = _numbered(key)[1].cast(pl.UInt64), frame.height
        key, possible = key * more + numbers, possible * more
    first, at = _numbered(key)
    return decoded(frame[first]), at


def sorted_by(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """`frame` sorted by columns of codes or of places, nulls last: as one number they are sorted many times faster."""
    key = _in_one(frame, names)
    if key is None:
        return frame.sort(names, nulls_last=True)
    return frame if key.is_sorted() else frame[key.arg_sort()]


def grouped(frame: pl.DataFrame, *names: str) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
    """The texts of columns of codes and the rows that say them, in the order of the texts; nothing is moved where
    `frame` is in that order already."""
    frame = sorted_by(frame, *names)
    other = pl.any_horizontal(pl.col(names).ne_missing(pl.col(names).shift(1)))
    begins = frame.select((other | (pl.int_range(pl.len()) == 0)).arg_true()).to_series().to_list()
    for begin, end in pairwise([*begins, frame.height]):
        mine = frame.slice(begin, end - begin)
        yield mine.select(names).row(0), mine


def _in_one(frame: pl.DataFrame, names: Sequence[str]) -> pl.Series | None:
    """Columns of codes or of places as one number that is in their order; None where there is no such number."""
    key, possible = _nothing(frame), 1
    for name in names:
        numbers, more = _counted(frame[name])
        key, possible = key * more + numbers, possible * more
    return key if possible < 2**63 else None


def _nothing(frame: pl.DataFrame) -> pl.Series:
    return pl.Series("key", [0], pl.UInt64).new_from_index(0, frame.height)


def _counted(column: pl.Series) -> tuple[pl.Series, int]:
    """Codes or places as numbers, null as the last of them, and how many there may be."""
    numbers = column.to_physical().cast(pl.UInt64)
    many = len(texts_of(column)) if isinstance(column.dtype, pl.Enum) else int(column.max() or 0) + 1  # type: ignore[arg-type]
    return numbers.fill_null(many), many + 1


def _numbered(key: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Where each distinct number stands first, and for each row which of them it is."""
    runs = key.rle_id()
    begins = (runs != runs.shift(1)).fill_null(True)
    few = key.filter(begins).alias("key")
    firsts = few.arg_unique()
    table = few.gather(firsts).to_frame().with_row_index("at")
    at = few.to_frame().join(table, on="key", how="left", maintain_order="left")["at"]
    return begins.arg_true().gather(firsts), at.gather(runs)


def coded_frame(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """`frame` with the texts of each column of `names` (none: of every column) as codes."""
    named = names or [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(coded(frame[name]) for name in named)


def decoded(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with texts where it has codes: as frames that have different codes must be compared."""
    return frame.with_columns(cs.enum().cast(pl.String))


def recoded(frame: pl.DataFrame, shared: pl.Categorical) -> pl.DataFrame:
    """`frame` with codes that all frames share where it has its own: to be put after another."""
    return frame.with_columns(
        texts_of(column).cast(shared).gather(column.to_physical()).alias(column.name)
        for column in frame.select(cs.enum())
    )
