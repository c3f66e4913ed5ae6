"""Sciex Analyst, a results table as text: above the table of each analyte stands its name, its internal
standard and its calibration (`Peak Name: ...`, `Internal Standard: ...`, `Fit ...`, `Use Area`).

Tables without such lines, as MultiQuant and SCIEX OS write them, are ordinary delimited text.
"""

from __future__ import annotations

import re
from pathlib import Path

from schemas.export import Reading
from schemas.layout import Layout
from tasks.readers.blocks import Blocks, by_lines
from tasks.readers.columns import IsAnalyte
from tasks.readers.table import Glance
from tasks.readers.text import prove, shown

_PEAK = re.compile(r"^\s*Peak Name:\s*(?P<name>.*?)\s*$")
_IS = re.compile(r"^\s*Use as Internal Standard\b", re.IGNORECASE)
_HEADERS = re.compile(r"^(?:[^\t\r\n]*\t)*Sample Name\t", re.MULTILINE)
OUTSIDE = "outside an analyte's table"


def glance(path: Path) -> Glance | None:
    """The head of such a text; None for any other file."""
    text = shown(path, by_lines=True)
    if text is None or "Peak Name:" not in text:
        return None
    peak = re.search(r"^[ \t]*Peak Name:", text, re.MULTILINE)
    # an ordinary table may have the words in a cell, but not at the beginning of a line above its headers
    if peak is None or "\t" in text[: peak.start()] or not _HEADERS.search(text):
        return None
    return Glance(text, lambda layout: [], signature=True)


class _Report:
    """The state while the lines of a report go by."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.blocks, self.reading = Blocks(layout, reading), reading
        self.told: dict[str, object] = {}

    def take(self, number: int, line: str, cut: bool) -> None:
        """One line, without its end: a row, or counted as skipped."""
        blocks = self.blocks
        if not line.strip():
            self.reading.skip("blank line")
        elif found := _PEAK.match(line):
            self.told, blocks.names = {"analyte": found["name"]}, None
            self.reading.skip("peak name")
        elif _HEADERS.match(line):
            blocks.header(line.split("\t"))
        elif blocks.names is None and self.told:
            if _IS.match(line):
                self.told["role"] = "Internal Standard"
            self.reading.skip("line about a peak")
        elif blocks.names is None:
            # above the first peak: titles; Analyst ends a report with nothing
            self.reading.skip("title line")
        else:
            blocks.record(number, line, blocks.fields(line), self.told, cut)
            # the sample is of some type; what was measured in it is the standard all the same
            blocks.rows[-1] |= {ours: text for ours, text in self.told.items() if ours == "role"}

    def end(self) -> None:
        """Nothing waits for a line that did not come."""


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of all tables. Raises Unreadable (while `batches` is used up) where there is no table or a
    header that is read stands twice."""
    text = prove(path, layout.encoding, layout.whole_last_line)
    reading = Reading(iter(()), notes=list(text.notes))
    report = _Report(layout, reading)
    reading.batches = by_lines(path, text, report, "no table of results")
    return reading
