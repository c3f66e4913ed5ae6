"""Delimited text: any delimiter, encoding, line end and quoting; long and wide tables.

PyArrow cuts the records, because it alone tells an empty field from a missing one and hands over what has
the wrong number of fields. It streams, and other encodings are transcoded on the way: no copy of the
export is written anywhere.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.header_row import Head, best
from tasks.readers.last_record import marked, without_cut_cell
from tasks.readers.rows import WRONG_LENGTH, behind, cut, fields
from tasks.readers.table import Glance, make_plan
from tasks.readers.text import HEAD, Text, head_text, is_binary, prove, read_head

#: delimiter -> how it is called
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
#: bytes parsed at a time; a record must fit into one block, so a longer one is tried with larger blocks
_BLOCKS = (1 << 24, 1 << 27, 1 << 30)
SWALLOWED = "quoted text runs over several records"
#: how other containers of text begin
_NOT_A_TABLE = ("MSH", "FHS", "BHS", "<", "{", "[", "#METABOLOMICS WORKBENCH", "%PDF", "{\\rtf")


@functools.lru_cache(maxsize=8)
def _heads(head: bytes, whole: bool, encoding: str | None, delimiter: str | None) -> list[Head]:
    """The head cut at each delimiter that a layout allows. The layouts ask for the same cuts one after the other,
    and so does the reading of the export."""
    shown = head_text(head, encoding)
    # where none occurs the table has one column, whatever it is cut at
    delimiters = [delimiter] if delimiter else [d for d in DELIMITERS if d in shown] or [","]
    heads = (_cut_at(delimiter, head, whole, encoding) for delimiter in delimiters)
    return [head for head in heads if head is not None]


@functools.lru_cache(maxsize=2 * len(DELIMITERS))
def _cut_at(delimiter: str, head: bytes, whole: bool, encoding: str | None) -> Head | None:
    """The head cut at a delimiter, None where it cannot be. A record that the end of the head cuts through is
    left out."""
    text = io.StringIO(head_text(head, encoding), newline="")
    try:
        records = list(csv.reader(text, delimiter=delimiter))
    except csv.Error:
        return None
    return Head(delimiter, records if whole else records[:-1])


def glance(path: Path) -> Glance | None:
    """The head of a text file; None where it is binary or begins like another container."""
    head = read_head(path)
    if is_binary(head):
        return None
    text = head_text(head)
    if text.lstrip().startswith(_NOT_A_TABLE):
        return None
    whole = path.stat().st_size <= len(head)
    return Glance(text, lambda layout: _heads(head, whole, layout.encoding, layout.delimiter))


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of the table that the file holds.

    Raises Unreadable (also while `batches` is used up) where there is no header row, a header that is
    read stands twice, the bytes are not in the encoding they claim, or a record is longer than 1 GiB.
    """
    head = read_head(path)
    whole = path.stat().st_size <= HEAD
    found = best(_heads(head, whole, layout.encoding, layout.delimiter), layout, is_analyte)
    if found is None:
        raise Unreadable(f"no header row that layout {layout.name} knows")
    table, header = found
    plan = make_plan(table, header, layout, is_analyte)
    text = prove(path, layout.encoding, layout.whole_last_line)
    delimiter = DELIMITERS.get(table.name, repr(table.name))
    notes = [*text.notes, f"delimiter {delimiter}", f"headers in record {header}"]
    if plan.value_unit is not None:
        notes.append("unit from the header of the value")
    reading = Reading(iter(()), {}, plan.used, plan.unused, notes)

    def batches() -> Iterator[pl.DataFrame]:
        frames = _records(path, text, table.name, len(plan.names))
        for frame, doubtful in marked(frames, text, plan, table.name):
            for rows in cut(frame, plan, layout, reading):
                yield without_cut_cell(rows, doubtful, plan, layout)

    reading.batches = batches()
    return reading


def _records(path: Path, text: Text, delimiter: str, width: int) -> Iterator[pl.DataFrame]:
    """All records of the file, in order, as frames for `rows.cut`."""
    done = 0
    for block in _BLOCKS:
        reason: str | None = None
        try:
            for frame in _parse(path, text, delimiter, width, block):
                # a larger block starts again from the beginning: what has been handed on is passed over
                if frame.height and int(frame["row"][-1]) > done:
                    yield behind(frame, done)
                    done = int(frame["row"][-1])
            return
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                reason = "cannot be parsed as delimited text"
        except UnicodeError:
            reason = f"not valid {text.encoding}"
        if reason is not None:  # outside the handler: the parser's message quotes the text
            raise Unreadable(reason)
    raise Unreadable("a record longer than 1 GiB (a quote that is never closed?)")


