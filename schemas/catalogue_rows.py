"""Rows of the catalogue's files, and the entry that each of them is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeVar

from schemas.entries import Analyte, Code, Guard, Metric, Specimen
from schemas.formula import FormulaError, parse_formula


class CatalogueError(ValueError):
    """A catalogue file that cannot be used. The message names the file, the row and the mend."""


class Row(NamedTuple):
    """One row of a catalogue file; `origin` says where it stands, for messages."""

    origin: str
    values: dict[str, str]


def parts(text: str) -> tuple[str, ...]:
    """What stands between `|` in a cell, without blanks around it."""
    return tuple(part.strip() for part in text.split("|") if part.strip())


_Made = TypeVar("_Made")


def by_id(rows: list[Row], made: Callable[[Row], _Made]) -> dict[str, _Made]:
    """id -> what `made` makes of the row; an id that comes twice is refused. Raises CatalogueError."""
    out: dict[str, _Made] = {}
    for row in rows:
        if row.values["id"] in out:
            raise CatalogueError(f"{row.origin}: {row.values['id']} exists already; choose another id")
        out[row.values["id"]] = made(row)
    return out


def known(row: Row, column: str, there: Mapping[str, object]) -> None:
    """Refuse ids in `column` (several by `|`) that are not `there`. Raises CatalogueError."""
    for found in parts(row.values[column]):
        if found not in there:
            raise CatalogueError(f"{row.origin}: {column} names {found}, which does not exist; add it first")


def refuse_circle(row: Row, specimens: Mapping[str, Specimen]) -> None:
    """Refuse a specimen that is a form of itself, by whatever way. Raises CatalogueError."""
    above = specimens[row.values["id"]].form_of
    for _ in specimens:
        if above == row.values["id"]:
            raise CatalogueError(
                f"{row.origin}: form_of leads back to {above}; leave it empty in one of them"
            )
        above = specimens[above].form_of if above is not None and above in specimens else None


def analyte_of(row: Row) -> Analyte:
    """The analyte of a row of analytes.csv; its molar mass is in g/mol."""
    v = row.values
    mass = float(v["molar_mass_g_mol"]) if v["molar_mass_g_mol"] else None
    ids = (v["hmdb"], v["chebi"], v["pubchem_cid"], v["inchikey"])
    form_of, measured_as = v["form_of"] or None, v["measured_as"] or None
    return Analyte(v["id"], v["name"], v["class"], v["formula"], mass, form_of, measured_as, *ids)


def specimen_of(row: Row) -> Specimen:
    """The specimen of a row of specimens.csv."""
    v = row.values
    place: Literal["central", "peripheral"] = "central" if v["compartment"] == "central" else "peripheral"
    bases = parts(v["bases"])
    return Specimen(v["id"], v["name"], place, v["matrix"], v["form_of"] or None, bases, v["description"])


#: Analytes that follow the clock: their metrics are nothing without the time of collection.
CLOCKED = frozenset({"cortisol", "cortisol_free", "dhea", "melatonin"})


def metric_of(row: Row, analytes: Mapping[str, Analyte], specimens: Mapping[str, Specimen]) -> Metric:
    """The metric of a row of metrics.csv. Raises CatalogueError for a formula that cannot be computed."""
    v = row.values
    known(row, "specimens", specimens)
    formula, where = None, parts(v["specimens"])
    if v["computed"] != "no":
        try:
            formula = parse_formula(v["formula"])
        except FormulaError as error:
            raise CatalogueError(f"{row.origin}: formula {error}; mend the formula") from None
        for analyte in formula.analytes:
            if analyte not in analytes:
                raise CatalogueError(f"{row.origin}: {analyte} in the formula is no analyte; add it first")
    time_needed = v["time_needed"]
    if not time_needed and formula is not None and CLOCKED & set(formula.analytes):
        time_needed = "collected" if all(specimens[s].matrix == "urine" for s in where) else "clock"
    return Metric(
        id=v["id"],
        name=v["name"],
        formula=formula,
        formula_text=v["formula"],
        kind=formula.kind if formula else v["kind"],
        unit=v["unit"] or "1",
        specimens=where,
        molar_required=v["molar_required"] != "no",
        computed=formula is not None,
        not_computed_because=v["not_computed_because"],
        time_needed=time_needed,
        studied_in=parts(v["studied_in"]),
        evidence_grade=v["evidence_grade"] or "unverified",
        caveats=v["caveats"],
        citation=v["citation"],
        citation_verified=v["citation_verified"] or "no",
        published_values=v["published_values"],
        pathway_note=v["pathway_note"],
        quantity_basis=v["quantity_basis"],
    )


def guard_of(row: Row, analytes: Mapping[str, Analyte], specimens: Mapping[str, Specimen]) -> Guard:
    """The guard of a row of guards.csv. Raises CatalogueError for an unknown analyte or specimen."""
    v = row.values
    known(row, "analyte_id", analytes)
    known(row, "specimens", specimens)
    action: Literal["refuse", "label"] = "refuse" if v["action"] == "refuse" else "label"
    return Guard(v["analyte_id"], parts(v["specimens"]), action, v["reason"], v["citation"])


def codes_of(
    rows: list[Row],
    analytes: Mapping[str, Analyte],
    metrics: Mapping[str, Metric],
    specimens: Mapping[str, Specimen],
) -> dict[str, Code]:
    """LOINC code -> what it names, of the rows of loinc.csv. Raises CatalogueError for a code that comes twice or names
    nothing, or two things."""
    out: dict[str, Code] = {}
    for row in rows:
        known(row, "analyte_id", analytes)
        known(row, "metric_id", metrics)
        known(row, "specimen", specimens)
        v = row.values
        if v["loinc_code"] in out:
            raise CatalogueError(f"{row.origin}: {v['loinc_code']} exists already; leave the row out")
        if bool(v["analyte_id"]) == bool(v["metric_id"]):
            raise CatalogueError(f"{row.origin}: name either an analyte_id or a metric_id")
        out[v["loinc_code"]] = Code(v["analyte_id"] or v["metric_id"], v["specimen"])
    return out
