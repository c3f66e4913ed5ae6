"""Workbooks (.xlsx, .xlsm, .xls): each sheet is a table of text, cut like a delimited one.

A cell gives the text that the sheet shows of it: numbers as their shortest form, dates as ISO 8601. A date
without a time of day stays a date. `row` and the column in `item` are those of the sheet.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import fastexcel
import polars as pl

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.header_row import HEADER_WITHIN, Head, Sought, find_header
from tasks.readers.rows import cut, fields
from tasks.readers.table import Glance, is_blank, make_plan
from tasks.readers.text import read_head

#: a workbook may inflate to so many bytes, and its sheets may span so many cells (each costs memory, full or
#: empty): some ten times what a lab sends
MAX_BYTES = 1 << 30
MAX_CELLS = 50_000_000
#: no deflate stream inflates more than this
_DEFLATE = 1032
NO_HEADERS = "sheet without known headers"
NOT_CHOSEN = "sheet not in the layout"
ERROR = "#ERROR"
_XLS = b"\xd0\xcf\x11\xe0"
_REF = re.compile(rb'<c r="([A-Z]{1,3})([0-9]{1,7})"')
_MIDNIGHT = r"^(\d{4}-\d\d-\d\d) 00:00:00$"
_CLOCK = r"^1899-12-31 (\d\d:\d\d:\d\d)$"


def _guard(path: Path) -> None:
    """Refuse a workbook that would inflate beyond all measure, before anything opens it.

    Raises Unreadable; a ZIP archive that is no workbook raises KeyError.
    """
    cells = last_row = last_column = total = 0
    try:
        with ZipFile(path) as archive:
            archive.getinfo("xl/workbook.xml")
            members = archive.infolist()
            if any(member.flag_bits & 1 for member in members):
                raise Unreadable("the workbook is encrypted")
            if sum(member.file_size for member in members) > MAX_BYTES:
                raise Unreadable(f"the workbook inflates to more than {MAX_BYTES >> 20} MiB")
            liar = sum(member.compress_size for member in members) * _DEFLATE > MAX_BYTES
            for member in members:
                sheet = member.filename.startswith("xl/worksheets/")
                if not (sheet or liar):
                    continue
                member.file_size = (
                    MAX_BYTES + 1
                )  # what the directory claims may be a lie: read to the true end
                with archive.open(member) as stream:
                    tail = b""
                    while chunk := stream.read(1 << 20):
                        total += len(chunk)
                        if total > MAX_BYTES:
                            raise Unreadable(f"the workbook inflates to more than {MAX_BYTES >> 20} MiB")
                        for column, row in _REF.findall(tail + chunk) if sheet else ():
                            cells += 1
                            last_row = max(last_row, int(row))
                            last_column = max(last_column, _column_number(column))
                        tail = chunk[-32:]
            if last_row * last_column > max(MAX_CELLS, 100 * cells):
                raise Unreadable("the sheets span far more cells than they fill")
    except (BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError):
        raise Unreadable("the workbook is damaged") from None


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _open(path: Path) -> fastexcel.ExcelReader | None:
    """The workbook; None where the file is something else. Raises Unreadable where it is one that cannot be
    opened."""
    head = read_head(path)
    if head.startswith(_XLS):
        if "EncryptedPackage".encode("utf-16-le") in path.read_bytes():
            raise Unreadable("the workbook is encrypted")
    elif head.startswith(b"PK\x03\x04"):
        try:
            _guard(path)
        except KeyError:
            return None
    else:
        return None
    return _safely(fastexcel.read_excel, path.read_bytes())


def _safely(call: Any, *args: Any, **options: Any) -> Any:
    """Call into the parser. Its errors, and its panics, which are no `Exception`, become a reason."""
    try:
        return call(*args, **options)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:
        pass
    raise Unreadable("the workbook is encrypted or damaged")


def _sheet(book: fastexcel.ExcelReader, name: str, rows: int | None = None) -> tuple[pl.DataFrame, int]:
    """A sheet as text fields f0, f1, ... from its first row on, and the 0-based column where they begin."""
    # the sheet's own first rows count even where they are empty, else `row` would not be the sheet's
    sheet = _safely(book.load_sheet, name, header_row=None, skip_rows=0, n_rows=rows, dtypes="string")
    if not sheet.width or not sheet.height:
        return pl.DataFrame(), 0
    batch, errors = _safely(sheet.to_arrow_with_errors)
    start = sheet.available_columns()[0].absolute_index
    frame = pl.DataFrame(pl.from_arrow(batch)).rename(
        dict(zip(batch.schema.names, fields(batch.num_columns), strict=True))
    )
    text = pl.all().cast(pl.String).fill_null("")
    frame = frame.select(text.str.replace(_MIDNIGHT, "$1").str.replace(_CLOCK, "$1"))
    for error in errors.errors if errors else ():  # a formula's error is no empty cell
        row, column = error.offset_position
        frame[row, column] = ERROR
    return frame, start


def _head(frame: pl.DataFrame, name: str) -> Head:
    return Head(name, [list(record) for record in frame.head(2 * HEADER_WITHIN).iter_rows()])


def _wanted(book: fastexcel.ExcelReader, layout: Layout) -> list[str]:
    return [name for name in book.sheet_names if not layout.sheets or name in layout.sheets]


def _for_sheet(layout: Layout, name: str) -> Layout:
    """The layout as it reads one sheet: where it says so, the name of the sheet is one of our columns."""
    if layout.sheet is None:
        return layout
    return layout.model_copy(update={"constants": layout.constants | {layout.sheet: name}})


def glance(path: Path) -> Glance | None:
    """The first rows of each sheet; None where the file is no workbook. Raises Unreadable for a workbook
    that cannot be opened."""
    book = _open(path)
    if book is None:
        return None
    heads = {name: _head(_sheet(book, name, 2 * HEADER_WITHIN)[0], name) for name in book.sheet_names}
    text = "\n".join("\t".join(record) for head in heads.values() for record in head.records)
    return Glance(text, lambda layout: [heads[name] for name in _wanted(book, layout)], signature=True)


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of all sheets that hold the headers of the layout, sheet after sheet.

    Raises Unreadable where the workbook cannot be opened, is a bomb, holds no such sheet, or (while
    `batches` is used up too) a header that is read stands twice.
    """
    book = _open(path)
    if book is None:
        raise Unreadable("not a workbook")
    reading = Reading(iter(()))
    plans = {}
    sought = Sought.of(layout)
    layouts = {name: _for_sheet(layout, name) for name in book.sheet_names}
    unused: dict[str, None] = {}
    for name in _wanted(book, layout):
        head = _head(_sheet(book, name, 2 * HEADER_WITHIN)[0], name)
        header = find_header(head, layout, sought, is_analyte)
        if header is not None:
            plan = plans[name] = make_plan(head, header, layouts[name], is_analyte)
            reading.columns_used |= plan.used
            unused |= dict.fromkeys(plan.unused)
            unit = ", unit from the header of the value" if plan.value_unit is not None else ""
            reading.notes.append(f"sheet {len(plans)}: headers in row {header}{unit}")
    if not plans:
        raise Unreadable(f"no sheet with headers that layout {layout.name} knows")
    reading.columns_unused = list(unused)

    def batches() -> Iterator[pl.DataFrame]:
        for name in book.sheet_names:
            frame, start = _sheet(book, name)
            if name not in plans:
                filled = sum(not is_blank(record) for record in frame.iter_rows())
                reading.skip(NO_HEADERS if name in _wanted(book, layout) else NOT_CHOSEN, filled)
                continue
            plan = plans[name]
            width = len(plan.names)  # may lack an unnamed last column, or have one more
            none = pl.lit(None, pl.String)
            columns = [pl.col(f) if f in frame.columns else pl.lit("").alias(f) for f in fields(width)]
            row = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True).alias("row")
            frame = frame.select(columns).with_columns(row, raw=none, defect=none)
            yield from cut(frame, plan, layouts[name], reading, prefix=f"{name}!", start=start)

    reading.batches = batches()
    return reading
