"""Shimadzu LabSolutions, LCsolution and GCMSsolution, results as ASCII text.

Sections whose titles stand in brackets, the fields of a line parted by tabs, commas or semicolons: what the
data file and the sample are (`[Header]`, `[Sample Information]`), and tables, of which those with the results
of the compounds are read (`[MS Quantitative Results]`, `[Compound Results(Ch1)]`). A file may hold many data
files one after another, each beginning with its header. The quantitative table of many samples for one
compound has its `ID#` and `Name` above it and ends with rows such as Average and %RSD.
"""

from __future__ import annotations

import re
from pathlib import Path

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.blocks import Blocks, by_lines
from tasks.readers.columns import IsAnalyte
from tasks.readers.headers import key
from tasks.readers.table import Glance
from tasks.readers.text import head_text, prove, read_head, shown

_SECTION = re.compile(r"^\[(?P<title>[^\[\]]{1,100})\][\s,;]*$")
_RESULTS = re.compile(r"^(?:MS )?Quantitative Results?\b|^Compound Results?\b", re.IGNORECASE)
_CHANNEL = re.compile(r"\((?P<channel>[^()]+)\)\s*$")
#: sections of lines `name<tab>value` about the data file and its sample
_ABOUT = re.compile(r"^(Header|File Information|Sample Information)$", re.IGNORECASE)
_FIRST = re.compile(
    r"^(?:Application Name|Version|Data File Name|Sample Name|Acquired)(?P<delimiter>[\t,;])", re.MULTILINE
)
#: the table of one compound in many data files
_BROWSER = re.compile(r"^ID#(?P<delimiter>[\t,;]):?\s*\d+\s*$", re.MULTILINE)
#: what stands in the first filled cell of the rows below such a table
_SUMMARIES = {
    key(text)
    for text in ("Average", "Mean", "%RSD", "RSD", "RSD%", "Maximum", "Minimum", "Standard Deviation", "Std. Dev.", "SD",
                 "Median", "Total", "Sum", "Range")
}  # fmt: skip
_ISTD = {"istd", "is", "internalstandard", "intstd"}
#: columns whose text says that a compound was not found, while its concentration is left empty
_FOUND_AT = {"rettime", "rtime", "rt", "retentiontime"}


def _delimiter(text: str) -> str | None:
    found = _FIRST.search(text) or _BROWSER.search(text)
    return found["delimiter"] if found else None


def glance(path: Path) -> Glance | None:
    """The head of such a text; None for any other file."""
    text = shown(path, by_lines=True)
    if text is None:
        return None
    first = next((line for line in text.splitlines() if line.strip()), "")
    section = _SECTION.match(first)
    if section and (_ABOUT.match(section["title"]) or _RESULTS.match(section["title"])) and _delimiter(text):
        return Glance(text, lambda layout: [], signature=True)
    if _BROWSER.match(first) and re.search(r"^#?[\t,;]?.*\bData File ?[Nn]ame\b", text, re.MULTILINE):
        return Glance(text, lambda layout: [], signature=True)
    return None


def _header_key(name: str) -> str:
    """A header as it is compared: `Conc. %` is another column than `Conc.`."""
    return name.replace("%", " percent ")


