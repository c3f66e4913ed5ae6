"""The catalogue: what decides how an export is read, and what is computed from it.

`load_catalogue()` gives the built-in one, from the files of `schemas/catalogue/`; a lab's own folder
may add rows to any of them. The csv module reads the files, because that is several times faster
than importing anything larger.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from schemas.catalogue_rows import (
    CatalogueError,
    Row,
    analyte_of,
    by_id,
    codes_of,
    guard_of,
    known,
    metric_of,
    refuse_circle,
    specimen_of,
)
from schemas.catalogue_texts import (
    ambiguous_texts,
    analyte_names,
    metric_names,
    scoped_names,
    specimen_names,
    texts_of,
)
from schemas.entries import Analyte, Guard, Metric, Resolved, Specimen
from schemas.resolve import Catalogue
from schemas.unit_text import unit_tables

__all__ = [
    "METRIC_FILES",
    "READING_FILES",
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

#: The files of the reading catalogue: what decides how an export is read.
READING_FILES = (
    "analytes.csv",
    "synonyms.csv",
    "synonyms_scoped.csv",
    "synonyms_ambiguous.csv",
    "loinc.csv",
    "specimens.csv",
    "specimen_synonyms.csv",
    "unit_amounts.csv",
    "unit_denominators.csv",
    "unit_spellings.csv",
    "statuses.csv",
    "roles.csv",
    "metric_synonyms.csv",
)
#: The files of the metric catalogue: what decides what is computed.
METRIC_FILES = ("metrics.csv", "guards.csv")


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
    if (loaded := _LOADED.get(key.hexdigest())) is not None:
        return loaded
    rows = {name: read_rows(name, content) for name, content in contents.items()}
    if added:
        from schemas.own_rows import checked_rows  # imports Pandera, so only where it is needed

        for name, more in checked_rows(added, rows).items():
            rows[name] += more
    catalogue = _catalogue_from(rows)
    _LOADED[key.hexdigest()] = catalogue
    return catalogue


_LOADED: dict[str, Catalogue] = {}


def _hash(rows: Mapping[str, list[Row]], names: Iterable[str], more: object = None) -> str:
    content: dict[str, object] = {name: [row.values for row in rows[name]] for name in names}
    content["more"] = more
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _of_reported(rows: list[Row], reported: frozenset[str]) -> list[list[str]]:
    """What reading takes from metrics.csv. A metric that no lab prints changes no reading."""
    columns = ("id", "name", "formula", "specimens", "unit")
    return [[row.values[column] for column in columns] for row in rows if row.values["id"] in reported]


def _catalogue_from(rows: Mapping[str, list[Row]]) -> Catalogue:
    """The catalogue of `rows`; raises CatalogueError where two rows contradict each other."""
    analytes = by_id(rows["analytes.csv"], analyte_of)
    specimens = by_id(rows["specimens.csv"], specimen_of)
    metrics = by_id(rows["metrics.csv"], lambda row: metric_of(row, analytes, specimens))
    for row in rows["metrics.csv"]:
        if row.values["id"] in analytes:
            raise CatalogueError(f"{row.origin}: {row.values['id']} is an analyte; choose another id")
    for row in rows["analytes.csv"]:
        known(row, "form_of", analytes)
    for row in rows["specimens.csv"]:
        known(row, "form_of", specimens)
        refuse_circle(row, specimens)
    ambiguous = ambiguous_texts(rows["synonyms_ambiguous.csv"])
    names = analyte_names(rows, analytes, specimens, ambiguous)
    reported = frozenset(row.values["metric_id"] for row in rows["metric_synonyms.csv"])
    return Catalogue(
        analytes,
        specimens,
        metrics,
        tuple(guard_of(row, analytes, specimens) for row in rows["guards.csv"]),
        codes_of(rows["loinc.csv"], analytes, metrics, specimens),
        unit_tables(
            *([row.values for row in rows[name]] for name in READING_FILES if name.startswith("unit_"))
        ),
        _hash(rows, READING_FILES, _of_reported(rows["metrics.csv"], reported)),
        _hash(rows, METRIC_FILES),
        names,
        scoped_names(rows["synonyms_scoped.csv"], analytes),
        ambiguous,
        metric_names(rows, metrics, names, reported),
        reported,
        specimen_names(rows, specimens),
        texts_of(rows["statuses.csv"], "status"),
        texts_of(rows["roles.csv"], "role"),
    )
