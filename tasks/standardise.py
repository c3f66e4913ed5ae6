"""Text to typed results: pure Polars over one batch of rows, apart from the world.

The texts of a batch are coded, and what they mean is worked out once for each text, or for each
distinct combination of texts, and looked up by the codes; everything else is an expression.
"""

from __future__ import annotations

import math
from functools import partial

import polars as pl

from schemas.export import TEXT_COLUMNS
from schemas.layout import Layout
from schemas.result import KEPT_AS_SENT
from tasks.codes import by_text, coded, coded_frame, combinations, constant, numbers_of
from tasks.meanings import Context, looked_up, statuses_and_roles
from tasks.numbers import NumberStyle, number_style, read_number, read_value
from tasks.times import read_times
from tasks.validate import faulty_texts

#: Bumped when the same bytes would be read or standardised in another way: part of the reading hash.
VERSION = 3
#: LCModel and others print 999 % for what they could not fit.
_UNFITTED = 9.99
#: texts of which few say the same as another row: not coded
_ONE_BY_ONE = ("value", "comment", "raw")
_REPEATED = [name for name in TEXT_COLUMNS if name not in _ONE_BY_ONE]
_IDENTITY = ("subject", "sample", "site", "visit", "timepoint", "replicate", "method", "run")


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


def _sample_keys(frame: pl.DataFrame, layout: Layout) -> pl.Series:
    who, at = combinations(
        frame.select("export", "run", "subject", "sample", "specimen_id", "site", "visit", "timepoint")
    )
    return coded(who.select(_sample_key(layout).alias("sample_key")).to_series()).gather(at)


def _stripped(texts: pl.Series) -> pl.Series:
    """An empty text says as little as no text."""
    return texts.str.strip_chars().replace("", None)


def _without_blanks(blank: list[str], texts: pl.Series) -> pl.Series:
    return texts.set(texts.str.strip_chars().is_in(blank), None)


def standardise(rows: pl.DataFrame, context: Context) -> pl.DataFrame:
    """One batch of text as typed results, with what `validate` needs to judge them.

    rows: frame of `ROWS_SCHEMA`, null where the export does not say, with `export` and `received_at`.
    Returns the same rows in the same order with the typed columns of `RESULT_SCHEMA` (but
    `accepted` and `reasons`), texts that repeat as `codes`, and the columns `*_problem`, `has_control` and
    `is_long`. Amounts are converted to the canonical unit of their basis (umol/L, umol/mmol{creat}, ...).
    """
    layout = context.layout
    frame = coded_frame(rows, "export", "item", *_REPEATED)
    sent = frame.select(pl.col(name).alias(f"sent_{name}") for name in KEPT_AS_SENT)
    if layout.blank:
        empty = partial(_without_blanks, list(layout.blank))
        told = [by_text(frame[name], empty) for name in _REPEATED if name != "defect"]
        frame = frame.with_columns(*told, empty(frame["comment"]))
    frame = frame.with_columns(by_text(frame[name], _stripped) for name in _IDENTITY)
    frame = statuses_and_roles(looked_up(frame, context), context).hstack(sent)
    if context.style is None:
        context.style = number_style(frame["value"], layout)
    ranks = {name: rank for rank, name in enumerate(layout.samples.methods)}
    frame = frame.with_columns(
        constant(context.reading_hash).alias("reading_hash"),
        constant(layout.name).alias("layout"),
        constant(layout.samples.replicates).alias("replicates"),
        by_text(frame["method"], partial(numbers_of, ranks, pl.Int32)).alias("method_rank"),
        _sample_keys(frame, layout),
    )
    frame = read_value(frame, layout, context.style)
    frame = read_times(frame, layout, context.timezone)
    frame = _unfitted(frame.with_columns(_rel_sd(frame, layout, context.style)))
    scaled = [(pl.col(name) * pl.col("factor")).alias(name) for name in ("low", "high", "rounding")]
    return frame.with_columns(
        *scaled,
        *_reference_limits(frame, context.style),
        *faulty_texts(frame),
        pl.col("id").alias("analyte"),
        pl.col("specimen_id").alias("specimen"),
        pl.col("unit_id").alias("unit"),
        pl.col("status_id").alias("status"),
        pl.col("role_id").alias("role"),
    ).drop("id", "specimen_id", "unit_id", "status_id", "role_id")


def _rel_sd(frame: pl.DataFrame, layout: Layout, style: NumberStyle) -> pl.Series:
    numbers = by_text(frame["rel_sd"], partial(read_number, style=style))
    return numbers / (100 if layout.values.rel_sd == "percent" else 1)


def _unfitted(frame: pl.DataFrame) -> pl.DataFrame:
    """A value whose relative uncertainty is 999 % or more was not fitted: nothing is known of it."""
    unfitted = (pl.col("rel_sd") >= _UNFITTED).fill_null(False) & pl.col("low").is_not_null()
    return frame.with_columns(
        pl.when(unfitted).then(0.0).otherwise("low").alias("low"),
        pl.when(unfitted).then(math.inf).otherwise("high").alias("high"),
        pl.when(unfitted).then(pl.lit("not detected")).otherwise("censoring").alias("censoring"),
    )


def _reference_limits(frame: pl.DataFrame, style: NumberStyle) -> list[pl.Series]:
    """Reference limits in the unit of the result, from two columns or from one such as 35-104, <7.2."""
    sent, at = combinations(frame.select("ref_low", "ref_high"))
    low, high = sent["ref_low"].str.strip_chars(), sent["ref_high"].str.strip_chars()
    parts = low.str.extract_groups(
        r"^([<>≤≥]=?)?\s*(\d+(?:[.,]\d+)*)\s*(?:(?:-|–|—|to|bis|\.\.)\s*(\d+(?:[.,]\d+)*))?$"
    )
    sign, first, second = (parts.struct.field(name) for name in parts.struct.fields)
    upper = sign.str.starts_with("<") | sign.str.starts_with("≤")
    ends = pl.DataFrame(
        {
            "n": read_number(first, style),
            "up": upper.fill_null(False),
            "b": read_number(second, style),
            "h": read_number(high, style),
        }
    )
    both = ends.select(
        pl.when(~pl.col("up")).then("n").alias("ref_low"),
        pl.coalesce("b", pl.when("up").then("n"), "h").alias("ref_high"),
    )
    return [both[name].gather(at) * frame["factor"] for name in ("ref_low", "ref_high")]
