"""LCModel `.CSV` (brain MRS): a record for each voxel, three columns for each metabolite.

    Row, Col, Glu, Glu %SD, Glu/Cr+PCr, Gln, Gln %SD, Gln/Cr+PCr, ...
      1,   1, 3.27E-02,   55,    0.131, 2.95E-02,   53,    0.118, ...

Names are cut to 13 characters by LCModel, and at most 84 metabolites are written. `row` is the line, `item` the
column. Columns beside the triples (`Row`, `Col`, and what a lab has put in front of them) are for the layout's
[columns] to name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.lcmodel import Rows, reference_of
from tasks.readers.rows import WRONG_LENGTH
from tasks.readers.table import Glance
from tasks.readers.text import open_lines, prove, shown

_SD = re.compile(r"^(?P<name>.+?)\s+%SD$")
#: a file of fewer metabolites may be a table of another kind
_FEWEST = 3
_LONGEST = 200
#: characters of a name
_CUT_TO = 13


@dataclass(frozen=True)
class _Triple:
    """Where the concentration, the %SD and the ratio of one metabolite stand: `at`, `at + 1`, `at + 2`."""

    at: int
    name: str
    reference: str


def _split(line: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _triples(names: list[str]) -> list[_Triple]:
    """The metabolites of a header: `X`, `X %SD`, `X/reference`."""
    out = []
    for at in range(len(names) - 2):
        found = _SD.match(names[at + 1]) if len(names[at + 1]) <= _LONGEST else None
        if found and found["name"] == names[at] and names[at + 2].startswith(f"{names[at]}/"):
            out.append(_Triple(at, names[at], names[at + 2][len(names[at]) + 1 :]))
    return out


def _header(line: str) -> tuple[str, list[str], list[_Triple]] | None:
    """The delimiter, the headers and the metabolites of a line; None where it is no header of LCModel."""
    for delimiter in (",", ";", "\t") if "%SD" in line else ():
        names = _split(line, delimiter)
        triples = _triples(names)
        if len(triples) >= _FEWEST:
            return delimiter, names, triples
    return None


def glance(path: Path) -> Glance | None:
    """The head of an LCModel CSV; None for any other file."""
    text = shown(path)
    if text is None:
        return None
    first = next((line for line in text.splitlines() if line.strip()), "")
    return Glance(text, lambda layout: [], signature=True) if _header(first) else None


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """Two rows for each metabolite of each voxel. Raises Unreadable (while `batches` is used up) where there is
    no header of LCModel, or the bytes are not in the encoding they claim."""
    text = prove(path, layout.encoding)
    reading = Reading(iter(()), notes=list(text.notes))
    rows = Rows(layout, reading)

    def batches() -> Iterator[pl.DataFrame]:
        found = None
        with open_lines(path, text.encoding) as lines:
            for number, whole in enumerate(lines, start=1):
                line = whole.rstrip("\r\n")
                if not line.strip():
                    reading.skip("blank line")
                elif found is None or (again := _header(line)):
                    # several files behind each other: each has its own header
                    found = _header(line) if found is None else again
                    if found is None:
                        raise Unreadable("no header of an LCModel table")
                    reading.skip("column header")
                else:
                    _voxel(number, line, line == whole, found, rows)
                    if rows.full:
                        yield rows.frame()
        rows.finish()
        yield rows.frame()

    reading.batches = batches()
    return reading


def _voxel(
    number: int, line: str, last: bool, header: tuple[str, list[str], list[_Triple]], rows: Rows
) -> None:
    """The record of one voxel; `last`: the file ends with it, without a line end."""
    delimiter, names, triples = header
    cells = _split(line, delimiter)
    if len(cells) == len(names) + 1 and not cells[-1]:
        cells.pop()
    if len(cells) != len(names):
        rows.broken(number, line, WRONG_LENGTH)
        return
    taken = {triple.at + step for triple in triples for step in range(3)}
    known = rows.known({name: cells[i] for i, name in enumerate(names) if i not in taken and name})
    ratios = {triple.name: cells[triple.at + 2] for triple in triples}
    for triple in triples:
        conc, sd, ratio = cells[triple.at : triple.at + 3]
        reference = reference_of(triple.reference, ratios.get(triple.reference[:_CUT_TO]))
        items = (str(triple.at + 1), str(triple.at + 3))
        # LCModel ends every line, so a number that the file ends with may be cut
        cut = last and triple.at + 3 == len(names)
        rows.fit(number, items, triple.name, conc, sd, ratio, reference, known, cut=cut)
