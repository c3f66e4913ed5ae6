"""Waters TargetLynx, `Quantify Compound Summary Report` as text: one table for each compound.

Every line is a result or skipped under a name. The report prints no unit and no specimen: those the lab's
layout adds, as `constants`. `replicate` is the name of the injection, because a sample that was injected
twice stands twice under the same Sample Text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from schemas.export import ROWS_SCHEMA, Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.rows import WRONG_LENGTH
from tasks.readers.table import Columns, Glance, IsAnalyte, match
from tasks.readers.text import guess, head_text, is_binary, open_lines, prove, read_head

_TITLE = re.compile(r"^Quantify .*Report")
_COMPOUND = re.compile(r"^Compound\s+\d+:\s*(?P<name>.*?)\s*$")
_PRINTED = re.compile(r"^Printed\s+(?P<time>.*?)\s*$")
_BATCH = 50_000
OUTSIDE = "outside a compound's table"
#: the columns that every row of a table takes from elsewhere
_REPORT = ("analyte", "reported_at")


def glance(path: Path) -> Glance | None:
    """The head of a compound report; None for any other file."""
    head = read_head(path)
    if is_binary(head) or guess(head).startswith("utf-32"):
        return None
    text = head_text(head)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not (_TITLE.match(first) or _COMPOUND.match(first)):
        return None
    if not re.search(r"^Compound\s+\d+:", text, re.MULTILINE):
        return None
    return Glance(text, lambda layout: [], signature=True)


def _columns(names: list[str], layout: Layout) -> Columns:
    """Our column -> fields of a compound's table. Raises Unreadable where a header we read stands twice."""
    known = match(names, layout)
    if known.twice:
        raise Unreadable(f"duplicate header for {', '.join(known.twice)}")
    # without a Sample Text the injection is all that names the sample
    if "sample" not in known.columns and "replicate" in known.columns:
        return known.columns | {"sample": known.columns["replicate"]}
    return known.columns


class _Report:
    """The state while the lines of a report go by, and the rows found so far."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.layout, self.reading = layout, reading
        self.printed = layout.constants.get("reported_at")
        self.compound: str | None = None
        self.names: list[str] | None = None
        self.columns: Columns = {}
        self.seen: dict[str, None] = {}  # all headers, in order
        self.used: set[str] = set()
        self.rows: list[dict[str, object]] = []

    def take(self, number: int, line: str) -> None:
        """One line, without its end: a row, or counted as skipped."""
        if not line.strip():
            self.reading.skip("blank line")
        elif "\t" in line and self.names is not None:
            self._record(number, line)
        elif "\t" in line and self.compound is not None:
            self._header(line)
        elif found := _COMPOUND.match(line):
            self.compound, self.names = found["name"], None
            self.reading.skip("compound title")
        elif found := _PRINTED.match(line):
            self.printed = found["time"]
            self.reading.skip("printed line")
        elif _TITLE.match(line):
            self.compound = self.names = None
            self.reading.skip("report title")
        else:
            defect = OUTSIDE if self.names is None else WRONG_LENGTH
            self.rows.append(self._row(number) | {"raw": line, "defect": defect})

    def _row(self, number: int) -> dict[str, object]:
        return {"row": number, "item": "1", "analyte": self.compound, "reported_at": self.printed}

    def _header(self, line: str) -> None:
        self.names = line.split("\t")
        self.columns = _columns(self.names, self.layout)
        self.reading.skip("column header")
        for ours, at in self.columns.items():
            self.reading.columns_used[ours] = " + ".join(self.names[i] for i in at)
        self.used |= {self.names[i] for at in self.columns.values() for i in at}
        self.seen |= dict.fromkeys(name for name in self.names if name.strip())

    def _record(self, number: int, line: str) -> None:
        assert self.names is not None
        cells = line.split("\t")
        if len(cells) == len(self.names) + 1 and not cells[-1].strip():
            cells.pop()  # some versions end the rows, not the header, with a tab
        row = self._row(number)
        if len(cells) != len(self.names):
            row |= {"raw": line, "defect": WRONG_LENGTH}
        else:
            row |= {k: v for k, v in self.layout.constants.items() if k not in row and k not in self.columns}
            row |= {
                ours: cells[at[0]] if len(at) == 1 else " ".join(cells[i] for i in at).strip()
                for ours, at in self.columns.items()
                if ours not in _REPORT
            }
            for ours in ("unit", "specimen"):
                if not str(row.get(ours) or "").strip() and ours in self.layout.constants:
                    row[ours] = self.layout.constants[ours]
        self.rows.append(row)

    def frame(self) -> pl.DataFrame:
        """The rows found since the last call."""
        rows, self.rows = self.rows, []
        return pl.DataFrame(rows, schema=ROWS_SCHEMA, orient="row")


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of the report. Raises Unreadable (while `batches` is used up) where it holds no compound's
    table, a header that is read stands twice, or the bytes are not in the encoding they claim."""
    text = prove(path, layout.encoding)
    reading = Reading(iter(()), notes=list(text.notes))
    report = _Report(layout, reading)

    def batches() -> Iterator[pl.DataFrame]:
        with open_lines(path, text.encoding) as lines:
            for number, line in enumerate(lines, start=1):
                report.take(number, line.rstrip("\r\n"))
                if len(report.rows) >= _BATCH:
                    yield report.frame()
        if "column header" not in reading.skipped:
            raise Unreadable("no compound's table in the report")
        reading.columns_unused = [name for name in report.seen if name not in report.used]
        if report.rows:
            yield report.frame()

    reading.batches = batches()
    return reading
