"""The catalogue: what decides how an export is read, and what is computed from it.

`load_catalogue()` gives the built-in one, from the files of `schemas/catalogue/`; a lab's own folder
may add rows to any of them. The csv module reads the files, because that is several times faster
than importing anything larger.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

from schemas.catalogue_rows import METRIC_FILES, READING_FILES, CatalogueError, Row, catalogue_from
from schemas.entries import Analyte, Guard, Metric, Resolved, Specimen
from schemas.resolve import Catalogue

__all__ = [
    "Analyte",
    "Catalogue",
    "CatalogueError",
    "Guard",
    "Metric",
    "Resolved",
    "Specimen",
    "load_catalogue",
]

BUILT_IN = Path(__file__).parent / "catalogue"


def read_rows(name: str, content: bytes) -> list[Row]:
    """The rows of the catalogue file `name`; numbers are those a spreadsheet shows."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [Row(f"{name}, row {number}", dict(values)) for number, values in enumerate(reader, 2)]


def load_catalogue(own: Path | None = None) -> Catalogue:
    """The built-in catalogue, with the rows that a lab's own folder `own` adds.

    `own` may hold files of the same names; what it redefines or makes ambiguous is refused. Kept in
    memory per content. Raises CatalogueError naming file, row and mend.
    """
    added: dict[str, bytes] = {}
    if own is not None:
        if not own.is_dir():
            raise CatalogueError(f"{own}: there is no such folder; make it, or unset the lab's own catalogue")
        added = {path.name: path.read_bytes() for path in sorted(own.glob("*.csv"))}
    return catalogue_of(built_in_files(), added)


def built_in_files() -> dict[str, bytes]:
    """The files of the built-in catalogue: name -> content."""
    return {name: (BUILT_IN / name).read_bytes() for name in (*READING_FILES, *METRIC_FILES)}


def catalogue_of(contents: Mapping[str, bytes], added: Mapping[str, bytes]) -> Catalogue:
    """The catalogue of the built-in files `contents` and a lab's own files `added` (name -> content)."""
    key = hashlib.sha256()
    for part in (contents, added):
        for name, content in part.items():
            key.update(f"{name}:{len(content)}:".encode() + content)
        key.update(b"own")
    if (known := _LOADED.get(key.hexdigest())) is not None:
        return known
    rows = {name: read_rows(name, content) for name, content in contents.items()}
    if added:
        from schemas.own_rows import checked_rows  # imports Pandera, so only where it is needed

        for name, more in checked_rows(added, rows).items():
            rows[name] += more
    catalogue = catalogue_from(rows)
    _LOADED[key.hexdigest()] = catalogue
    return catalogue


_LOADED: dict[str, Catalogue] = {}
