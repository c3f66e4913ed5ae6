"""LCModel `.TABLE` and `.COORD` (brain MRS): the concentration table of one voxel, or of several behind each other.

     LCModel (Version 6.3-1B)
     SVS_97                                       the title, one line or two
     Data of: ...
     28-May-2015  14:21

    $$CONC 38 lines in following concentration table = NCONC+1
        Conc.  %SD /Cr+PCr  Metabolite
     2.88E-02  88%   0.115 2HG

The layout's [columns] may name `Title`, `Owner`, `Version` and `Analysed` (the time of the analysis, not of
the scan): a lab whose titles are its scan numbers says `sample = ["Title"]`. Every other line is skipped by the
name of its block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from schemas.export import Reading, Unreadable
from schemas.layout import Layout
from tasks.readers.columns import IsAnalyte
from tasks.readers.lcmodel import CUT, Rows, number, reference_of
from tasks.readers.table import Glance
from tasks.readers.text import open_lines, prove, shown

_VERSION = re.compile(r"^\s*LCModel\s+\(Version\s+(?P<version>[^)]*)\)", re.IGNORECASE)
_BLOCK = re.compile(
    r"^\s*(?:\$\$[A-Z]{4}\s*)?(?P<count>\d+)\s+lines? in following (?P<what>[a-z. ]+?)\s*(?:[:=].*)?$"
)
_CONC = "concentration table"
_INPUT = "table of input changes"
#: blocks whose lines are counted by name
_OTHERS = ("misc. output table", "diagnostic table", _INPUT, "spectrum")
_HEADER = re.compile(r"^\s*Conc\.\s+%SD\s*/\s*(?P<reference>\S+)\s+Metab(?:\.|olite)\s*$")
_NUMBER = r"(?:\d*\.?\d+(?:[ED][+-]?\d+)?|\d+\.|NaN|Inf(?:inity)?|\*+)"
#: the character before the name is LCModel's mark, never part of the name: ` -CrCH2` is -CrCH2
_FIT = re.compile(
    rf"^\s*(?P<conc>-?{_NUMBER})\s+(?P<sd>\d+|\*+)%\s*(?P<ratio>-?{_NUMBER})(?P<mark>[ +-])\s*(?P<name>\S.*)$"
)
_CONREL = re.compile(r"\bCONREL\s*=\s*(?P<number>[0-9.EDed+-]+)")
_TIME = re.compile(r"^\d{1,2}-[A-Za-z]{3}-\d{4}\s+\d{1,2}:\d{2}")
_MARKS = {"+": "ratio far above its prior", "-": "ratio far below its prior"}
_SPECTRUM = re.compile(r"^\s*\d+ points on ppm-axis")
#: no line of LCModel is longer than its title; the expressions are not tried on longer ones
_LONGEST = 500
NOT_A_FIT = "a line of the table that is no fit"


@dataclass
class _Voxel:
    """What stands around one concentration table."""

    facts: dict[str, str] = field(default_factory=dict)
    own: str | None = None  # the ratio that the reference prints of itself
    conrel: bool = False  # the settings scale the ratios
    left: int = 0  # lines that the table should have had besides


def _match(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    return pattern.search(line.rstrip()) if len(line) <= _LONGEST else None


def glance(path: Path) -> Glance | None:
    """The head of an LCModel table; None for any other file."""
    text = shown(path)
    if text is None or _CONC not in text:
        return None
    lines = text.splitlines()
    starts = any(
        (found := _match(_BLOCK, line)) and found["what"] == _CONC and _match(_HEADER, following)
        for line, following in zip(lines, [*lines[1:], ""], strict=False)
    )
    return Glance(text, lambda layout: [], signature=True) if starts else None


def _about(lines: list[str]) -> dict[str, str]:
    """What the lines above a table say: version, title, owner, time of the analysis."""
    facts: dict[str, str] = {}
    title: list[str] = []
    for line in map(str.strip, lines):
        if found := _match(_VERSION, line):
            facts["Version"] = found["version"]
            title.clear()
        elif line.startswith("Data of:"):
            facts["Owner"] = line.removeprefix("Data of:").strip()
        elif _match(_TIME, line):
            facts["Analysed"] = line
        elif line:
            title.append(line)
    return facts | ({"Title": " ".join(title)} if title else {})


def _is_reference(name: str, header: str) -> bool:
    """Whether a metabolite is the one of the header, which cuts its name to six characters."""
    return name == header or (len(header) == 6 and name.startswith(header))


def _survey(lines: Iterable[str]) -> list[_Voxel]:
    """The tables of a file: what stands above each, and whether its ratios are scaled. The settings of a run
    stand below its table, so this is read first."""
    voxels: list[_Voxel] = []
    above: list[str] = []
    block = reference = ""
    for line in lines:
        if found := _match(_BLOCK, line):
            block = found["what"]
            if block == _CONC:
                voxels.append(_Voxel(_about(above)))
            above = []
        elif _match(_VERSION, line):
            block, above = "", [line]
        elif block == "":
            above = [*above[-19:], line[:_LONGEST]]  # a title has few lines
        elif block == _CONC and (found := _match(_HEADER, line)):
            reference = found["reference"]
        elif block == _CONC and (found := _match(_FIT, line)) and _is_reference(found["name"], reference):
            voxels[-1].own = voxels[-1].own or found["ratio"]
        elif block == _INPUT and voxels and (found := _match(_CONREL, line)):
            voxels[-1].conrel |= number(found["number"]) not in (None, 1.0)
        if block == _CONC and not line.strip():
            block = ""
    return voxels


def read(path: Path, layout: Layout, is_analyte: IsAnalyte) -> Reading:
    """Two rows for each line of the concentration tables. Raises Unreadable (while `batches` is used up) where
    there is none, or the bytes are not in the encoding they claim."""
    text = prove(path, layout.encoding)
    reading = Reading(iter(()), notes=list(text.notes))
    rows = Rows(layout, reading)

    def batches() -> Iterator[pl.DataFrame]:
        with open_lines(path, text.encoding) as lines:
            voxels = _survey(lines)
        if not voxels:
            raise Unreadable("no concentration table of LCModel in the file")
        with open_lines(path, text.encoding) as lines:
            for _ in _walk(lines, voxels, rows):
                if rows.full:
                    yield rows.frame()
        short = sum(voxel.left > 0 for voxel in voxels)
        if short:  # LCModel counts lines that it was told not to print, so this alone is no fault
            reading.notes.append(f"tables with fewer lines than they announce: {short}")
        doubtful = sum(reference_of("", voxel.own, voxel.conrel) != "" for voxel in voxels)
        if doubtful:
            reading.notes.append(
                f"tables whose ratios are scaled (CONREL), or lack the reference: {doubtful}"
            )
        rows.finish()
        yield rows.frame()

    reading.batches = batches()
    return reading


def _walk(lines: Iterable[str], voxels: list[_Voxel], rows: Rows) -> Iterator[None]:
    """Take line after line into `rows`; yields after each, so that frames stay small."""
    block, reference, at = "heading", "", -1
    known: dict[str, object] = {}
    for at_line, whole in enumerate(lines, start=1):
        line = whole.rstrip("\r\n")
        if block == _CONC and line == whole and line.strip():
            # the file ends without a line end: the name may be cut, and `NAA` is not `NAA+NAAG`
            rows.broken(at_line, line, CUT)
        elif found := _match(_BLOCK, line):
            block = found["what"]
            if block == _CONC:
                at += 1
                voxels[at].left = int(found["count"])
                known = rows.known(voxels[at].facts)
            rows.reading.skip("block title")
        elif not line.strip():
            if block == _CONC:
                block = "heading"
            rows.reading.skip("blank line")
        elif _match(_SPECTRUM, line):
            block = "spectrum"
            rows.reading.skip("block title")
        elif _match(_VERSION, line):
            block = "heading"
            rows.reading.skip("heading line")
        elif block == _CONC and (found := _match(_HEADER, line)):
            reference = found["reference"]
            voxels[at].left -= 1
            rows.reading.skip("column header")
        elif block == _CONC:
            voxels[at].left -= 1
            _fit(at_line, line, reference_of(reference, voxels[at].own, voxels[at].conrel), known, rows)
        else:
            name = f"line of the {block}" if block in _OTHERS else "line of another block"
            rows.reading.skip("heading line" if block == "heading" else name)
        yield


def _fit(row: int, line: str, reference: str, known: dict[str, object], rows: Rows) -> None:
    found = _match(_FIT, line)
    if found is None:
        rows.broken(row, line, NOT_A_FIT)
        return
    comment = _MARKS.get(found["mark"])
    rows.fit(
        row, ("1", "2"), found["name"], found["conc"], found["sd"], found["ratio"], reference, known, comment
    )
