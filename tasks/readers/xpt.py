"""SAS transport files (XPT, version 5 or 8): one dataset, read by pyreadstat.

The file is made of cards of 80 bytes, its end filled with blanks. Version 8 counts its records, version 5 does
not. A file whose length is no multiple of 80, whose last record is not whole, or that has fewer records than it
says was cut off, and is refused as a whole.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.dataset import RECORDS, look, table
from tasks.readers.rows import fields
from tasks.readers.table import Glance
from tasks.readers.text import read_head

_LIBRARY = (
    b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!",
    b"HEADER RECORD*******LIBV8   HEADER RECORD!!!!!!!",
)
_MEMBER = (
    b"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!",
    b"HEADER RECORD*******MEMBV8  HEADER RECORD!!!!!!!",
)
_OBS = (
    b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!",
    b"HEADER RECORD*******OBSV8   HEADER RECORD!!!!!!!",
)
_NAMES = (
    b"HEADER RECORD*******NAMESTR HEADER RECORD!!!!!!!",
    b"HEADER RECORD*******NAMSTV8 HEADER RECORD!!!!!!!",
)
_CARD = 80
_DAMAGED = "the transport file is cut off or damaged"
#: SAS writes in the code page of its session
_ENCODINGS = ("utf-8", "windows-1252")
#: no dataset that is submitted has so many columns; each costs memory
_MOST_COLUMNS = 10_000
#: bytes before the description of the columns
_LONGEST_HEAD = 8_000


def _safely(path: Path, **options: Any) -> tuple[dict[str, Any], Any]:
    """Call the parser; whatever it raises becomes a reason, because its messages may quote the text."""
    import pyreadstat  # takes a tenth of a second, and nearly all exports are others

    reason = _DAMAGED
    try:
        return pyreadstat.read_xport(path, output_format="dict", disable_datetime_conversion=True, **options)
    except UnicodeDecodeError:
        reason = f"not valid {options.get('encoding')}"
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:
        pass
    raise Unreadable(reason)


@dataclass(frozen=True)
class _Column:
    """Where a column stands in each record, in bytes."""

    at: int
    length: int
    is_text: bool


@dataclass(frozen=True)
class _Head:
    """What stands before the data: the columns, where the data begin, how long a record is, how many there
    should be (0: the file does not say)."""

    columns: list[_Column]
    start: int
    width: int
    told: int


def _described(names: bytes, size: int) -> list[_Column]:
    """The columns, from their descriptions (NAMESTR) of `size` bytes each."""
    parts = (names[i : i + size] for i in range(0, len(names), size))
    return [
        _Column(int.from_bytes(part[84:88], "big"), int.from_bytes(part[4:6], "big"), part[:2] == b"\x00\x02")
        for part in parts
    ]


def _head(path: Path) -> _Head:
    """What stands before the data. Raises Unreadable where it is not whole."""
    described = 140  # bytes that describe a column
    columns: list[_Column] = []
    with open(path, "rb") as file:
        while len(card := file.read(_CARD)) == _CARD:
            if card.startswith(_MEMBER):
                described = _digits(card[74:78])
            elif card.startswith(_NAMES):
                count = _digits(card[54:58])
                if described not in (136, 140) or count > _MOST_COLUMNS:
                    break
                names = file.read(count * described)
                columns = _described(names, described)
                file.seek(-len(names) % _CARD, 1)
            elif card.startswith(_OBS):
                width = sum(column.length for column in columns)
                told = card[48:].split(maxsplit=1)
                if not width:
                    break
                return _Head(columns, file.tell(), width, _digits(told[0]) if told else 0)
            elif not columns and file.tell() > _LONGEST_HEAD:
                break
    raise Unreadable(_DAMAGED)


def _guard(path: Path) -> _Head:
    """What stands before the data of a single whole dataset. Raises Unreadable for anything else, before the
    parser sees it."""
    head = _head(path)
    size = path.stat().st_size
    records, rest = divmod(size - head.start, head.width)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = head.start
        for member in _MEMBER:
            while (at := content.find(member, at)) != -1:
                if at % _CARD == 0:
                    raise Unreadable(
                        "the transport file holds several datasets: send each in a file of its own"
                    )
                at += 1
            at = head.start
        # what follows the last record is blank, or it is half a record; version 8 says how many there are
        half = rest and content[size - rest :].strip(b" ")
    if size % _CARD or half or records < head.told:
        raise Unreadable(_DAMAGED)
    return head


def _digits(text: bytes) -> int:
    """The number that a card spells; 0 where there is none."""
    return int(text) if text.strip().isdigit() else 0


def glance(path: Path) -> Glance | None:
    """The columns of a transport file; None for any other file. Raises Unreadable where its head is damaged."""
    if not read_head(path).startswith(_LIBRARY):
        return None
    _head(path)
    return look("", _names(path))


def _names(path: Path) -> list[str]:
    """The names of the columns."""
    return list(_safely(path, metadataonly=True, encoding=_ENCODINGS[-1])[1].column_names)


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of the dataset. Raises Unreadable (while `batches` is used up too) where the file is damaged,
    holds several datasets, or not the columns of the layout."""
    if not read_head(path).startswith(_LIBRARY):
        raise Unreadable("not a transport file")
    head = _guard(path)
    names = _names(path)
    encoding = layout.encoding or _fitting(path, head)
    reading = Reading(iter(()), notes=[f"encoding {encoding}"])
    return table(names, _frames(path, encoding, len(names)), layout, is_analyte, reading)


def _fitting(path: Path, head: _Head) -> str:
    """The encoding that all characters of the data are in: UTF-8, or the code page of a Windows session.

    Read from the bytes, because the parser would have to read the whole file for it.
    """
    with open(path, "rb") as file:
        file.seek(head.start)
        while piece := file.read(head.width * RECORDS):
            records = len(piece) // head.width
            cells = np.frombuffer(piece, np.uint8, records * head.width).reshape(records, head.width)
            for column in head.columns:
                field = cells[:, column.at : column.at + column.length]
                if column.is_text and field.size and field.max() > 127:
                    try:
                        field.tobytes().decode("utf-8")
                    except UnicodeDecodeError:
                        return _ENCODINGS[-1]
    return _ENCODINGS[0]


def _chunks(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        columns, _ = _safely(path, encoding=encoding, row_offset=offset, row_limit=RECORDS)
        height = len(next(iter(columns.values()), ()))
        if height:
            yield columns
        if height < RECORDS:
            return
        offset += height


def _texts(values: Any) -> list[str]:
    """A column as text: a number in its shortest form (IBM floats have noise in the 16th digit)."""
    if getattr(values, "dtype", None) == np.float64:
        return ["" if math.isnan(number) else f"{number:.15g}" for number in values.tolist()]
    return ["" if value is None else value if isinstance(value, str) else f"{value:.15g}" for value in values]


def _frames(path: Path, encoding: str, width: int) -> Iterator[pl.DataFrame]:
    done = 0
    none = pl.lit(None, pl.String)
    for columns in _chunks(path, encoding):
        texts = dict(zip(fields(width), map(_texts, columns.values()), strict=True))
        frame = pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))
        row = pl.int_range(done + 1, done + frame.height + 1, dtype=pl.Int64, eager=True).alias("row")
        yield frame.with_columns(row, raw=none, defect=none)
        done += frame.height
