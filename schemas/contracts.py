"""The contracts of the catalogue's files: what each column holds, as Pandera models.

The built-in files are held to them by the tests, the files of a lab's own folder whenever they are
read (`schemas/own_rows.py`). Every column is text; an empty text is no value. What a contract cannot see (that an id exists,
that no text means two things) is checked where the catalogue is built.
"""

from __future__ import annotations

from typing import Any

import pandera.polars as pa
import polars as pl

_ID = r"^[a-z][a-z0-9_]*$"
_IDS = r"^[a-z][a-z0-9_]*(\|[a-z][a-z0-9_]*)*$"
_MAYBE_ID = r"^([a-z][a-z0-9_]*)?$"
_MAYBE_IDS = r"^([a-z][a-z0-9_]*(\|[a-z][a-z0-9_]*)*)?$"
_TEXT = r"\S"
_FRACTION = r"^([0-9]*[1-9][0-9]*/[1-9][0-9]*|[0-9]*[1-9][0-9]*(\.[0-9]+)?|0\.0*[1-9][0-9]*)$"
_WORDS = r"^([a-z][a-z -]*(\|[a-z][a-z -]*)*)?$"
_BASES = (
    "per_volume|per_creatinine|per_wet_mass|per_protein|per_platelets|per_hour|per_24h|"
    "mrs_water|mrs_per_tcr|amount|response"
)
#: the only rule over several columns of a row
WHOLE_ROW_RULE = "must say why it is not computed, and only then"
_KINDS = (
    "substance|mass|arbitrary|institutional|number|volume|time|"
    "area|area ratio|comparable area|comparable area ratio"
)


def _matching(pattern: str, description: str) -> Any:
    return pa.Field(str_matches=pattern, description=description)


def _one_of(words: str, description: str) -> Any:
    """One of the words that `words` separates by `|`; a leading `|` allows none."""
    return pa.Field(isin=words.split("|"), description=description)


class _File(pa.DataFrameModel):
    class Config:
        strict = True
        ordered = True


class Analytes(_File):
    """What can be measured."""

    id: str = _matching(_ID, "id used in formulas and outputs")
    name: str = _matching(_TEXT, "English name")
    class_: str = pa.Field(alias="class", str_matches=_MAYBE_ID, description="group of substances")
    formula: str = _matching(r"^([A-Z][a-z]?\d*)*$", "sum formula; empty for proteins and composites")
    molar_mass_g_mol: str = _matching(r"^(\d+(\.\d+)?)?$", "molar mass in g/mol; empty where there is none")
    form_of: str = _matching(_MAYBE_ID, "analyte of which this is one form (free, total)")
    measured_as: str = _one_of("|volume|time|number", "the only kind of unit it has; empty: a concentration")
    hmdb: str = _matching(r"^(HMDB\d{7})?$", "HMDB accession")
    chebi: str = _matching(r"^(CHEBI:\d+)?$", "ChEBI id")
    pubchem_cid: str = _matching(r"^\d*$", "PubChem compound id")
    inchikey: str = _matching(r"^([A-Z]{14}-[A-Z]{10}-[A-Z])?$", "InChIKey")
    identity_verified: str = _one_of("|yes|no|mass only", "how far the identifiers were verified")
    source: str = pa.Field(description="where identifiers and molar mass come from")


class Synonyms(_File):
    """Texts that mean one analyte everywhere, besides its id and name."""

    analyte_id: str = _matching(_ID, "analyte")
    text: str = _matching(_TEXT, "as labs write it")
    specimen: str = _matching(_MAYBE_ID, "specimen that the text itself names")


class ScopedSynonyms(_File):
    """Abbreviations that are safe only within a vocabulary that a layout names."""

    vocabulary: str = _matching(_ID, "name of the vocabulary")
    text: str = _matching(_TEXT, "abbreviation")
    analyte_id: str = _matching(_ID, "analyte")


class AmbiguousSynonyms(_File):
    """Texts that mean several things and are refused."""

    text: str = _matching(_TEXT, "as labs write it")
    candidates: str = _matching(_TEXT, "what it may mean, separated by |; analyte ids or plain words")
    remark: str = pa.Field(description="why it is refused")


class Loinc(_File):
    """LOINC codes. Copyright Regenstrief Institute, see NOTICE.md."""

    loinc_code: str = _matching(r"^\d{1,7}-\d$", "LOINC code")
    analyte_id: str = _matching(_MAYBE_ID, "analyte; empty for a ratio")
    metric_id: str = _matching(_MAYBE_ID, "metric that the code reports; empty for an analyte")
    specimen: str = _matching(_ID, "specimen that the code names")
    property: str = pa.Field(description="LOINC property")
    time_aspect: str = pa.Field(description="LOINC time aspect")
    long_common_name: str = pa.Field(description="LOINC long common name, or the name a laboratory printed")
    component: str = pa.Field(description="LOINC component")
    ucum_example: str = pa.Field(description="example unit; the unit of a result is the one it was sent with")
    verified: str = pa.Field(description="what of the row was verified")
    note: str = pa.Field(description="what to know")


class Specimens(_File):
    """What analytes are measured in."""

    id: str = _matching(_ID, "id")
    name: str = _matching(_TEXT, "English name")
    compartment: str = _one_of("central|peripheral", "whether it is from within the central nervous system")
    matrix: str = _one_of("urine|blood|csf|saliva|brain", "material")
    form_of: str = _matching(_MAYBE_ID, "less specific specimen that this one belongs to")
    bases: str = _matching(rf"^({_BASES})(\|({_BASES}))*$", "bases its results may have")
    description: str = _matching(_TEXT, "what it is")


