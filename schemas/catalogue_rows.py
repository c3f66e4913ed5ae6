"""The catalogue from the rows of its files: entries and tables, and what contradicts itself is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, TypeVar

from schemas.entries import Analyte, Code, Guard, Metric, Name, Specimen
from schemas.formula import FormulaError, parse_formula
from schemas.names import folded, without_ratio
from schemas.resolve import Catalogue
from schemas.unit_text import unit_tables

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


class CatalogueError(ValueError):
    """A catalogue file that cannot be used. The message names the file, the row and the mend."""


class Row(NamedTuple):
    """One row of a catalogue file; `origin` says where it stands, for messages."""

    origin: str
    values: dict[str, str]


def _hash(rows: Mapping[str, list[Row]], names: Iterable[str], more: object = None) -> str:
    content: dict[str, object] = {name: [row.values for row in rows[name]] for name in names}
    content["more"] = more
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _of_reported(rows: list[Row], reported: frozenset[str]) -> list[list[str]]:
    """What reading takes from metrics.csv. A metric that no lab prints changes no reading."""
    columns = ("id", "name", "formula", "specimens", "unit")
    return [[row.values[column] for column in columns] for row in rows if row.values["id"] in reported]


def catalogue_from(rows: Mapping[str, list[Row]]) -> Catalogue:
    """The catalogue of `rows`; raises CatalogueError where two rows contradict each other."""
    analytes = _by_id(rows["analytes.csv"], _analyte)
    specimens = _by_id(rows["specimens.csv"], _specimen)
    metrics = _by_id(rows["metrics.csv"], lambda row: _metric(row, analytes, specimens))
    for row in rows["metrics.csv"]:
        if row.values["id"] in analytes:
            raise CatalogueError(f"{row.origin}: {row.values['id']} is an analyte; choose another id")
    for row in rows["analytes.csv"]:
        _known(row, "form_of", analytes)
    ambiguous = {
        folded(row.values["text"]): _parts(row.values["candidates"]) for row in rows["synonyms_ambiguous.csv"]
    }
    names = _names(rows, analytes, specimens, ambiguous)
    scoped: dict[str, dict[str, str]] = {}
    for row in rows["synonyms_scoped.csv"]:
        _known(row, "analyte_id", analytes)
        table = scoped.setdefault(row.values["vocabulary"], {})
        _put(table, row, row.values["text"], row.values["analyte_id"])
    reported = frozenset(row.values["metric_id"] for row in rows["metric_synonyms.csv"])
    specimen_names: dict[str, str] = {}
    for row in rows["specimens.csv"]:
        _known(row, "form_of", specimens)
        _refuse_circle(row, specimens)
        for text in (row.values["id"], row.values["name"]):
            _put(specimen_names, row, text, row.values["id"])
    for row in rows["specimen_synonyms.csv"]:
        _known(row, "specimen_id", specimens)
        _put(specimen_names, row, row.values["text"], row.values["specimen_id"])
    return Catalogue(
        analytes,
        specimens,
        metrics,
        tuple(_guard(row, analytes, specimens) for row in rows["guards.csv"]),
        _loinc(rows["loinc.csv"], analytes, metrics, specimens),
        unit_tables(
            *([row.values for row in rows[name]] for name in READING_FILES if name.startswith("unit_"))
        ),
        _hash(rows, READING_FILES, _of_reported(rows["metrics.csv"], reported)),
        _hash(rows, METRIC_FILES),
        names,
        scoped,
        ambiguous,
        _metric_names(rows, metrics, names, reported),
        reported,
        specimen_names,
        _texts(rows["statuses.csv"], "status"),
        _texts(rows["roles.csv"], "role"),
    )


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())


_Made = TypeVar("_Made")


def _by_id(rows: list[Row], made: Callable[[Row], _Made]) -> dict[str, _Made]:
    """id -> what `made` makes of the row; an id that comes twice is refused."""
    out: dict[str, _Made] = {}
    for row in rows:
        if row.values["id"] in out:
            raise CatalogueError(f"{row.origin}: {row.values['id']} exists already; choose another id")
        out[row.values["id"]] = made(row)
    return out


def _known(row: Row, column: str, known: Mapping[str, object]) -> None:
    """Refuse ids in `column` (several by `|`) that are not in `known`."""
    for found in _parts(row.values[column]):
        if found not in known:
            raise CatalogueError(f"{row.origin}: {column} names {found}, which does not exist; add it first")


def _refuse_circle(row: Row, specimens: Mapping[str, Specimen]) -> None:
    """Refuse a specimen that is a form of itself, by whatever way."""
    above = specimens[row.values["id"]].form_of
    for _ in specimens:
        if above == row.values["id"]:
            raise CatalogueError(
                f"{row.origin}: form_of leads back to {above}; leave it empty in one of them"
            )
        above = specimens[above].form_of if above is not None and above in specimens else None


def _put(table: dict[str, str], row: Row, text: str, found: str) -> None:
    """Let `text` lead to `found`; refuse a text that leads elsewhere already or cannot be matched."""
    key = folded(text)
    if not key:
        raise CatalogueError(f"{row.origin}: {text!r} has no letter or digit to match by; leave the row out")
    if table.setdefault(key, found) != found:
        raise CatalogueError(
            f"{row.origin}: {text!r} already means {table[key]}, not {found}; say it in the layout instead"
        )


def _analyte(row: Row) -> Analyte:
    v = row.values
    mass = float(v["molar_mass_g_mol"]) if v["molar_mass_g_mol"] else None
    ids = (v["hmdb"], v["chebi"], v["pubchem_cid"], v["inchikey"])
    form_of, measured_as = v["form_of"] or None, v["measured_as"] or None
    return Analyte(v["id"], v["name"], v["class"], v["formula"], mass, form_of, measured_as, *ids)


def _specimen(row: Row) -> Specimen:
    v = row.values
    place: Literal["central", "peripheral"] = "central" if v["compartment"] == "central" else "peripheral"
    bases = _parts(v["bases"])
    return Specimen(v["id"], v["name"], place, v["matrix"], v["form_of"] or None, bases, v["description"])


#: Analytes that follow the clock: their metrics are nothing without the time of collection.
CLOCKED = frozenset({"cortisol", "cortisol_free", "dhea", "melatonin"})


def _metric(row: Row, analytes: Mapping[str, Analyte], specimens: Mapping[str, Specimen]) -> Metric:
    v = row.values
    _known(row, "specimens", specimens)
    formula, where = None, _parts(v["specimens"])
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
        studied_in=_parts(v["studied_in"]),
        evidence_grade=v["evidence_grade"] or "unverified",
        caveats=v["caveats"],
        citation=v["citation"],
        citation_verified=v["citation_verified"] or "no",
        published_values=v["published_values"],
        pathway_note=v["pathway_note"],
        quantity_basis=v["quantity_basis"],
    )


def _guard(row: Row, analytes: Mapping[str, Analyte], specimens: Mapping[str, Specimen]) -> Guard:
    v = row.values
    _known(row, "analyte_id", analytes)
    _known(row, "specimens", specimens)
    action: Literal["refuse", "label"] = "refuse" if v["action"] == "refuse" else "label"
    return Guard(v["analyte_id"], _parts(v["specimens"]), action, v["reason"], v["citation"])


def _names(
    rows: Mapping[str, list[Row]],
    analytes: Mapping[str, Analyte],
    specimens: Mapping[str, Specimen],
    ambiguous: Mapping[str, tuple[str, ...]],
) -> dict[str, Name]:
    """Folded text -> analyte: every id, name and synonym. None may mean two, nor be ambiguous."""
    ids: dict[str, str] = {}
    said: dict[str, str] = {}  # folded text -> specimen that the text itself names
    texts = [
        (row, row.values[column], row.values["id"], "")
        for row in rows["analytes.csv"]
        for column in ("id", "name")
    ]
    for row in rows["synonyms.csv"]:
        _known(row, "analyte_id", analytes)
        _known(row, "specimen", specimens)
        texts.append((row, row.values["text"], row.values["analyte_id"], row.values["specimen"]))
    for row, text, analyte, specimen in texts:
        if text == row.values.get("id") and folded(text) in ambiguous:
            continue  # `pea` as an id says nothing about what a lab means by PEA
        _put(ids, row, text, analyte)
        if folded(text) in ambiguous:
            raise CatalogueError(f"{row.origin}: {text!r} means several things; say it in the layout instead")
        if specimen:
            said[folded(text)] = specimen
    return {key: Name(found, said.get(key)) for key, found in ids.items()}


def _metric_names(
    rows: Mapping[str, list[Row]],
    metrics: Mapping[str, Metric],
    names: Mapping[str, Name],
    reported: frozenset[str],
) -> dict[str, tuple[str, ...]]:
    """Folded text -> metrics that labs print. Several may share a text, in different specimens."""
    out: dict[str, tuple[str, ...]] = {}
    texts = [
        (row, row.values[column], row.values["id"])
        for row in rows["metrics.csv"]
        if row.values["id"] in reported
        for column in ("id", "name")
    ]
    for row in rows["metric_synonyms.csv"]:
        _known(row, "metric_id", metrics)
        texts.append((row, row.values["text"], row.values["metric_id"]))
    for row, text, metric in texts:
        for key in dict.fromkeys((folded(text), without_ratio(folded(text)))):
            if key in names and (key == folded(text)):
                raise CatalogueError(f"{row.origin}: {text!r} already means {names[key].id}; leave it out")
            others = out.get(key, ())
            if metric in others or not key or key in names:
                continue
            for other in others:
                if set(metrics[other].specimens) & set(metrics[metric].specimens):
                    raise CatalogueError(f"{row.origin}: {text!r} already means {other}; leave it out")
            out[key] = (*others, metric)
    return out


def _loinc(
    rows: list[Row],
    analytes: Mapping[str, Analyte],
    metrics: Mapping[str, Metric],
    specimens: Mapping[str, Specimen],
) -> dict[str, Code]:
    out: dict[str, Code] = {}
    for row in rows:
        _known(row, "analyte_id", analytes)
        _known(row, "metric_id", metrics)
        _known(row, "specimen", specimens)
        v = row.values
        if v["loinc_code"] in out:
            raise CatalogueError(f"{row.origin}: {v['loinc_code']} exists already; leave the row out")
        if bool(v["analyte_id"]) == bool(v["metric_id"]):
            raise CatalogueError(f"{row.origin}: name either an analyte_id or a metric_id")
        out[v["loinc_code"]] = Code(v["analyte_id"] or v["metric_id"], v["specimen"])
    return out


def _texts(rows: list[Row], column: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for row in rows:
        _put(out, row, row.values["text"], row.values[column])
    return out
