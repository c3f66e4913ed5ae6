"""The catalogue: what decides how an export is read, and what is computed from it.

`load_catalogue()` gives the built-in one, from the files of `schemas/catalogue/`; a lab's own folder
may add rows to any of them. Everything that turns a text of an export into an id stands here; it is
pure Python, meant for the distinct texts of an export. The csv module reads the files, because that
is several times faster than importing anything larger.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from schemas.formula import Formula, FormulaError, parse_formula
from schemas.names import folded, without_ratio
from schemas.units import Unit, UnitTables, canonical, ratio_factor, read_unit, unit_tables

if TYPE_CHECKING:
    from schemas.layout import Layout

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

UNKNOWN_ANALYTE = "unknown analyte"
AMBIGUOUS_ANALYTE = "ambiguous analyte"
DISAGREEMENT = "name and code disagree"

_LOINC = re.compile(r"^(?:LOINC|LN)?[:|\s]*(\d{1,7}-\d)$", re.IGNORECASE)


class CatalogueError(ValueError):
    """A catalogue file that cannot be used. The message names the file, the row and the mend."""


@dataclass(frozen=True)
class Analyte:
    """What can be measured. `molar_mass` in g/mol, None for proteins and composites."""

    id: str
    name: str
    class_: str
    formula: str
    molar_mass: float | None
    form_of: str | None
    measured_as: str | None  # the only kind of unit it may have, where it is not a concentration
    hmdb: str
    chebi: str
    pubchem_cid: str
    inchikey: str


@dataclass(frozen=True)
class Specimen:
    """What an analyte was measured in; `form_of` is the less specific specimen it belongs to."""

    id: str
    name: str
    compartment: Literal["central", "peripheral"]
    matrix: str
    form_of: str | None
    bases: tuple[str, ...]
    description: str


@dataclass(frozen=True)
class Metric:
    """A named weighing of analytes. `formula` is None where it is not computed."""

    id: str
    name: str
    formula: Formula | None
    formula_text: str
    kind: str  # ratio, balance or paired
    unit: str
    specimens: tuple[str, ...]
    molar_required: bool
    computed: bool
    not_computed_because: str
    time_needed: str  # "", "collected" (a collection time) or "clock" (with its local clock time)
    studied_in: tuple[str, ...]
    evidence_grade: str
    caveats: str
    citation: str
    citation_verified: str
    published_values: str
    pathway_note: str
    quantity_basis: str


@dataclass(frozen=True)
class Guard:
    """An analyte in a specimen whose metrics are refused, or only ever labelled."""

    analyte: str
    specimens: tuple[str, ...]
    action: Literal["refuse", "label"]
    reason: str
    citation: str


class Code(NamedTuple):
    """What a LOINC code stands for: an analyte or metric, and the specimen it names."""

    id: str
    specimen: str


class Resolved(NamedTuple):
    """What an analyte text and code stand for, or the problem in words that hold no cell value."""

    id: str | None
    kind: Literal["analyte", "metric"] | None = None
    problem: str | None = None
    specimen_from_code: str | None = None
    specimen_from_text: str | None = None
    candidates: tuple[str, ...] = ()


class _Name(NamedTuple):
    id: str
    specimen: str | None  # where the name itself says it, as in `serum copper`


@dataclass(frozen=True)
class Catalogue:
    """All of it. The public dicts are keyed by id (`loinc` by code); nothing here is ever changed."""

    analytes: dict[str, Analyte]
    specimens: dict[str, Specimen]
    metrics: dict[str, Metric]
    guards: tuple[Guard, ...]
    loinc: dict[str, Code]
    units: UnitTables
    reading_hash: str
    metric_hash: str
    _names: dict[str, _Name] = field(repr=False)  # folded text -> analyte
    _scoped: dict[str, dict[str, str]] = field(repr=False)  # vocabulary -> folded text -> analyte id
    _ambiguous: dict[str, tuple[str, ...]] = field(repr=False)  # folded text -> candidates
    _metric_names: dict[str, tuple[str, ...]] = field(repr=False)  # folded text -> metric ids
    _reported: frozenset[str] = field(repr=False)  # metrics that labs print: those with a synonym
    _specimen_names: dict[str, str] = field(repr=False)
    _statuses: dict[str, str] = field(repr=False)
    _roles: dict[str, str] = field(repr=False)

    # ---- analytes and reported metrics

    def resolve_analyte(
        self, text: str | None, code: str | None, layout: Layout | None = None, specimen: str | None = None
    ) -> Resolved:
        """What was measured, from its name and its LOINC or local code.

        The layout decides first; then a LOINC code, with which the name must agree (of two forms
        of one analyte the more specific counts); then the vocabularies that the layout names, then
        the refusal of ambiguous texts, the general synonyms and the names of metrics. `specimen`
        (an id) decides between metrics that differ only in it. Codes nobody knows do no harm where
        the text is known.
        """
        text, code = (text or "").strip(), (code or "").strip()
        mapped = _by_layout(layout.analytes, (text, code)) if layout is not None else None
        loinc_code = _LOINC.match(code)
        known_code = self.loinc.get(loinc_code[1]) if loinc_code else None
        implied = known_code.specimen if known_code else None
        if mapped is not None:
            return self._with_kind(mapped, implied)
        named = self._by_text(text, layout, specimen)
        if known_code is None:
            return named
        coded = self._with_kind(known_code.id, implied)
        if named.id is None:
            if named.candidates and known_code.id not in named.candidates:
                return Resolved(None, None, DISAGREEMENT, implied)
            return coded
        both = self._more_specific(named.id, known_code.id)
        if both is None:
            return Resolved(None, None, DISAGREEMENT, implied, named.specimen_from_text)
        return self._with_kind(both, implied)._replace(specimen_from_text=named.specimen_from_text)

    def resolve_reported(self, text: str, specimen: str | None) -> Resolved:
        """The metric that a lab prints as `text` (`Phe/Tyr`, `KTR`, `NE:EPI ratio`) in `specimen`."""
        key = folded(text)
        found = self._metric_names.get(key) or self._metric_names.get(without_ratio(key))
        found = found or self._by_sides(key)
        here = tuple(m for m in found if specimen is None or self._is_defined_in(m, specimen))
        if len(here) == 1:
            return Resolved(here[0], "metric")
        if not found:
            return Resolved(None, None, UNKNOWN_ANALYTE)
        if not here:
            return Resolved(None, None, f"not defined in this specimen: {_listed(found)}", candidates=found)
        return Resolved(None, None, f"{AMBIGUOUS_ANALYTE}: could be {_listed(here)}", candidates=here)

    def _by_text(self, text: str, layout: Layout | None, specimen: str | None) -> Resolved:
        """What `text` alone stands for: scoped vocabularies, ambiguity, synonyms, metrics."""
        key = folded(text)
        if not key:
            return Resolved(None, None, UNKNOWN_ANALYTE)
        vocabularies = layout.vocabulary if layout is not None else ()
        scoped = tuple(dict.fromkeys(t[key] for v in vocabularies if key in (t := self._scoped.get(v, {}))))
        if len(scoped) == 1:
            return Resolved(scoped[0], "analyte")
        candidates = scoped or self._ambiguous.get(key, ())
        if candidates:
            named = _listed(candidates if len(candidates) > 1 else (*candidates, "something else"))
            return Resolved(None, None, f"{AMBIGUOUS_ANALYTE}: could be {named}", candidates=candidates)
        name = self._names.get(key)
        if name is not None:
            return Resolved(name.id, "analyte", specimen_from_text=name.specimen)
        return self.resolve_reported(text, specimen)

    def _by_sides(self, key: str) -> tuple[str, ...]:
        """The metrics of one analyte against another whose names `key` spells as `a/b`."""
        sides = without_ratio(key).split("/")
        names = [self._names.get(side) for side in sides]
        if len(names) != 2 or names[0] is None or names[1] is None:
            return ()
        wanted = ((names[0].id,), (names[1].id,))
        return tuple(
            metric.id
            for metric in self.metrics.values()
            if metric.id in self._reported
            and (formula := metric.formula) is not None
            and formula.kind == "ratio"
            and (formula.numerator, formula.denominator) == wanted
        )

    def _with_kind(self, found: str, implied: str | None) -> Resolved:
        if found in self.analytes:
            return Resolved(found, "analyte", None, implied)
        if found in self._reported:
            return Resolved(found, "metric", None, implied)
        return Resolved(None, None, UNKNOWN_ANALYTE, implied)  # a layout that names what does not exist

    def _more_specific(self, one: str, other: str) -> str | None:
        """The more specific of two ids where one is a form of the other, else None."""
        if one == other:
            return one
        for specific, general in ((one, other), (other, one)):
            if specific in self.analytes and self.analytes[specific].form_of == general:
                return specific
        return None

    # ---- specimens, units, status, role

    def resolve_specimen(self, text: str | None, layout: Layout | None = None) -> str | None:
        """The specimen id that `text` stands for, or None."""
        text = (text or "").strip()
        if layout is not None and (mapped := _by_layout(layout.specimens, (text,))) is not None:
            return mapped if mapped in self.specimens else None
        return self._specimen_names.get(folded(text)) if text else None

    def specimens_agree(self, one: str, other: str) -> bool:
        """Whether two specimen ids can be the same one, said more or less specifically."""
        return one in self._with_ancestors(other) or other in self._with_ancestors(one)

    def _with_ancestors(self, specimen: str | None) -> list[str]:
        chain = []
        while specimen is not None and specimen in self.specimens:
            chain.append(specimen)
            specimen = self.specimens[specimen].form_of
        return chain

    def _is_defined_in(self, metric: str, specimen: str) -> bool:
        return specimen in self.metrics[metric].specimens

    def resolve_unit(self, text: str | None, layout: Layout | None = None) -> tuple[Unit | None, str | None]:
        """The unit that `text` stands for, or None and the problem."""
        return read_unit(_unit_text(text, layout), self.units)

    def unit_fits(self, analyte: str, unit: Unit) -> bool:
        """Whether `analyte` can have `unit` at all: a volume is no concentration, nor the reverse."""
        wanted = self.analytes[analyte].measured_as
        return unit.kind == wanted if wanted else (unit.basis, unit.kind) != ("amount", unit.kind)

    def conversion(self, analyte: str, unit: Unit) -> tuple[float, str] | None:
        """Factor and canonical unit for results of `analyte` in `unit`, None where it cannot be."""
        if not self.unit_fits(analyte, unit):
            return None
        return canonical(unit, self.analytes[analyte].molar_mass)

    def reported_factor(self, metric: str, text: str | None, layout: Layout | None = None) -> float | None:
        """What to multiply a ratio printed in the unit `text` with, to have it in the metric's unit.

        None where the text does not say it: a ratio that has a scale needs its unit, and a ratio
        of masses is not the ratio of amounts.
        """
        factor = ratio_factor(_unit_text(text, layout), self.metrics[metric].unit, self.units)
        return None if factor is None else float(factor)

    def status(self, text: str | None) -> str | None:
        """preliminary, final, corrected or withdrawn, or None where `text` is none of them."""
        return self._statuses.get(folded(text)) if text else None

    def role(self, text: str | None) -> str | None:
        """sample, qc, calibrator, blank, internal standard, qualifier, or None where `text` is none of them."""
        return self._roles.get(folded(text)) if text else None

    # ---- guards and layouts

    def guard(self, analyte: str, specimen: str) -> Guard | None:
        """The guard on `analyte` in `specimen`, if there is one."""
        return next((g for g in self.guards if g.analyte == analyte and specimen in g.specimens), None)

    def problems_of(self, layout: Layout) -> list[str]:
        """What `layout` says that this catalogue cannot follow, in words, one line each."""
        out = [
            f"analytes: {text!r} leads to {found!r}, which is no analyte or metric"
            for text, found in layout.analytes.items()
            if found not in self.analytes and found not in self._reported
        ]
        out += [
            f"specimens: {text!r} leads to {found!r}, which is no specimen"
            for text, found in layout.specimens.items()
            if found not in self.specimens
        ]
        for text, found in layout.units.items():
            if (problem := read_unit(found, self.units)[1]) is not None:
                out.append(f"units: {text!r} leads to {found!r}: {problem}")
        out += [
            f"vocabulary: there is no {name!r}; there are {', '.join(self._scoped)}"
            for name in layout.vocabulary
            if name not in self._scoped
        ]
        return out


def _listed(names: Iterable[str]) -> str:
    return " or ".join(names)


def _by_layout(mapping: Mapping[str, str], texts: Iterable[str]) -> str | None:
    """What a layout's table says for the first of `texts` that it knows."""
    for text in texts if mapping else ():
        if text in mapping:
            return mapping[text]
        if key := folded(text):
            for known, found in mapping.items():
                if folded(known) == key:
                    return found
    return None


