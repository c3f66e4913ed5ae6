"""Tables that are handed to somebody as one file, outside the home."""

from __future__ import annotations

from pathlib import Path

import polars as pl

#: how a text begins that a spreadsheet would run as a formula
_RUN = r"^[=+\-@\t\r]"


def harmless(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with an apostrophe before each text that a spreadsheet would run; numbers stay as they are."""
    texts = pl.col(pl.String)
    return frame.with_columns(
        pl.when(texts.str.contains(_RUN)).then(pl.lit("'") + texts).otherwise(texts).name.keep()
    )


def save(frame: pl.DataFrame, path: Path) -> None:
    """Write a table to a file that ends in `.csv` (harmless to spreadsheets) or `.parquet`."""
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        harmless(frame).write_csv(path)