class _Report:
    """The state while the lines of a file go by."""

    def __init__(self, layout: Layout, reading: Reading, delimiter: str) -> None:
        self.blocks, self.reading = Blocks(layout, reading), reading
        self.layout, self.delimiter = layout, delimiter
        self.about: dict[str, str] = {}  # what is said of the data file and its sample
        self.compound: dict[str, object] = {}  # what stands above the table of one compound
        self.title: str | None = None
        self.promised: int | None = None  # compounds that the section says it lists
        self.found = 0
        self._outside: dict[str, object] | None = None  # what stands outside the table, once it is known

    def take(self, number: int, line: str, cut: bool) -> None:
        """One line, without its end: a row, or counted as skipped."""
        if self.title is None or not _RESULTS.match(self.title):
            self._outside = None
        if not line.strip(self.delimiter + " "):
            self.reading.skip("blank line")
            self.end()
        elif found := _SECTION.match(line):
            self._section(found["title"])
        elif self.title is None or _RESULTS.match(self.title):
            self._result(number, line, cut)
        elif _ABOUT.match(self.title):
            name, _, value = line.partition(self.delimiter)
            self.about[name.strip()] = value.strip(self.delimiter + " ")
            self.reading.skip("line about the data file")
        else:
            self.reading.skip("line of another section")

    def end(self) -> None:
        """A table has gone by: whether it holds as many compounds as it says."""
        if self.promised is not None and self.found and self.found != self.promised:
            self.reading.notes.append(f"a section says {self.promised} compounds and lists {self.found}")
        self.blocks.names, self.promised, self.found = None, None, 0

    def _section(self, title: str) -> None:
        self.end()
        self.title, self.compound, self._outside, self.promised = title.strip(), {}, None, None
        if self.title.casefold() == "header":
            self.about = {}
        self.reading.skip("section title")

    def _result(self, number: int, line: str, cut: bool) -> None:
        blocks = self.blocks
        cells = [cell.strip() for cell in line.split(self.delimiter)]
        first = next((cell for cell in cells if cell), "")
        filled = sum(bool(cell) for cell in cells)
        if filled <= 2 and first in ("# of IDs", "# of Compounds"):
            said = cells[-1] or next(cell for cell in reversed(cells) if cell)
            self.promised, self.found = int(said) if said.isdecimal() and len(said) < 10 else None, 0
            self.reading.skip("count of compounds")
        elif (
            filled <= 2
            and first in ("ID#", "Name", "Compound", "Title", "Calibration Curve")
            and not self._is_record(cells)
        ):
            if first in ("Name", "Compound"):
                self.compound = {"analyte": next((cell for cell in cells[1:] if cell), "")}
            blocks.names = self._outside = None
            self.reading.skip("line about a compound")
        elif self._is_header(cells):
            blocks.header(cells, [_header_key(cell) for cell in cells])
            if "analyte" in self.compound:
                blocks.drop("analyte")  # it stands above the table
        elif key(first) in _SUMMARIES and (blocks.names is None or not cells[0].isdigit()):
            self.reading.skip("summary row")
        elif blocks.names is None:
            blocks.broken(number, line, "outside a table of results", self._told())
        else:
            self._record(number, line, cut)

    def _is_record(self, cells: list[str]) -> bool:
        return self.blocks.names is not None and len(cells) == len(self.blocks.names)

    def _is_header(self, cells: list[str]) -> bool:
        names = {key(_header_key(cell)) for cell in cells}
        values = {key(alias) for alias in (*self.layout.columns.get("value", ()), *self.layout.response)}
        whose = {"name", "compound", "datafilename", "samplename", "id"}
        return len(cells) >= 3 and bool(whose & names) and bool(values & names)

    def _told(self) -> dict[str, object]:
        """What stands outside the table, as the layout's columns call it."""
        if self._outside is not None:
            return self._outside
        told: dict[str, object] = {}
        known = {key(name): value for name, value in self.about.items() if value}
        for ours, aliases in self.layout.columns.items():
            for alias in aliases:
                parts = [known.get(key(part)) for part in alias.split(" + ")]
                if all(parts) and ours not in ("value", "unit", "analyte"):
                    told[ours] = " ".join(str(part) for part in parts)
                    if ours not in self.blocks.columns:
                        self.reading.columns_used[ours] = alias
                    break
        channel = _CHANNEL.search(self.title or "")
        if channel:
            told["method"] = channel["channel"]
        self._outside = told | self.compound
        return self._outside

    def _record(self, number: int, line: str, cut: bool) -> None:
        blocks = self.blocks
        assert blocks.names is not None
        self.found += 1
        cells = blocks.fields(line, self.delimiter)
        blocks.record(number, line, cells, self._told(), cut)
        row = blocks.rows[-1]
        if cells is None or row.get("defect"):
            return
        named = {key(name): cell.strip() for name, cell in zip(blocks.names, cells, strict=True)}
        if key(named.get("type", "")) in _ISTD:
            row["role"] = named["type"]
        if not str(row.get("value") or "").strip():
            # `Not Identified` or `-----` stands where the retention time would
            said = next((named[name] for name in sorted(_FOUND_AT) if named.get(name)), "")
            if said and not said[:1].isdigit():
                row["value"] = said


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of all tables of results. Raises Unreadable (while `batches` is used up too) where there is
    none, or a header that is read stands twice."""
    text = prove(path, layout.encoding, layout.whole_last_line)
    delimiter = layout.delimiter or _delimiter(head_text(read_head(path), layout.encoding))
    if delimiter is None:
        raise Unreadable("neither a header of a data file nor a compound's table")
    reading = Reading(iter(()), notes=list(text.notes))
    report = _Report(layout, reading, delimiter)
    reading.batches = by_lines(path, text, report, "no section with the results of compounds")
    return reading
