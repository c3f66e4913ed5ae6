"""The entries of the catalogue: what one row of each file becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas.formula import Formula


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


class Name(NamedTuple):
    id: str
    specimen: str | None  # where the name itself says it, as in `serum copper`
