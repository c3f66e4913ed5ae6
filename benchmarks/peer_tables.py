"""What a peer needs of the catalogue, as plain tables: written once, before anything is timed.

`synonyms` text (lower case) -> analyte; `specimens` text -> specimen; `conversions` analyte and unit text -> factor
and canonical unit; `bases` specimen -> basis; `statuses` text -> status; `metrics.json`: formulas and attributes.
"""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import polars as pl

from benchmarks.make_long_csv import TESTS
from schemas import catalogue as built_in
from schemas.catalogue import load_catalogue
from tasks.balance import refusals_of
from tasks.sides import UNITS
from tasks.validate import RULES

FOLDER = ".tables"
_CSVS = Path(built_in.__file__).parent / "catalogue"
_AMOUNTS = ("pg", "ng", "ug", "mg", "g", "pmol", "nmol", "umol", "mmol")
_PER = ("mL", "dL", "L", "g Cr", "g creatinine", "mmol creatinine", "g{creat}", "mmol{creat}")


def _csv(name: str) -> list[dict[str, str]]:
    with (_CSVS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_tables(inbox: Path) -> None:
    """Write the tables into a folder of the inbox that no lab has."""
    catalogue = load_catalogue()
    folder = inbox / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    texts = {analyte.id for analyte in catalogue.analytes.values()}
    texts |= {analyte.name for analyte in catalogue.analytes.values()}
    texts |= {row["text"] for row in [*_csv("synonyms"), *_csv("synonyms_ambiguous")]}
    texts |= {text for tests in TESTS.values() for spellings, _ in tests for text in spellings}
    found = {text.strip().lower(): catalogue.resolve_analyte(text, None) for text in texts}
    _put(folder, "synonyms", [
        {"text": text, "analyte": what.id, "ambiguous": what.id is None}
        for text, what in sorted(found.items())
        if what.kind == "analyte" or (what.problem or "").startswith("ambiguous")
    ])  # fmt: skip
    specimens = {row["text"] for row in _csv("specimen_synonyms")} | set(TESTS) | set(catalogue.specimens)
    named = {text.strip().lower(): catalogue.resolve_specimen(text) for text in specimens}
    _put(folder, "specimens", [
        {"text": text, "specimen": specimen, "compartment": catalogue.specimens[specimen].compartment}
        for text, specimen in sorted(named.items()) if specimen
    ])  # fmt: skip
    _put(folder, "bases", [
        {"specimen": s.id, "basis": basis} for s in catalogue.specimens.values() for basis in s.bases
    ])  # fmt: skip
    units = {f"{amount}/{per}" for amount, per in itertools.product(_AMOUNTS, _PER)}
    units |= {unit for tests in TESTS.values() for _, ways in tests for unit, _ in ways}
    conversions = []
    for text in sorted(units):
        unit, _ = catalogue.resolve_unit(text)
        if unit is None:
            continue
        for analyte in catalogue.analytes:
            said = catalogue.conversion(analyte, unit)
            row = {"analyte": analyte, "unit_text": text, "factor": None, "unit": None, "basis": unit.basis}
            conversions.append(row | ({"factor": float(said[0]), "unit": said[1]} if said else {}))
    _put(folder, "conversions", conversions)
    _put(folder, "statuses", [
        {"text": row["text"].strip().lower(), "status": row["status"]} for row in _csv("statuses")
    ])  # fmt: skip
    metrics = []
    for m in catalogue.metrics.values():
        if not m.computed or m.formula is None:
            continue
        f = m.formula
        metrics.append({
            "metric": m.id, "kind": f.kind, "scale": f.scale, "numerator": f.numerator, "denominator": f.denominator,
            "specimens": m.specimens, "refusals": refusals_of(m, catalogue), "name": m.name, "unit": m.unit,
            "studied_in": "|".join(m.studied_in), "evidence_grade": m.evidence_grade, "citation": m.citation,
        })  # fmt: skip
    said = {"metrics": metrics, "units": UNITS, "mends": {name: rule.mend for name, rule in RULES.items()}}
    (folder / "metrics.json").write_text(json.dumps(said, indent=1), "utf-8")


def _put(folder: Path, name: str, rows: list[dict]) -> None:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    # of two lines with the same text the first counts
    keys = [
        k
        for k in ("text", "analyte", "unit_text")
        if k in frame.columns and (k != "analyte" or name == "conversions")
    ]
    frame.unique(keys or None, keep="first", maintain_order=True).write_parquet(folder / f"{name}.parquet")
