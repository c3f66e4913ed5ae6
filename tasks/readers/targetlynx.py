"""Waters TargetLynx, the summary reports as text: one table for each compound, or one for each sample.

Every line is a result or skipped under a name. The reports print no unit and no specimen: those the lab's
layout adds, as `constants`. `replicate` is the name of the injection, because a sample that was injected
twice stands twice under the same Sample Text.
"""

from __future__ import annotations

import re
from pathlib import Path

from schemas.export import Reading
from schemas.layout import Layout
from tasks.readers.blocks import Blocks, by_lines
from tasks.readers.columns import IsAnalyte
from tasks.readers.rows import WRONG_LENGTH
from tasks.readers.table import Glance
from tasks.readers.text import prove, shown

_TITLE = re.compile(r"^Quantify .*Report")
_COMPOUND = re.compile(r"^Compound\s+\d+:\s*(?P<name>.*?)\s*$")
_SAMPLE = re.compile(r"^Sample Name:\s*(?P<name>.*?)(?:\s+Sample ID:\s*(?P<id>.*?))?\s*$")
_PRINTED = re.compile(r"^Printed\s+(?P<time>.*?)\s*$")
#: the headers of a table, where a compound's name stands alone above them
_HEADERS = re.compile(r"^\t?#\tName\t", re.MULTILINE)
OUTSIDE = "outside a compound's table"


def glance(path: Path) -> Glance | None:
    """The head of a report; None for any other file."""
    text = shown(path, by_lines=True)
    if text is None:
        return None
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not (_TITLE.match(first) or _COMPOUND.match(first)):
        return None
    if not re.search(r"^(Compound\s+\d+:|Sample Name:)", text, re.MULTILINE) and not _HEADERS.search(text):
        return None
    return Glance(text, lambda layout: [], signature=True)


class _Report:
    """The state while the lines of a report go by."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.blocks, self.reading, self.constants = Blocks(layout, reading), reading, layout.constants
        self.told: dict[str, object] = {"reported_at": layout.constants.get("reported_at")}
        self.inside = False  # below the title of a compound or a sample
        self.waiting: tuple[int, str] | None = None  # a line that is a title if headers follow

    def take(self, number: int, line: str, cut: bool) -> None:
        """One line, without its end: a row, or counted as skipped."""
        blocks = self.blocks
        if not line.strip():
            self.reading.skip("blank line")
            return
        if self.waiting and _HEADERS.match(line):
            self._begin({"analyte": self.waiting[1].strip()}, "compound title")
            self.waiting = None
        self.end()
        if "\t" in line and blocks.names is not None and not _HEADERS.match(line):
            blocks.record(number, line, blocks.fields(line), self.told, cut)
        elif "\t" in line and self.inside:
            self._header(line)
        elif found := _COMPOUND.match(line):
            self._begin({"analyte": found["name"]}, "compound title")
        elif found := _SAMPLE.match(line):
            self._begin({"sample": found["name"] or found["id"], "replicate": found["name"]}, "sample title")
        elif found := _PRINTED.match(line):
            self.told["reported_at"] = found["time"]
            self.reading.skip("printed line")
        elif _TITLE.match(line):
            self.inside, blocks.names = False, None
            self.reading.skip("report title")
        elif "\t" not in line:
            self.waiting = (number, line)
        else:
            self._broken(number, line)

    def _begin(self, told: dict[str, object], name: str) -> None:
        self.told = {"reported_at": self.told["reported_at"]} | told
        self.inside, self.blocks.names = True, None
        self.reading.skip(name)

    def _header(self, line: str) -> None:
        blocks = self.blocks
        blocks.header(line.split("\t"))
        if "analyte" in self.told:
            # the title says the compound; a `Name` is the one of the injection
            blocks.drop("analyte")
            # without a Sample Text the injection is all that names the sample
            if "sample" not in blocks.columns and "replicate" in blocks.columns:
                blocks.columns["sample"] = blocks.columns["replicate"]
                used = self.reading.columns_used
                used["sample"] = used["replicate"]
        else:
            # the title says the injection; the `Name` of a row is the compound's
            blocks.drop("replicate")
        # the report is printed once, whatever a table says
        blocks.drop("reported_at")

    def _broken(self, number: int, line: str) -> None:
        defect = OUTSIDE if self.blocks.names is None else WRONG_LENGTH
        self.blocks.broken(number, line, defect, self.told)

    def end(self) -> None:
        """A line that waited for headers which did not come is no title."""
        if self.waiting:
            self._broken(*self.waiting)
            self.waiting = None


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """The rows of the report. Raises Unreadable (while `batches` is used up) where it holds no table, a header
    that is read stands twice, or the bytes are not in the encoding they claim."""
    text = prove(path, layout.encoding, layout.whole_last_line)
    reading = Reading(iter(()), notes=list(text.notes))
    report = _Report(layout, reading)
    reading.batches = by_lines(path, text, report, "no compound's table in the report")
    return reading
