"""The published datasets: every column with its description, its unit and whether it is PHI.

One definition makes the Pandera schema that a file must pass, the metadata inside the Parquet
files, `datapackage.json` and the data dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from schemas.parquet import said_schema
from schemas.result import LOCAL, UTC

if TYPE_CHECKING:
    import pandera.polars as pa
    import pyarrow

    from schemas.catalogue import Catalogue

#: Bumped when what is published from the same ledger would differ: files built before are built again.
VERSION = 2


@dataclass(frozen=True)
class Column:
    """One published column. `lineage` columns say where a row came from, not what is true of the sample."""

    name: str
    dtype: Any
    description: str
    unit: str = ""
    phi: bool = False
    lineage: bool = False
    required: bool = False


_SAMPLE = (
    Column("lab", pl.String, "lab that sent the export", required=True),
    Column("month", pl.String, "lab-local month of collection, YYYY-MM", required=True),
    Column("subject", pl.String, "pseudonym of the subject (HMAC), or the study code", phi=True),
    Column("sample", pl.String, "pseudonym of the sample (HMAC), or the study code", phi=True, required=True),
    Column(
        "sample_key",
        pl.String,
        "pseudonym of everything that identifies the sample: join datasets by lab and this",
        required=True,
    ),
    Column("specimen", pl.String, "specimen, as named in the catalogue", required=True),
    Column("compartment", pl.String, "central or peripheral: a property of the specimen", required=True),
    Column("site", pl.String, "brain region, voxel or fraction, where there is one"),
    Column("visit", pl.String, "visit, where there is one"),
    Column("timepoint", pl.String, "planned time within a visit, where there is one"),
    Column("collected_at", UTC, "collection time in UTC; null where only the day is known"),
    Column(
        "collected_local", LOCAL, "collection time by the lab's clock; midnight where only the day is known"
    ),
    Column(
        "local_clock_time", pl.Time, "time of day of the collection by the lab's clock, null where not known"
    ),
    Column("time_precision", pl.String, "clock or day"),
    Column("time_source", pl.String, "collected, or acquired or reported where the layout allows it"),
)
#: in panels, the ids of the metrics stand beside them
COLUMNS_OF_SAMPLES = frozenset(column.name for column in _SAMPLE)

_RESULTS = (
    *_SAMPLE,
    Column("analyte", pl.String, "analyte; for a ratio that the lab prints itself, the metric", required=True),
    Column("is_ratio", pl.Boolean, "true for a ratio that the lab prints itself", required=True),
    Column("value", pl.Float64, "the amount where it is not censored, otherwise null", "as in `unit`"),
    Column("low", pl.Float64, "lower end of the interval that the amount lies in", "as in `unit`", required=True),
    Column("high", pl.Float64, "upper end of the interval that the amount lies in; infinite above the upper limit",
           "as in `unit`", required=True),
    Column("unit", pl.String, "canonical UCUM unit of the basis", required=True),
    Column("basis", pl.String, "per_volume, per_creatinine, per_wet_mass, ...", required=True),
    Column("censoring", pl.String, "none, below, above or not detected", required=True),
    Column("rel_sd", pl.Float64, "relative standard uncertainty where the export states one", "1"),
    Column("ref_low", pl.Float64, "lower reference limit that the lab printed", "as in `unit`"),
    Column("ref_high", pl.Float64, "upper reference limit that the lab printed", "as in `unit`"),
    Column("method", pl.String, "measuring method, where the export says it"),
    Column("status", pl.String, "preliminary, final or corrected", required=True),
    Column("flag", pl.String, "what to know before using the result, for example an incomplete 24 h collection"),
    Column("reported_at", UTC, "when the lab reported it, in UTC"),
    Column("export", pl.String, "SHA-256 of the export it came from", lineage=True, required=True),
    Column("edition", pl.Int32, "edition of that export", lineage=True, required=True),
    Column("row", pl.Int64, "1-based row in that export", lineage=True, required=True),
    Column("item", pl.String, "which value of that row", lineage=True, required=True),
)  # fmt: skip

_METRICS = (
    *_SAMPLE,
    Column("metric", pl.String, "metric, as named in the catalogue", required=True),
    Column("name", pl.String, "name of the metric for people", required=True),
    Column("value", pl.Float64, "the metric where both ends of its interval agree, otherwise null", "as in `unit`"),
    Column("low", pl.Float64, "lower end of the interval that the metric lies in", "as in `unit`"),
    Column("high", pl.Float64, "upper end of the interval that the metric lies in", "as in `unit`"),
    Column("unit", pl.String, "unit of the metric: 1, or for example umol/mmol", required=True),
    Column("status", pl.String, "uncensored, below, above, bounded, undetermined, or absent", required=True),
    Column("reason", pl.String, "why the metric is absent"),
    Column("basis", pl.String, "basis that both sides are in"),
    Column("numerator_low", pl.Float64, "sum (balance: geometric mean) of the numerator, lower end", "as in `component_unit`"),
    Column("numerator_high", pl.Float64, "the same, upper end", "as in `component_unit`"),
    Column("denominator_low", pl.Float64, "sum (balance: geometric mean) of the denominator, lower end", "as in `component_unit`"),
    Column("denominator_high", pl.Float64, "the same, upper end", "as in `component_unit`"),
    Column("component_unit", pl.String, "canonical UCUM unit of the components"),
    Column("reported_low", pl.Float64, "the same ratio as the lab prints it, lower end", "as in `unit`"),
    Column("reported_high", pl.Float64, "the same ratio as the lab prints it, upper end", "as in `unit`"),
    Column("reported_agrees", pl.Boolean,
           "whether the printed ratio agrees with its components within the rounding of all of them"),
    Column("studied_in", pl.String, "domains in which the metric is studied, separated by |"),
    Column("evidence_grade", pl.String, "established_clinical, established_research, commercial_only or unverified", required=True),
    Column("label", pl.String, "central or peripheral, and commercial only where it is", required=True),
    Column("citation", pl.String, "source of the metric"),
    Column("flag", pl.String, "what to know before using it, for example an unusual creatinine"),
)  # fmt: skip

_QUARANTINE = (
    Column("lab", pl.String, "lab that sent the export", required=True),
    Column(
        "month", pl.String, "lab-local month of collection; `undated` where it is not known", required=True
    ),
    Column("export", pl.String, "SHA-256 of the export", required=True),
    Column("edition", pl.Int32, "edition of the export", lineage=True, required=True),
    Column("row", pl.Int64, "1-based row in the export", required=True),
    Column("item", pl.String, "which value of that row", required=True),
    Column("layout", pl.String, "layout that it was read with", required=True),
    Column("role", pl.String, "sample, qc, calibrator, blank, internal standard or qualifier"),
    Column("reason", pl.String, "reason; a row with several reasons stands once for each", required=True),
    Column("mend", pl.String, "how to mend it", required=True),
)

_EXPORTS = (
    Column("lab", pl.String, "lab that sent the export", required=True),
    Column("month", pl.String, "month of first receipt in UTC, YYYY-MM", lineage=True, required=True),
    Column("export", pl.String, "SHA-256 of the export", required=True),
    Column("edition", pl.Int32, "newest edition", lineage=True, required=True),
    Column("layout", pl.String, "layout that it was read with; null where no layout fits"),
    Column("reason", pl.String, "why the export as a whole could not be read"),
    Column("rows", pl.Int64, "results read", "rows", required=True),
    Column("accepted", pl.Int64, "results accepted", "rows", required=True),
    Column(
        "quarantined", pl.Int64, "results quarantined; rows = accepted + quarantined", "rows", required=True
    ),
    Column("skipped", pl.String, "what else the source holds, by name and count"),
    Column("reasons", pl.String, "reasons for quarantine, by count"),
    Column("size", pl.Int64, "size of the export", "bytes", required=True),
    Column("reading_hash", pl.String, "what the newest edition was read with", required=True),
    Column("received_at", UTC, "first receipt in UTC", lineage=True, required=True),
    Column("recorded_at", UTC, "when the newest edition was committed, in UTC", lineage=True, required=True),
)

_CATALOGUE = (
    Column("metric", pl.String, "metric id", required=True),
    Column("name", pl.String, "name for people", required=True),
    Column("formula", pl.String, "formula over analyte ids", required=True),
    Column("unit", pl.String, "unit of the metric"),
    Column("specimens", pl.String, "specimens that it is defined for, separated by |", required=True),
    Column("computed", pl.Boolean, "whether it is computed", required=True),
    Column("not_computed_because", pl.String, "why not"),
    Column("studied_in", pl.String, "domains in which it is studied, separated by |"),
    Column("evidence_grade", pl.String, "established_clinical, established_research, commercial_only or unverified", required=True),
    Column("caveats", pl.String, "what to know before using it"),
    Column("citation", pl.String, "source"),
    Column("published_values", pl.String, "values as published, with their source; not reference intervals"),
)  # fmt: skip


def datasets(catalogue: Catalogue) -> dict[str, tuple[Column, ...]]:
    """Every published dataset and its columns; `panels` has one column per computed metric."""
    panels = tuple(
        Column(
            metric.id,
            pl.Float64,
            f"{metric.name}: the uncensored value, otherwise null (see metrics)",
            metric.unit,
        )
        for metric in catalogue.metrics.values()
        if metric.computed
    )
    return {
        "results": _RESULTS,
        "metrics": _METRICS,
        "panels": (*_SAMPLE, *panels),
        "quarantine": _QUARANTINE,
        "exports": _EXPORTS,
        "catalogue": _CATALOGUE,
    }


def polars_schema(columns: tuple[Column, ...]) -> dict[str, Any]:
    """Column name -> Polars type."""
    return {column.name: column.dtype for column in columns}


@cache
def pandera_schema(columns: tuple[Column, ...], coded: frozenset[str] = frozenset()) -> pa.DataFrameSchema:
    """The schema that a file must pass before it replaces the published one.

    coded: columns whose texts stand as codes (`pl.Enum`, each with texts of its own), and are written as texts."""
    import pandera.polars as pa

    return pa.DataFrameSchema(
        {
            column.name: pa.Column(
                None if column.name in coded else column.dtype,
                nullable=not column.required,
                description=column.description,
                metadata={"unit": column.unit, "phi": column.phi, "lineage": column.lineage},
            )
            for column in columns
        },
        strict=True,
        ordered=True,
    )


@cache
def _arrow_fields(columns: tuple[Column, ...]) -> tuple[pyarrow.Field, ...]:
    """The Arrow fields of a dataset, with description, unit, PHI mark and lineage mark on each."""
    import pyarrow

    plain = pl.DataFrame(schema=polars_schema(columns)).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    fields = []
    for column in columns:
        said = {"description": column.description, "unit": column.unit, "phi": str(column.phi).lower()}
        fields.append(
            pyarrow.field(
                column.name,
                plain.field(column.name).type,
                metadata=said | {"lineage": str(column.lineage).lower()},
            )
        )
    return tuple(fields)


def file_metadata(columns: tuple[Column, ...], about: dict[str, str]) -> dict[str, str]:
    """The metadata of a Parquet file: `about`, and the Arrow schema with what is said of each column."""
    import pyarrow

    said = {f"neurobalance.{key}": value for key, value in about.items()}
    return said | said_schema(pyarrow.schema(_arrow_fields(columns), metadata=said))


def datapackage(datasets: dict[str, tuple[Column, ...]]) -> dict:
    """The Frictionless data package of the outputs: every dataset, column, type, unit and PHI mark."""
    kinds = {pl.String: "string", pl.Boolean: "boolean", pl.Float64: "number", pl.Int64: "integer", pl.Int32: "integer",
             pl.Time: "time"}  # fmt: skip
    return {
        "name": "neurobalance-outputs",
        "profile": "data-package",
        "resources": [
            {
                "name": name,
                "path": "catalogue/catalogue.parquet" if name == "catalogue" else f"{name}/**/*.parquet",
                "format": "parquet",
                "mediatype": "application/vnd.apache.parquet",
                "schema": {
                    "fields": [
                        {
                            "name": c.name,
                            "type": kinds.get(c.dtype, "datetime"),
                            "description": c.description,
                            "unit": c.unit,
                            "phi": c.phi,
                            "lineage": c.lineage,
                            "constraints": {"required": c.required},
                        }
                        for c in columns
                    ]
                },
            }
            for name, columns in datasets.items()
        ],
    }
