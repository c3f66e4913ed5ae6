"""Agilent MassHunter Quantitative Analysis, the batch table as delimited text.

Two rows of headers: the upper one names a compound and what of it (`Cortisol Results`, `Cortisol Method`,
`Qualifier (363.2 -> 97.1) Results`), the lower one the columns. One record for each sample, or, where the
upper row begins with `Compound Method`, one for each compound and a group of columns for each sample. Each
group gives one result, which stands in the column that `item` counts. The file names no specimen, and a unit
only where the method's `Units` are in the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas.export import ROWS_SCHEMA, Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import Columns, IsAnalyte, match
from tasks.readers.delimited import DELIMITERS
from tasks.readers.last_record import CUT
from tasks.readers.masshunter_head import WITHIN, Header, find_header
from tasks.readers.records import fault, records
from tasks.readers.table import Glance, is_blank
from tasks.readers.text import HEAD, guess, head_text, is_binary, open_lines, prove, read_head

_ISTD = "(ISTD)"
#: our columns that a compound has of its own
_OF_COMPOUND = ("value", "unit", "rel_sd", "lloq", "uloq", "dilution")
_BATCH = 50_000


def glance(path: Path) -> Glance | None:
    """The head of a MassHunter table; None for any other file."""
    head = read_head(path)
    if is_binary(head) or guess(head).startswith("utf-32"):
        return None
    text = head_text(head)
    if find_header(text, cut=len(head) == HEAD) is None:
        return None
    return Glance(text, lambda layout: [], signature=True)


@dataclass(frozen=True)
class Cell:
    """Where one result stands in every record."""

    name: str  # the compound (transposed: the sample)
    columns: Columns
    unit: str | None  # told by the header of its value


def _cells(head: Header, layout: Layout) -> list[Cell]:
    """The result of each group that has one. Raises Unreadable where its header stands twice."""
    cells = []
    for group in head.groups:
        found = match([head.lower[index] for index in group.columns], layout)
        if twice := [ours for ours in found.twice if ours in _OF_COMPOUND]:
            raise Unreadable(f"duplicate header for {', '.join(twice)} of one compound")
        columns = {
            ours: tuple(group.columns[i] for i in at)
            for ours, at in found.columns.items()
            if ours in _OF_COMPOUND
        }
        if "value" in columns:
            cells.append(Cell(group.name, columns, found.value_unit))
    return cells


def _once(head: Header, layout: Layout) -> Columns:
    """Our column -> the columns of what is told once a record."""
    found = match([head.lower[index] for index in head.once], layout)
    skipped = {"value", "analyte"} if not head.transposed else {"value", "sample", "replicate"}
    if twice := [ours for ours in found.twice if ours not in skipped]:
        raise Unreadable(f"duplicate header for {', '.join(twice)}")
    return {
        ours: tuple(head.once[i] for i in at) for ours, at in found.columns.items() if ours not in skipped
    }


def _account(head: Header, once: Columns, cells: list[Cell], reading: Reading) -> None:
    """What was read of the headers, in `reading`; equal headers of several compounds stand once."""
    for ours, at in once.items():
        reading.columns_used[ours] = " + ".join(head.lower[i] for i in at)
    used = {index for at in once.values() for index in at}
    for cell in cells:
        for ours, at in cell.columns.items():
            used |= set(at)
            header = " + ".join(head.lower[i] for i in at)
            seen = reading.columns_used.get(ours, "")
            if header not in seen.split(" | "):
                reading.columns_used[ours] = f"{seen} | {header}" if seen else header
    told = set(head.once)
    unused = (i for i in range(head.width) if i not in used and head.lower[i])
    names = (
        head.lower[i]
        if i in told
        else ("Qualifier: " if i in head.qualifiers else "Compound: ") + head.lower[i]
        for i in unused
    )
    reading.columns_unused = list(dict.fromkeys(names))


def _joined(record: list[str], at: tuple[int, ...]) -> str:
    return record[at[0]] if len(at) == 1 else " ".join(record[i] for i in at).strip()


def _sample(record: list[str], head: Header, once: Columns, layout: Layout) -> dict[str, object]:
    """What all results of a record share."""
    out: dict[str, object] = {k: v for k, v in layout.constants.items() if k not in once}
    out |= {ours: _joined(record, at) for ours, at in once.items()}
    # the flags of the table stand in columns without a header: `!` marks a sample with an outlier
    flags = [record[i] for i in head.once if not head.lower[i] and record[i].strip()]
    if flags:
        out["comment"] = " ".join([*flags, str(out.get("comment") or "")]).strip()
    return out


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of the table. Raises Unreadable (while `batches` is used up too) where there are no headers,
    no column with a value, or one that is read stands twice."""
    text = prove(path, layout.encoding, layout.whole_last_line)
    with open_lines(path, text.encoding) as lines:
        # two records of headers, whatever their length
        first = "".join(line for line, _ in zip(lines, range(WITHIN + 1), strict=False)).removeprefix(
            "\ufeff"
        )
    head = find_header(first)
    if head is None:
        raise Unreadable("no headers of a MassHunter table")
    cells, once = _cells(head, layout), _once(head, layout)
    if not cells:
        raise Unreadable(f"no compound has a column with a value that layout {layout.name} knows")
    notes = [*text.notes, f"delimiter {DELIMITERS[head.delimiter]}", f"headers in record {head.number}"]
    notes += ["one record for each compound"] if head.transposed else []
    reading = Reading(iter(()), notes=notes)
    _account(head, once, cells, reading)
    at_all = {i for cell in cells for at in cell.columns.values() for i in at}
    at_once = {i for at in once.values() for i in at}
    at_all |= at_once

    def rows_of(number: int, record: list[str], raw: str) -> Iterator[dict[str, object]]:
        if len(record) == head.width + 1 and not record[-1].strip():
            record.pop()  # one delimiter too many
        defect = fault(record, raw + "\n" if text.ended else raw, head.width, head.delimiter, at_all)
        if defect is not None and (defect != CUT or head.width - 1 in at_once):
            yield {"row": number, "item": "record", "raw": raw.rstrip("\r\n"), "defect": defect}
            return
        shared = _sample(record, head, once, layout)
        for cell in cells:
            told = {ours: _joined(record, at) for ours, at in cell.columns.items()}
            if defect == CUT and any(head.width - 1 in at for at in cell.columns.values()):
                item = str(cell.columns["value"][0] + 1)
                what = {"sample" if head.transposed else "analyte": cell.name}
                yield shared | what | {"row": number, "item": item, "raw": told["value"], "defect": CUT}
                continue
            if not told["value"].strip():
                reading.skip("empty cell")
                continue
            if cell.unit is not None or not told.get("unit", "x").strip():
                told["unit"] = cell.unit or layout.constants.get("unit", "")
            row = shared | told | {"row": number, "item": str(cell.columns["value"][0] + 1)}
            row["sample" if head.transposed else "analyte"] = cell.name
            if _ISTD in str(row.get("analyte")):
                row["role"] = "ISTD"
            yield row

    def batches() -> Iterator[pl.DataFrame]:
        rows: list[dict[str, object]] = []
        with open_lines(path, text.encoding) as lines:
            for number, record, raw in records(lines, head.delimiter):
                stripped = [cell.strip().removeprefix("\ufeff") for cell in record]
                if is_blank(record):
                    reading.skip("blank line")
                elif number < head.number:
                    reading.skip("title line")
                elif number <= head.number + 1:
                    reading.skip("header")
                elif stripped in (head.upper, head.lower):
                    reading.skip("repeated header")
                else:
                    rows.extend(rows_of(number, record, raw))
                if len(rows) >= _BATCH:
                    yield _frame(rows)
                    rows = []
        if rows:
            yield _frame(rows)

    reading.batches = batches()
    return reading


def _frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ROWS_SCHEMA, orient="row")
