"""CDISC Dataset-JSON 1.1, as one object or as NDJSON (a line of metadata, then a line for each record), and 1.0.

    {"datasetJSONVersion": "1.1.0", "records": 2, "name": "LB", "columns": [{"name": "USUBJID", ...}, ...],
     "rows": [["CDISC001", ...], ...]}

NDJSON is read line by line, however large it is. `row` is the number of the record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.dataset import RECORDS, frame_of, look, table
from tasks.readers.json_text import HALF, NOT_JSON, as_text, load, loads
from tasks.readers.rows import WRONG_LENGTH, fields
from tasks.readers.table import Glance
from tasks.readers.text import HEAD, open_lines, prove, shown

_VERSION = re.compile(r'"datasetJSONVersion"\s*:\s*"1\.')
_COLUMNS = re.compile(r'"(?:columns|items)"\s*:\s*(?=\[)')


def glance(path: Path) -> Glance | None:
    """The columns of a dataset; None for any other file."""
    text = shown(path)
    if text is None:
        return None
    if not text.lstrip().startswith("{") or not _VERSION.search(text):
        return None
    found = _COLUMNS.search(text)
    listed: Any = []
    if found:
        try:
            listed, _ = json.JSONDecoder().raw_decode(text, found.end())
        except (ValueError, RecursionError):
            listed = []
    names = [
        column["name"]
        for column in listed
        if isinstance(column, dict) and isinstance(column.get("name"), str)
    ]
    return look(text, names)


def _names(columns: Any) -> list[str]:
    """The names of the columns. Raises Unreadable."""
    if isinstance(columns, list) and columns and all(isinstance(column, dict) for column in columns):
        names = [column.get("name") for column in columns]
        if all(isinstance(name, str) for name in names):
            return names
    raise Unreadable("Dataset-JSON without its columns")


def _inner(data: Any) -> tuple[list[str], Any, Any]:
    """Names, records, and how many there should be, of 1.1 or of 1.0. Raises Unreadable."""
    if isinstance(data, dict) and "columns" in data:
        return _names(data["columns"]), data.get("rows", []), data.get("records")
    for part in ("clinicalData", "referenceData"):
        groups = data.get(part) if isinstance(data, dict) else None
        groups = groups.get("itemGroupData") if isinstance(groups, dict) else None
        if isinstance(groups, dict) and len(groups) == 1:
            (group,) = groups.values()
            if isinstance(group, dict):
                return _names(group.get("items")), group.get("itemData", []), group.get("records")
    raise Unreadable("Dataset-JSON without its columns")


def _is_lines(path: Path, encoding: str) -> bool:
    """Whether the first line is the whole metadata of NDJSON."""
    with open_lines(path, encoding) as lines:
        first = lines.readline(HEAD * 16)
        if not first.endswith(("\n", "\r")) or '"rows"' in first:
            return False
        try:
            return isinstance(loads(first), dict)
        except Unreadable:
            return False


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of the dataset. Raises Unreadable (while `batches` is used up too) where the JSON is not whole,
    or the dataset has not the columns of the layout."""
    encoding = prove(path, layout.encoding)
    reading = Reading(iter(()))
    if _is_lines(path, encoding.encoding):
        reading.notes += encoding.notes
        with open_lines(path, encoding.encoding) as lines:
            names, _, told = _inner(loads(lines.readline()))
        records: Iterable[Any] = _lines(path, encoding.encoding)
    else:
        names, rows, told = _inner(load(path, layout.encoding, reading))
        if not isinstance(rows, list):
            raise Unreadable("Dataset-JSON without its rows")
        records = rows
    return table(names, _frames(records, len(names), told, reading), layout, is_analyte, reading)


class _Broken(str):
    """A line that is no JSON."""


def _lines(path: Path, encoding: str) -> Iterator[Any]:
    """The records of NDJSON; a line that is no JSON is handed on as it stands."""
    with open_lines(path, encoding) as lines:
        for line in islice(lines, 1, None):
            if line.strip():
                try:
                    yield loads(line)
                except Unreadable:
                    yield _Broken(line.rstrip("\r\n"))


def _frames(records: Iterable[Any], width: int, told: Any, reading: Reading) -> Iterator[pl.DataFrame]:
    """Frames for `dataset.table`. A record that is no list of the right length keeps its text."""
    done = 0
    source = iter(records)
    while piece := list(islice(source, RECORDS)):
        whole, broken = [], []
        for number, record in enumerate(piece, start=done + 1):
            if isinstance(record, list) and len(record) == width:
                whole.append((number, [as_text(cell) for cell in record]))
            elif isinstance(record, _Broken):
                broken.append((number, str(record), NOT_JSON))
            else:
                broken.append((number, as_text(record), WRONG_LENGTH))
        done += len(piece)
        yield _frame(whole, broken, width)
    if isinstance(told, str) and told.isdigit() and int(told[:18]) != done:
        reading.notes.append("the dataset says that it has another number of records: it may be cut off")


def _frame(
    whole: list[tuple[int, list[str]]], broken: list[tuple[int, str, str]], width: int
) -> pl.DataFrame:
    none = pl.lit(None, pl.String)
    frame = frame_of([cells for _, cells in whole], width).with_columns(
        pl.Series("row", [number for number, _ in whole], pl.Int64), raw=none, defect=none
    )
    if not broken:
        return frame
    try:
        bad = pl.DataFrame(
            broken, schema={"row": pl.Int64, "raw": pl.String, "defect": pl.String}, orient="row"
        )
        empty = [pl.lit(None, pl.String).alias(name) for name in fields(width)]
        return pl.concat([frame, bad.with_columns(empty)], how="diagonal").sort("row")
    except UnicodeEncodeError:
        pass
    raise Unreadable(HALF)