class SpecimenSynonyms(_File):
    """Texts that mean one specimen, besides its id and name."""

    specimen_id: str = _matching(_ID, "specimen")
    text: str = _matching(_TEXT, "as labs write it")


class UnitAmounts(_File):
    """What may stand before the `/` of a unit, or alone."""

    ucum: str = _matching(_TEXT, "UCUM")
    kind: str = _one_of(_KINDS, "kind of amount")
    factor: str = _matching(_FRACTION, "how many umol, ug, m[IU], i.u., 1, L or h it is")


class UnitDenominators(_File):
    """What may stand after the `/` of a unit."""

    unit: str = _matching(_TEXT, "UCUM without its annotation")
    annotation: str = _one_of("|creat|wet|prot|plt", "of what: needed where the unit alone does not say it")
    basis: str = _one_of(_BASES, "basis")
    factor: str = _matching(
        _FRACTION, "how many L, g creatinine, g wet mass, mg protein, 10*9 plt, h or 24 h"
    )
    amounts: str = _matching(rf"^({_KINDS})(\|({_KINDS}))*$", "kinds of amount it goes with")


class UnitSpellings(_File):
    """Other ways to write a unit or a part of one. Case counts, except for annotations."""

    part: str = _one_of("whole|amount|denominator|annotation", "what it is a spelling of")
    text: str = _matching(_TEXT, "as labs write it")
    means: str = _matching(_TEXT, "what it stands for")


class Statuses(_File):
    """Texts and codes for the status of a result."""

    text: str = _matching(_TEXT, "as labs write it")
    status: str = _one_of("preliminary|final|corrected|withdrawn", "status")


class Roles(_File):
    """Texts for what an injection or specimen is."""

    text: str = _matching(_TEXT, "as instruments write it")
    role: str = _one_of("sample|qc|calibrator|blank|internal standard|qualifier", "role")


class MetricSynonyms(_File):
    """Texts under which labs print a metric themselves. One text may serve several specimens."""

    metric_id: str = _matching(_ID, "metric")
    text: str = _matching(_TEXT, "as labs write it")


class Metrics(_File):
    """What is computed."""

    id: str = _matching(_ID, "id, and column name in panels")
    name: str = _matching(_TEXT, "name for people")
    formula: str = _matching(r"^.+/.+", "a/b, (a+b)/c, 1000*a/b or balance(a, b / c)")
    kind: str = _one_of("|ratio|balance|paired", "ratio of sums, log-ratio balance, or a pair of specimens")
    unit: str = _matching(r"^(1|[a-z%]+(/[a-z]+)?)?$", "unit of the value")
    specimens: str = _matching(_IDS, "specimens it is defined in")
    quantity_basis: str = pa.Field(description="on what the concentrations must be")
    molar_required: str = _one_of("|yes|no", "whether amounts of substance are needed")
    computed: str = _one_of("|yes|no", "whether it is computed")
    not_computed_because: str = pa.Field(description="why not")
    time_needed: str = _one_of(
        "|collected|clock", "collected: needs a collection time; clock: and its local clock time"
    )
    studied_in: str = _matching(_WORDS, "domains in which groups were studied, separated by |")
    evidence_grade: str = _one_of(
        "|established_clinical|established_research|commercial_only|unverified", "how good the evidence is"
    )
    caveats: str = pa.Field(description="what limits it")
    citation: str = pa.Field(description="where it was published")
    citation_verified: str = _one_of("|yes|partly|no", "whether the citation was read")
    published_values: str = pa.Field(description="values reported for groups; not reference intervals")
    pathway_note: str = pa.Field(description="process named in the literature")

    @pa.dataframe_check(description=WHOLE_ROW_RULE)
    def _says_why(cls, data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select((pl.col("computed") == "no") == (pl.col("not_computed_because") != ""))


class Guards(_File):
    """Analytes in specimens whose metrics are refused, or only ever labelled."""

    analyte_id: str = _matching(_ID, "analyte")
    specimens: str = _matching(_IDS, "specimens")
    action: str = _one_of("refuse|label", "refuse: no metric; label: the metric carries the reason")
    reason: str = _matching(_TEXT, "why")
    citation: str = pa.Field(description="source")


#: file name -> its contract, and the columns that a row of a lab's own must have.
CONTRACTS: dict[str, tuple[type[_File], tuple[str, ...]]] = {
    "analytes.csv": (Analytes, ("id", "name")),
    "synonyms.csv": (Synonyms, ("analyte_id", "text")),
    "synonyms_scoped.csv": (ScopedSynonyms, ("vocabulary", "text", "analyte_id")),
    "synonyms_ambiguous.csv": (AmbiguousSynonyms, ("text", "candidates")),
    "loinc.csv": (Loinc, ("loinc_code", "specimen")),
    "specimens.csv": (Specimens, ("id", "name", "compartment", "matrix", "bases", "description")),
    "specimen_synonyms.csv": (SpecimenSynonyms, ("specimen_id", "text")),
    "unit_amounts.csv": (UnitAmounts, ("ucum", "kind", "factor")),
    "unit_denominators.csv": (UnitDenominators, ("unit", "annotation", "basis", "factor", "amounts")),
    "unit_spellings.csv": (UnitSpellings, ("part", "text", "means")),
    "statuses.csv": (Statuses, ("text", "status")),
    "roles.csv": (Roles, ("text", "role")),
    "metric_synonyms.csv": (MetricSynonyms, ("metric_id", "text")),
    "metrics.csv": (Metrics, ("id", "name", "formula", "specimens")),
    "guards.csv": (Guards, ("analyte_id", "specimens", "action", "reason")),
}


def columns_of(name: str) -> list[str]:
    """The columns of the catalogue file `name`, in order."""
    return list(CONTRACTS[name][0].to_schema().columns)