def _unit_text(text: str | None, layout: Layout | None) -> str:
    """The unit text that the layout puts in place of `text`; exactly, because in units case counts."""
    text = (text or "").strip()
    return layout.units.get(text, text) if layout is not None else text


# ---- from files to a catalogue


class Row(NamedTuple):
    """One row of a catalogue file; `origin` says where it stands, for messages."""

    origin: str
    values: dict[str, str]


def read_rows(name: str, content: bytes) -> list[Row]:
    """The rows of the catalogue file `name`; numbers are those a spreadsheet shows."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [Row(f"{name}, row {number}", dict(values)) for number, values in enumerate(reader, 2)]


def load_catalogue(own: Path | None = None) -> Catalogue:
    """The built-in catalogue, with the rows that a lab's own folder `own` adds.

    `own` may hold files of the same names; what it redefines or makes ambiguous is refused. Kept in
    memory per content. Raises CatalogueError naming file, row and mend.
    """
    contents = {name: (BUILT_IN / name).read_bytes() for name in (*READING_FILES, *METRIC_FILES)}
    added: dict[str, bytes] = {}
    if own is not None:
        if not own.is_dir():
            raise CatalogueError(f"{own}: there is no such folder; make it, or unset the lab's own catalogue")
        added = {path.name: path.read_bytes() for path in sorted(own.glob("*.csv"))}
    key = hashlib.sha256()
    for part in (contents, added):
        for name, content in part.items():
            key.update(f"{name}:{len(content)}:".encode() + content)
        key.update(b"own")
    if (known := _LOADED.get(key.hexdigest())) is not None:
        return known
    rows = {name: read_rows(name, content) for name, content in contents.items()}
    if added:
        from schemas.contracts import checked_rows  # imports Pandera, so only where it is needed

        for name, more in checked_rows(added, rows).items():
            rows[name] += more
    catalogue = _built(rows)
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


def _built(rows: Mapping[str, list[Row]]) -> Catalogue:
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
) -> dict[str, _Name]:
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
    return {key: _Name(found, said.get(key)) for key, found in ids.items()}


def _metric_names(
    rows: Mapping[str, list[Row]],
    metrics: Mapping[str, Metric],
    names: Mapping[str, _Name],
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