def _parse(path: Path, text: Text, delimiter: str, width: int, block: int) -> Iterator[pl.DataFrame]:
    names = fields(width)
    bad: dict[int, str] = {}

    def keep(invalid: pc.InvalidRow) -> str:
        bad[invalid.number] = invalid.text
        return "skip"

    with open(path, "rb") as file:
        source = pa.PythonFile(file, mode="r")
        if text.encoding not in ("utf-8", "utf-8-sig"):
            source = pa.transcoding_input_stream(source, text.encoding, "utf-8")
        try:
            stream = pc.open_csv(
                source,
                # one thread, so that the handler is told the number of the record
                read_options=pc.ReadOptions(use_threads=False, block_size=block, column_names=names),
                parse_options=pc.ParseOptions(
                    delimiter=delimiter,
                    quote_char='"' if text.quotes else False,
                    newlines_in_values=text.quotes,
                    ignore_empty_lines=False,
                    invalid_row_handler=keep,
                ),
                convert_options=pc.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.large_string()),
                    strings_can_be_null=False,
                    check_utf8=False,  # `prove` has decoded every byte
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            raise
        at = 1  # number of the next record
        for batch in stream:
            frame, at = _numbered(pl.DataFrame(pl.from_arrow(batch)), at, bad, delimiter)
            if text.quotes and _several_lines(batch):
                frame = _unswallowed(frame, names, delimiter)
            yield frame
        if bad:
            frame, at = _numbered(pl.DataFrame(schema=dict.fromkeys(names, pl.String)), at, bad, delimiter)
            yield frame


def _numbered(frame: pl.DataFrame, at: int, bad: dict[int, str], delimiter: str) -> tuple[pl.DataFrame, int]:
    """`frame` with the numbers of its records, beginning at `at`, and with the records of a wrong length
    that stand between them and right behind them (these are taken out of `bad`); and the next number."""
    last = at + frame.height - 1
    if not any(number <= last + 1 for number in bad):
        row = pl.int_range(at, last + 1, dtype=pl.Int64, eager=True).alias("row")
        none = pl.lit(None, pl.String)
        return frame.with_columns(row, raw=none, defect=none), last + 1
    numbers: list[int] = []
    taken: dict[int, str] = {}
    while len(numbers) < frame.height or at in bad:
        if at in bad:
            taken[at] = bad.pop(at)
        else:
            numbers.append(at)
        at += 1
    # a line of nothing but delimiters and blanks is a blank line, however many there are
    raw = ["" if not text.replace(delimiter, "").strip() else text for text in taken.values()]
    rest = pl.DataFrame({"row": list(taken), "raw": raw}, schema={"row": pl.Int64, "raw": pl.String})
    rest = rest.with_columns(defect=pl.lit(WRONG_LENGTH))
    frame = frame.with_columns(pl.Series("row", numbers, pl.Int64))
    return pl.concat([frame, rest], how="diagonal").sort("row"), at


def _several_lines(batch: pa.RecordBatch) -> bool:
    """Whether a field may hold a line end; looked for in the bytes of all fields at once."""
    texts = (column.buffers()[2] for column in batch.columns)
    return any(b"\n" in text or b"\r" in text for text in (text.to_pybytes() for text in texts if text))


def _unswallowed(frame: pl.DataFrame, names: list[str], delimiter: str) -> pl.DataFrame:
    """A quote that is never closed makes the parser take the records after it for the text of one field,
    without a word. Such a record gets a defect, with all its text in `raw`."""
    several = frame.filter(pl.any_horizontal(pl.col(names).str.contains_any(["\n", "\r"])))
    swallowed = []
    for row in several.select("row", *names).iter_rows():
        texts = [text for text in row[1:] if text and ("\n" in text or "\r" in text)]
        lines = [line for text in texts for line in text.splitlines()[1:]]
        if any(line.count(delimiter) >= max(1, len(names) - 2) for line in lines):
            swallowed.append((row[0], delimiter.join(text or "" for text in row[1:])))
    if not swallowed:
        return frame
    found = pl.DataFrame(swallowed, schema={"row": pl.Int64, "_raw": pl.String}, orient="row")
    mark = pl.col("_raw").is_not_null()
    return (
        frame.join(found, on="row", how="left", maintain_order="left")
        .with_columns(
            *(pl.when(mark).then(None).otherwise(pl.col(name)).alias(name) for name in names),
            raw=pl.coalesce("_raw", "raw"),
            defect=pl.when(mark).then(pl.lit(SWALLOWED)).otherwise(pl.col("defect")),
        )
        .drop("_raw")
    )
