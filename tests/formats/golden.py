"""Golden pairs: `<name>/<case>/input.*` and what reading it gives, found by themselves.

A case is a folder with `input.*`, `expected.json` (the layout chosen and what was skipped, or the reason why
the export is not read), `expected.csv` (the rows; a null stands as NULL, and columns that are null throughout
are left out) and, where the built-in layouts do not say enough, `layout.toml`. `source` in `expected.json`
says how a count that the reader did not make is taken; a person writes it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas.export import ROWS_SCHEMA, Unreadable, as_rows
from schemas.layout_files import load_layouts
from tasks.readers import choose, read
from tests.formats import counts

HERE = Path(__file__).parent
#: the analytes of the cases, so that a golden does not move when the catalogue does
ANALYTES = {
    *(
        "dopamine",
        "serotonin",
        "noradrenaline",
        "norepinephrine",
        "5-hiaa",
        "gaba",
        "glutamate",
        "tryptophan",
        "kynurenine",
    ),
    *("cortisol", "cortisone", "corticosterone", "aldosterone", "creatinine"),
}
#: skips that are records of the source; the others are cells
RECORDS = {"header", "title line", "blank line", "unit row", "repeated header", "sheet without known headers"}


def is_analyte(text: str) -> bool:
    """Stands in for the catalogue."""
    return text.strip().casefold() in ANALYTES


@dataclass(frozen=True)
class Result:
    """What a case gives now: the text of `expected.csv` (None where nothing is read) and the facts."""

    rows: pl.DataFrame
    csv: str | None
    facts: dict


def cases() -> list[Path]:
    """All folders that hold an input."""
    return sorted(path.parent for path in HERE.glob("*/*/input.*"))


def source(case: Path) -> Path:
    """The input of a case."""
    (path,) = case.glob("input.*")
    return path


def run(case: Path) -> Result:
    """Choose a layout for the case and read it, as the flow does."""
    path = source(case)
    layouts = load_layouts(case)
    choice = choose(path, layouts, "golden-lab", is_analyte=is_analyte)
    empty = pl.DataFrame(schema=ROWS_SCHEMA)
    if choice.layout is None:
        return Result(empty, None, {"layout": None, "reason": choice.reason})
    try:
        reading = read(path, choice.layout, is_analyte)
        rows = pl.concat([empty, *reading.batches])
    except Unreadable as error:
        return Result(empty, None, {"layout": choice.layout.name, "unreadable": str(error)})
    assert rows.equals(as_rows(rows))
    told = [name for name in rows.columns if rows[name].null_count() < rows.height]
    kept = ["row", "item", *(name for name in told if name not in ("row", "item"))]
    facts = {
        "layout": choice.layout.name,
        "rows": rows.height,
        "skipped": dict(sorted(reading.skipped.items())),
        "columns_used": reading.columns_used,
        "columns_unused": reading.columns_unused,
        "notes": reading.notes,
    }
    return Result(rows, rows.select(kept).write_csv(null_value="NULL"), facts)


def counted(case: Path, how: dict) -> int:
    """Records of the source, counted without the reader. `how`: `csv` (encoding, delimiter) by Python's csv
    module, `lines` (encoding), `hl7` and `fhir` (encoding) by tests/formats/counts.py, `xlsx` by the last row in the XML of each sheet, `stated` by its writer."""
    path = source(case)
    if how["by"] == "csv":
        text = path.read_bytes().decode(how["encoding"]).removeprefix("\ufeff")
        return len(list(csv.reader(io.StringIO(text, newline=""), delimiter=how["delimiter"])))
    if how["by"] == "lines":
        text = path.read_bytes().decode(how["encoding"]).removeprefix("\ufeff")
        return len(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text))
    if how["by"] == "xlsx":
        with zipfile.ZipFile(path) as book:
            names = [name for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
            sheets = [book.read(name) for name in names]
        return sum(max(map(int, re.findall(rb'<row r="(\d+)"', sheet)), default=0) for sheet in sheets)
    if how["by"] in ("hl7", "fhir"):
        return getattr(counts, how["by"])(path.read_bytes().decode(how["encoding"]))
    assert how["by"] == "stated", f"no such count: {how['by']}"
    return int(how["records"])


def facts(case: Path) -> dict:
    """`expected.json` of a case; it must be there."""
    path = case / "expected.json"
    assert path.exists(), f"{path} is missing: see tests/formats/write_goldens.py"
    return json.loads(path.read_text("utf-8"))
