"""A layout: the TOML description of how one lab's or one instrument's export maps onto our columns."""

from __future__ import annotations

import functools
import hashlib
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from schemas.export import TEXT_COLUMNS
from schemas.layout_checks import (
    AnalyteHeader,
    CellPattern,
    Codec,
    HeadPattern,
    Limits,
    OurColumn,
    Timezone,
    UnitHeader,
    known_language,
    polars_pattern,
    readable_formats,
)


class Part(BaseModel):
    """A table of a layout file; keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Detect(Part):
    """By what an export is recognised, from the head of its content only."""

    starts: HeadPattern = Field(None, description="regular expression that the first lines must match")
    headers: tuple[str, ...] = Field(
        (), description="headers that must all be there, in any order; `A | B` asks for either"
    )
    always: bool = Field(False, description="fits whatever the reader can read")


class Values(Part):
    """How values are written."""

    decimal: Literal["auto", ".", ","] = Field("auto", description="decimal mark; auto: what the file proves")
    thousands: Literal["", ",", ".", " ", "'"] = Field("", description="mark between thousands")
    missing: tuple[str, ...] = Field(("", "NA", "N/A", "null", "-", "."), description="texts for no value")
    not_detected: tuple[str, ...] = Field(
        ("nd", "n.d.", "not detected", "none detected"),
        description="below an unknown limit, unless lloq says it",
    )
    below: tuple[str, ...] = Field(
        ("<LLOQ", "<LOQ", "<LOD", "BLQ", "BLOQ", "BQL", "<LLQ", "trace", "traces", "Spuren"),
        description="below the lower limit",
    )
    above: tuple[str, ...] = Field((">ULOQ", ">ULQ", "ALQ", "AQL"), description="above the upper limit")
    lloq: Limits = Field({}, description="analyte id -> lower limit in the unit of its results, undiluted")
    uloq: Limits = Field({}, description="analyte id -> upper limit in the unit of its results, undiluted")
    zero_is_not_detected: bool = Field(False, description="0 means not detected")
    rel_sd: Literal["percent", "fraction"] = Field("percent", description="how rel_sd is written")
    parts: CellPattern = Field(
        None,
        description="regular expression for cells that hold more than the value (`12.3 nM`), with the group "
        "value and the groups unit or before: what stands behind or before the value is its unit",
    )

    @model_validator(mode="after")
    def _marks_differ(self) -> Values:
        if self.thousands and self.decimal == self.thousands:
            raise ValueError("one mark cannot be decimal and stand between thousands")
        return self


class Times(Part):
    """How times are written."""

    formats: Annotated[tuple[str, ...], AfterValidator(readable_formats)] = Field(
        (), description="strptime formats tried after ISO 8601, in order"
    )
    timezone: Timezone = Field(None, description="IANA name for clock times without an offset")
    locale: Annotated[str, AfterValidator(known_language)] = Field(
        "en", description="language of month names, for example de or fr"
    )
    source: tuple[Literal["collected", "acquired", "reported"], ...] = Field(
        ("collected",), min_length=1, description="which times may stand for the collection, in order"
    )


class RoleRule(Part):
    """Rows whose `column` matches `matches` have the role `role`, whatever the export says."""

    column: str = Field(description="one of our columns, for example sample or analyte")
    matches: Annotated[str, AfterValidator(polars_pattern)] = Field(
        description="regular expression, found anywhere, without regard to case"
    )
    role: Literal["sample", "qc", "calibrator", "blank", "internal standard", "qualifier"]

    @field_validator("column")
    @classmethod
    def _is_ours(cls, value: str) -> str:
        if value not in TEXT_COLUMNS:
            raise ValueError(f"there is no column {value!r}; there are {', '.join(TEXT_COLUMNS)}")
        return value


class Wide(Part):
    """One row per sample, one column per analyte."""

    header: UnitHeader = Field(
        None,
        description="regular expression with groups analyte and unit for headers such as `Dopamine (nmol/L)`",
    )
    every: bool = Field(False, description="every header that `header` matches is an analyte's, known or not")
    rel_sd: AnalyteHeader = Field(
        None, description="regular expression with the group analyte for headers such as `Glu %SD`"
    )
    units: dict[str, str] = Field(
        {}, description="header -> unit, where each row is an analyte and each column a unit it is given in"
    )
    unit_row: bool = Field(False, description="the row after the headers holds the units")
    columns: dict[str, str] = Field(
        {}, description="header -> analyte text, beside the headers that the catalogue and [analytes] know"
    )


class Samples(Part):
    """What identifies a sample, and what happens to repeated measurements."""

    unique: Literal["lab", "run", "subject"] = Field(
        "subject",
        description="sample ids are unique in the lab, in a run, or within their subject "
        "(where there is no subject, within the export)",
    )
    replicates: Literal["refuse", "mean", "diluted if above uloq"] = Field(
        "refuse", description="how repeated measurements of one sample in one export are resolved"
    )
    methods: tuple[str, ...] = Field(
        (), description="methods from best to worst; empty: two methods conflict"
    )

    @field_validator("methods")
    @classmethod
    def _once_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a method is listed twice")
        return value


class Layout(Part):
    """One layout file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = ""
    extends: str | None = Field(None, description="name of a layout whose keys this one starts from")
    reader: str = Field(
        "table",
        description="container: table (delimited text or workbook), delimited, workbook, dataset (table, SAS transport "
        "file or Dataset-JSON), hl7v2, fhir, masshunter, analyst, shimadzu, targetlynx, quandata, mwtab, lcmodel",
    )
    labs: tuple[str, ...] = Field((), description="labs it is for; empty: any lab")
    detect: Detect = Detect()
    encoding: Codec = Field(None, description="Python codec name; unset: what the bytes prove")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="one character; unset: what the head proves"
    )
    whole_last_line: bool = Field(
        False, description="tables whose last line has no line end are whole: its last cell is read as it is"
    )
    header_row: int | None = Field(None, ge=1, description="1-based; unset: the first row with known headers")
    sheets: tuple[str, ...] = Field((), description="sheets of a workbook; empty: all")
    columns: dict[OurColumn, tuple[str, ...]] = Field({}, description="our column -> headers it may have")
    fallbacks: dict[OurColumn, tuple[str, ...]] = Field(
        {}, description="our column -> headers that are read where its own header is absent or its cell empty"
    )
    blank: tuple[str, ...] = Field(
        (), description="texts that stand for an empty cell in every column, for example NA as R writes it"
    )
    constants: dict[OurColumn, str] = Field({}, description="our column -> text where the export has none")
    sheet: OurColumn | None = Field(
        None, description="our column that the name of a sheet fills, such as analyte"
    )
    response: tuple[str, ...] = Field(
        (), description="headers of peak areas, read as results of basis response where there is no value"
    )
    unit_headers: tuple[str, ...] = Field(
        (), description="headers that are a unit, with the values in that unit, read where there is no value"
    )
    comparable_response: bool = Field(
        False, description="peak areas of one sample may be ratioed with each other"
    )
    checked_by: tuple[str, str] | None = Field(
        None,
        description="headers of a second value and of its unit; where the unit is that of the value, the receipt "
        "notes how many differ by more than rounding, and nothing is changed",
    )
    snapshot: bool = Field(
        False, description="each export of a lab holds everything; a newer one replaces the older ones whole"
    )
    wide: Wide | None = None
    values: Values = Values()
    times: Times = Times()
    vocabulary: tuple[str, ...] = Field(
        (), description="vocabularies for abbreviations, for example amino_acids"
    )
    analytes: dict[str, str] = Field({}, description="text or local code -> analyte or metric id")
    specimens: dict[str, str] = Field({}, description="text -> specimen id")
    units: dict[str, str] = Field({}, description="unit text -> a unit the catalogue knows")
    roles: tuple[RoleRule, ...] = ()
    samples: Samples = Samples()

    @field_validator("columns", "fallbacks", mode="before")
    @classmethod
    def _one_or_many(cls, value: dict[str, object]) -> dict[str, object]:
        return {k: (v,) if isinstance(v, str) else v for k, v in value.items()}

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def digest(self) -> str:
        """SHA-256 of everything the layout says: part of the reading hash."""
        return _digest(self)


@functools.lru_cache(maxsize=1_000)  # every export of a run asks
def _digest(layout: Layout) -> str:
    return hashlib.sha256(layout.model_dump_json().encode()).hexdigest()
