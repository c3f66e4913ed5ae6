"""mwTab text (Metabolomics Workbench): sections of keys, and a table of metabolites against samples.

Cut by hand: the `mwtab` package knows no line numbers, gives up a whole file for one wrong line and quotes that
line in its message. A test holds its tables and these rows equal on real files.

    #METABOLOMICS WORKBENCH STUDY_ID:ST000122 ANALYSIS_ID:AN000204
    SUBJECT_SAMPLE_FACTORS <tab> subject <tab> sample <tab> NAME:VALUE | NAME:VALUE <tab> KEY=VALUE; KEY=VALUE
    CO:SAMPLE_TYPE <tab> Blood plasma
    MS_METABOLITE_DATA:UNITS <tab> pg/ml
    MS_METABOLITE_DATA_START / Samples ... / Factors ... / one line for each metabolite / MS_METABOLITE_DATA_END

Each filled cell of a metabolite's line is a result: `row` is the line, `item` the column. The `[columns]` of a
layout name what the file says of a sample: its factors (`Tissue/Fluid`), its additional data, and the keys of
the sections (`CO:SAMPLE_TYPE`, `MS:INSTRUMENT_NAME`, `ANALYSIS_ID`). Subject, sample, analyte, value and unit
stand where the format puts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from schemas.export import Reading
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.mwtab_table import DATA, Analysis, Batch, pairs
from tasks.readers.rows import WRONG_LENGTH
from tasks.readers.table import Glance
from tasks.readers.text import open_lines, prove, shown

_FIRST = "#METABOLOMICS WORKBENCH"
_SECTION = re.compile(
    r"^(?:VERSION[ ]*\t|#(?:PROJECT|STUDY|SUBJECT|ANALYSIS|MS|NMR?)|[A-Z_]+_START)", re.MULTILINE
)
_BINNED = "NMR_BINNED_DATA"
#: tables that hold no results -> the name under which their lines are counted; a name that the file makes up is none
_OTHERS = {_BINNED: "binned spectrum line"} | {
    name: f"{name} line"
    for name in ("METABOLITES", "EXTENDED_MS_METABOLITE_DATA", "EXTENDED_NMR_METABOLITE_DATA")
}
CUT = "the file ends within a table"
OUTSIDE = "outside a section"


def glance(path: Path) -> Glance | None:
    """The head of an mwTab text file; None for any other file."""
    text = shown(path)
    if text is None:
        return None
    if not text.lstrip().startswith(_FIRST) or not _SECTION.search(text):
        return None
    return Glance(text, lambda layout: [], signature=True)


def _cells(line: str) -> list[str]:
    """The fields of a line. Names with commas stand in quotes; the quotes are no part of them."""
    return [
        cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
        for cell in map(str.strip, line.split("\t"))
    ]


class _Text:
    """The state while the lines of a file go by."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.reading = reading
        self.batch = Batch(layout, reading)
        self.analysis = Analysis()
        self.section = ""
        self.block: str | None = None  # the table that is open, without its _START
        self.samples: list[str] | None = None  # of the open table

    def take(self, number: int, line: str, last: bool) -> None:
        """One line, without its end; `last`: the file ends with it, without a line end."""
        if last and self.block is not None:
            # every table ends with a line of its own: a cut number looks like a whole one
            self.batch.broken(number, line, CUT)
        elif not line.strip():
            self.reading.skip("blank line")
        elif line.startswith("#"):
            self._title(line)
        elif "\t" not in line and line.strip().endswith("_START"):
            self._begin(line.strip().removesuffix("_START"))
        elif "\t" not in line and line.strip().endswith("_END"):
            self.block = self.samples = None
            self.reading.skip("table mark")
        elif self.block is not None:
            self._record(number, line)
        else:
            self._key(number, line)

    def _begin(self, name: str) -> None:
        self.block, self.samples = name, None
        self.reading.skip("table mark")

    def _title(self, line: str) -> None:
        self.block = self.samples = None  # a table that was never closed ends here
        self.section = line[1:].split("\t")[0].strip().rstrip(":")
        if line.startswith(_FIRST):
            self.analysis = self.batch.analysis(Analysis())
            for part in line.split():
                key, colon, value = part.partition(":")
                if colon:
                    self.analysis.facts[key] = value
        self.reading.skip("section title")

    def _key(self, number: int, line: str) -> None:
        """A line of a section: a key and its value."""
        cells = line.split("\t")
        key = cells[0].strip()
        if len(cells) < 2:
            self.batch.broken(number, line, OUTSIDE)
        elif key == "SUBJECT_SAMPLE_FACTORS":
            self._subject(number, line, cells)
        elif key.endswith(":UNITS"):
            self.analysis.units[key.removesuffix(":UNITS")] = cells[1].strip()
            self.reading.skip("unit line")
        else:
            self.analysis.say(key, "\t".join(cells[1:]).strip())
            self.reading.skip("description line")

    def _subject(self, number: int, line: str, cells: list[str]) -> None:
        if len(cells) < 4:
            self.batch.broken(number, line, WRONG_LENGTH)
            return
        more = cells[4].strip() if len(cells) > 4 else ""
        texts = [text for text in (cells[3].strip(), more) if text]
        facts = pairs(cells[3], "|", ":") | pairs(more, ";", "=")
        self.analysis.subject(cells[1].strip(), cells[2].strip(), facts, " | ".join(texts))
        self.reading.skip("subject line")

    def _record(self, number: int, line: str) -> None:
        """A line of an open table."""
        assert self.block is not None
        if self.block not in DATA:
            self.reading.skip(_OTHERS.get(self.block, "line of another table"))
            return
        cells = _cells(line)
        if self.samples is None:
            # the header; some programs end the lines with a tab, others only these
            self.samples = cells[1:-1] if len(cells) > 1 and not cells[-1] else cells[1:]
            self.reading.skip("sample names")
            return
        width = len(self.samples) + 1
        if len(cells) == width + 1 and not cells[-1]:
            cells.pop()
        if len(cells) != width:
            self.batch.broken(number, line, WRONG_LENGTH)
        elif cells[0] == "Factors":
            for sample, text in zip(self.samples, cells[1:], strict=True):
                self.analysis.fallback(sample, pairs(text, "|", ":"), text)
            self.reading.skip("factors line")
        else:
            items = [str(column) for column in range(2, width + 1)]
            self.batch.add(number, cells[0], self.block, items, self.samples, cells[1:])


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of all tables of metabolites. Raises Unreadable (while `batches` is used up) where there is
    none, or the bytes are not in the encoding they claim."""
    text = prove(path, layout.encoding)
    reading = Reading(iter(()), notes=list(text.notes))
    state = _Text(layout, reading)

    def batches() -> Iterator[pl.DataFrame]:
        with open_lines(path, text.encoding) as lines:
            for number, line in enumerate(lines, start=1):
                plain = line.rstrip("\r\n")
                state.take(number, plain, last=plain == line)
                if state.batch.full:
                    yield state.batch.frame()
        if state.block is not None:
            reading.notes.append("the last table is not closed: the file may be cut off")
        yield state.batch.last()

    reading.batches = batches()
    return reading
