"""Exports that the tests of detection and of the readers write, and the rows that a reader makes of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from schemas.export import ROWS_SCHEMA
from schemas.layout import Layout
from tasks.readers import read
from tests.formats.golden import is_analyte

LONG = b"Sample ID,Test,Result,Units\nS1,Dopamine,1.5,nmol/L\n"


def write(folder: Path, content: bytes | str, name: str = "export") -> Path:
    """Write an export with this content; where it stands."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows_of(path: Path, layout: Layout) -> pl.DataFrame:
    """All rows of text that the reader of `layout` makes of the file."""
    return pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *read(path, layout, is_analyte).batches])
