"""SAS transport files (XPT, version 5 or 8): one dataset, read by pyreadstat.

The file is made of cards of 80 bytes, its end filled with blanks. Version 8 counts its records, version 5 does
not. A file whose length is no multiple of 80, whose last record is not whole, or that has fewer records than it
says was cut off, and is refused as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyreadstat

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.dataset import RECORDS, frame_of, look, table
from tasks.readers.table import Glance, IsAnalyte
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
_CARD = 80
_DAMAGED = "the transport file is cut off or damaged"
#: SAS writes in the code page of its session
_ENCODINGS = ("utf-8", "windows-1252")
#: no dataset that is submitted has so many columns; each costs memory
_MOST_COLUMNS = 10_000


def _safely(path: Path, **options: Any) -> tuple[dict[str, Any], Any]:
    """Call the parser; whatever it raises becomes a reason, because its messages may quote the text."""
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


def _guard(path: Path) -> None:
    """Refuse what is no single whole dataset before the parser sees it. Raises Unreadable."""
    size = path.stat().st_size
    members = width = told = start = 0
    described = 140  # bytes that describe a column
    with open(path, "rb") as file:
        while card := file.read(_CARD):
            if not card.startswith(b"HEADER RECORD*******"):
                continue
            if card.startswith(_MEMBER):
                members += 1
                described = _digits(card[74:78])
            elif card[20:27] in (b"NAMESTR", b"NAMSTV8"):
                columns = _digits(card[54:58])
                if described not in (136, 140) or columns > _MOST_COLUMNS:
                    raise Unreadable(_DAMAGED)
                names = file.read(columns * described)
                width = sum(
                    int.from_bytes(names[i + 4 : i + 6], "big") for i in range(0, len(names), described)
                )
                file.seek(-len(names) % _CARD, 1)
            elif card.startswith(_OBS) and not start:
                start, told = (
                    file.tell(),
                    _digits(card[48:].split(maxsplit=1)[0] if card[48:].split() else b""),
                )
    if members > 1:
        raise Unreadable("the transport file holds several datasets: send each in a file of its own")
    if size % _CARD or members != 1 or not start or not width:
        raise Unreadable(_DAMAGED)
    records, rest = divmod(size - start, width)
    if rest:  # what follows the last record is blank, or it is half a record
        with open(path, "rb") as file:
            file.seek(-min(rest, size), 2)
            if file.read().strip(b" "):
                raise Unreadable(_DAMAGED)
    if records < told:  # version 8 says how many there are
        raise Unreadable(_DAMAGED)


def _digits(text: bytes) -> int:
    """The number that a card spells; 0 where there is none."""
    return int(text) if text.strip().isdigit() else 0


def glance(path: Path) -> Glance | None:
    """The columns of a transport file; None for any other file. Raises Unreadable where it is damaged."""
    if not read_head(path).startswith(_LIBRARY):
        return None
    _guard(path)
    return look("", _columns(path)[0])


def _columns(path: Path) -> tuple[list[str], str]:
    """The names of the columns, and the encoding in which they can be read."""
    for encoding in _ENCODINGS[:-1]:
        try:
            return list(_safely(path, metadataonly=True, encoding=encoding)[1].column_names), encoding
        except Unreadable:
            continue
    return list(_safely(path, metadataonly=True, encoding=_ENCODINGS[-1])[1].column_names), _ENCODINGS[-1]


def _text(value: Any) -> str:
    """A cell as text: a number in its shortest form (IBM floats have noise in the 16th digit)."""
    if value is None or isinstance(value, str):
        return value or ""
    number = float(value)
    return "" if math.isnan(number) else f"{number:.15g}"


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of the dataset. Raises Unreadable (while `batches` is used up too) where the file is damaged,
    holds several datasets, or not the columns of the layout."""
    if not read_head(path).startswith(_LIBRARY):
        raise Unreadable("not a transport file")
    _guard(path)
    names, encoding = _columns(path)
    encoding = layout.encoding or _fitting(path, encoding)
    reading = Reading(iter(()), notes=[f"encoding {encoding}"])
    return table(names, _frames(path, encoding, len(names)), layout, is_analyte, reading)


def _fitting(path: Path, first: str) -> str:
    """The first encoding in which all the data can be read."""
    for encoding in _ENCODINGS[_ENCODINGS.index(first) :]:
        try:
            for _ in _chunks(path, encoding):
                pass
            return encoding
        except Unreadable:
            continue
    return _ENCODINGS[-1]


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


def _frames(path: Path, encoding: str, width: int) -> Iterator[pl.DataFrame]:
    done = 0
    none = pl.lit(None, pl.String)
    for columns in _chunks(path, encoding):
        texts = [[_text(value) for value in values] for values in columns.values()]
        frame = frame_of(list(zip(*texts, strict=True)), width)
        row = pl.int_range(done + 1, done + frame.height + 1, dtype=pl.Int64, eager=True).alias("row")
        yield frame.with_columns(row, raw=none, defect=none)
        done += frame.height
