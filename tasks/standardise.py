"""Text to typed results: pure Polars over one batch of rows, apart from the world.

The texts of a batch that need a look-up (what, where, in which unit) are resolved once per
distinct combination and joined back; everything else is an expression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import polars as pl

from schemas.catalogue import Catalogue
from schemas.export import TEXT_COLUMNS
from schemas.layout import Layout
from schemas.result import KEPT_AS_SENT
from schemas.units import as_comparable
from tasks.numbers import NumberStyle, number_style, read_number, read_value
from tasks.times import read_times

#: Bumped when the same bytes would be read or standardised in another way: part of the reading hash.
VERSION = 3
#: bases that results of any specimen may have
_ANYWHERE = ("amount", "response")
#: LCModel and others print 999 % for what they could not fit.
_UNFITTED = 9.99


@dataclass
class Context:
    """What the exports are read with whose rows are standardised together."""

    reading_hash: str
    layout: Layout
    catalogue: Catalogue
    timezone: str | None = None
    style: NumberStyle | None = None
    _seen: dict[tuple, dict] = field(default_factory=dict)

    def look_up(self, analyte: str | None, code: str | None, unit: str | None, specimen: str | None) -> dict:
        """What the four texts mean together; resolved once per distinct combination."""
        key = (analyte, code, unit, specimen)
        if key not in self._seen:
            self._seen[key] = _resolve(self, *key)
        return self._seen[key]


_LOOKUP = {
    "id": pl.String,
    "is_ratio": pl.Boolean,
    "specimen_id": pl.String,
    "factor": pl.Float64,
    "unit_id": pl.String,
    "basis": pl.String,
    "analyte_problem": pl.String,
    "specimen_problem": pl.String,
    "unit_problem": pl.String,
    "hint": pl.String,
}


def _resolve(
    context: Context, analyte: str | None, code: str | None, unit: str | None, specimen: str | None
) -> dict:
    catalogue, layout = context.catalogue, context.layout
    out: dict = dict.fromkeys(_LOOKUP)
    where = catalogue.resolve_specimen(specimen, layout)
    what = catalogue.resolve_analyte(analyte, code, layout, where)
    said = what.specimen_from_code or what.specimen_from_text
    if where is None and (specimen or "").strip():
        out["specimen_problem"] = "unknown specimen"
    elif where is None and said is None:
        out["specimen_problem"] = "no specimen"
    elif where is not None and said is not None and not _same_matrix(catalogue, where, said):
        out["specimen_problem"] = "specimen and code disagree"
    elif where is None:
        where = said
        what = catalogue.resolve_analyte(analyte, code, layout, where)
    out["id"], out["is_ratio"], out["specimen_id"] = what.id, what.kind == "metric", where
    if what.problem:
        out["analyte_problem"], _, out["hint"] = (part or None for part in what.problem.partition(": "))
    if what.id is not None:
        resolve = _resolve_ratio_unit if out["is_ratio"] else _resolve_unit
        resolve(out, context, unit)
    return out


def _same_matrix(catalogue: Catalogue, one: str, other: str) -> bool:
    """Whether a stated specimen can be what a code or name says: labs put 24 h codes on random urine."""
    return catalogue.specimens[one].matrix == catalogue.specimens[other].matrix


def _resolve_ratio_unit(out: dict, context: Context, unit: str | None) -> None:
    factor = context.catalogue.reported_factor(out["id"], unit, context.layout)
    if factor is None:
        out["unit_problem"] = "unit cannot be converted" if (unit or "").strip() else "no unit"
    else:
        out["factor"], out["unit_id"], out["basis"] = (
            factor,
            context.catalogue.metrics[out["id"]].unit,
            "ratio",
        )


def _resolve_unit(out: dict, context: Context, unit: str | None) -> None:
    catalogue = context.catalogue
    if not (unit or "").strip() and catalogue.analytes[out["id"]].measured_as != "number":
        out["unit_problem"] = "no unit"
        return
    found, out["unit_problem"] = catalogue.resolve_unit(unit, context.layout)
    if found is None:
        return
    if context.layout.comparable_response:
        found = as_comparable(found)
    converted = catalogue.conversion(out["id"], found)
    where = out["specimen_id"]
    if converted is None:
        out["unit_problem"] = "unit cannot be converted"
    elif where is not None and found.basis not in (*catalogue.specimens[where].bases, *_ANYWHERE):
        out["unit_problem"] = "unit does not fit the specimen"
    else:
        (out["factor"], out["unit_id"]), out["basis"] = converted, found.basis


def _look_up_batch(rows: pl.DataFrame, context: Context) -> pl.DataFrame:
    keys = ["analyte", "code", "unit", "specimen"]
    distinct = rows.select(keys).unique()
    found = [context.look_up(*key) for key in distinct.rows()]
    table = pl.concat([distinct, pl.DataFrame(found, schema=_LOOKUP)], how="horizontal")
    return rows.join(table, on=keys, how="left", nulls_equal=True, maintain_order="left")


def _mapped(column: str, meaning: dict[str | None, str | None]) -> pl.Expr:
    return pl.col(column).replace_strict(meaning, default=None, return_dtype=pl.String)


def _statuses_and_roles(rows: pl.DataFrame, context: Context) -> pl.DataFrame:
    """An absent status is final and an absent role is sample; a text that is not known is null."""
    catalogue = context.catalogue
    statuses = {t: catalogue.status(t) if t else "final" for t in rows["status"].str.strip_chars().unique()}
    roles = {t: catalogue.role(t) if t else "sample" for t in rows["role"].str.strip_chars().unique()}
    role = _mapped("role", roles)
    for rule in reversed(context.layout.roles):
        matches = pl.col(rule.column).str.contains(f"(?i){rule.matches}").fill_null(False)
        role = pl.when(matches).then(pl.lit(rule.role)).otherwise(role)
    return rows.with_columns(pl.col("status", "role").str.strip_chars()).with_columns(
        role.alias("role_id"), _mapped("status", statuses).alias("status_id")
    )


def _sample_key(layout: Layout) -> pl.Expr:
    """The text that identifies a sample within its lab; null where sample or specimen is not known."""
    subject = (
        pl.when(pl.col("subject").is_null())
        .then("export:" + pl.col("export"))
        .otherwise("subject:" + pl.col("subject"))
    )
    scope = {"lab": pl.lit("lab"), "run": "run:" + pl.col("run"), "subject": subject}[layout.samples.unique]
    optional = [pl.col(name).fill_null("") for name in ("site", "visit", "timepoint")]
    return pl.concat_str([scope, pl.col("sample"), pl.col("specimen_id"), *optional], separator="\x1f")


def standardise(rows: pl.DataFrame, context: Context) -> pl.DataFrame:
    """One batch of text as typed results, with what `validate` needs to judge them.

    rows: frame of `ROWS_SCHEMA`, null where the export does not say, with `export` and `received_at`.
    Returns the same rows in the same order with the typed columns of `RESULT_SCHEMA` (but
    `accepted` and `reasons`) and the columns `*_problem`, `number_problem` and `time_problem`.
    Amounts are converted to the canonical unit of their basis (umol/L, umol/mmol{creat}, ...).
    """
    layout = context.layout
    identity = ["subject", "sample", "site", "visit", "timepoint", "replicate", "method", "run"]
    sent = [pl.col(name).alias(f"sent_{name}") for name in KEPT_AS_SENT]
    # fill and strip once: an empty text says as little as no text
    stripped = [pl.col(name).str.strip_chars().replace("", None) for name in identity]
    frame = rows.with_columns(*sent)
    if layout.blank:
        told = pl.col([name for name in TEXT_COLUMNS if name not in ("value", "raw", "defect")])
        frame = frame.with_columns(pl.when(~told.str.strip_chars().is_in(layout.blank)).then(told))
    frame = frame.with_columns(*stripped)
    frame = _statuses_and_roles(_look_up_batch(frame, context), context)
    if context.style is None:
        context.style = number_style(frame["value"], layout)
    ranks = {name: rank for rank, name in enumerate(layout.samples.methods)}
    frame = frame.with_columns(
        pl.lit(context.reading_hash).alias("reading_hash"),
        pl.lit(layout.name).alias("layout"),
        pl.lit(layout.samples.replicates).alias("replicates"),
        pl.col("method").replace_strict(ranks, default=None, return_dtype=pl.Int32).alias("method_rank"),
    ).with_columns(_sample_key(layout).alias("sample_key"))
    frame = read_value(frame, layout, context.style)
    frame = read_times(frame, layout, context.timezone)
    frame = _unfitted(frame.with_columns(_rel_sd(frame, layout, context.style)))
    scaled = [(pl.col(name) * pl.col("factor")).alias(name) for name in ("low", "high", "rounding")]
    return frame.with_columns(
        *scaled,
        *_reference_limits(frame, context.style),
        pl.col("id").alias("analyte"),
        pl.col("specimen_id").alias("specimen"),
        pl.col("unit_id").alias("unit"),
        pl.col("status_id").alias("status"),
        pl.col("role_id").alias("role"),
    ).drop("id", "specimen_id", "unit_id", "status_id", "role_id")


def _rel_sd(frame: pl.DataFrame, layout: Layout, style: NumberStyle) -> pl.Series:
    return read_number(frame["rel_sd"], style) / (100 if layout.values.rel_sd == "percent" else 1)


def _unfitted(frame: pl.DataFrame) -> pl.DataFrame:
    """A value whose relative uncertainty is 999 % or more was not fitted: nothing is known of it."""
    unfitted = (pl.col("rel_sd") >= _UNFITTED).fill_null(False) & pl.col("low").is_not_null()
    return frame.with_columns(
        pl.when(unfitted).then(0.0).otherwise("low").alias("low"),
        pl.when(unfitted).then(math.inf).otherwise("high").alias("high"),
        pl.when(unfitted).then(pl.lit("not detected")).otherwise("censoring").alias("censoring"),
    )


def _reference_limits(frame: pl.DataFrame, style: NumberStyle) -> list[pl.Expr]:
    """Reference limits in the unit of the result, from two columns or from one such as 35-104, <7.2."""
    low, high = frame["ref_low"].str.strip_chars(), frame["ref_high"].str.strip_chars()
    if low.null_count() == len(low) and high.null_count() == len(high):
        return [pl.lit(None, pl.Float64).alias("ref_low"), pl.lit(None, pl.Float64).alias("ref_high")]
    parts = low.str.extract_groups(
        r"^([<>≤≥]=?)?\s*(\d+(?:[.,]\d+)*)\s*(?:(?:-|–|—|to|bis|\.\.)\s*(\d+(?:[.,]\d+)*))?$"
    )
    sign, first, second = (parts.struct.field(name) for name in parts.struct.fields)
    first_number = read_number(first, style)
    upper = sign.str.starts_with("<") | sign.str.starts_with("≤")
    ends = pl.DataFrame(
        {
            "n": first_number,
            "up": upper.fill_null(False),
            "b": read_number(second, style),
            "h": read_number(high, style),
        }
    )
    both = ends.select(
        pl.when(~pl.col("up")).then("n").alias("ref_low"),
        pl.coalesce("b", pl.when("up").then("n"), "h").alias("ref_high"),
    )
    return [pl.lit(both[name]).alias(name) * pl.col("factor") for name in ("ref_low", "ref_high")]
