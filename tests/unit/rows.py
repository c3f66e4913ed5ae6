"""Rows for the tests of pure stages: as text, standardised, or as they stand in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import polars as pl

from schemas.catalogue import load_catalogue
from schemas.export import as_rows
from schemas.layout import Layout
from schemas.result import RESULT_SCHEMA
from tasks.meanings import Context
from tasks.standardise import standardise
from tests.home import PLAIN

RECEIVED = datetime(2024, 6, 1, tzinfo=UTC)


def text_rows(*rows: dict) -> pl.DataFrame:
    """Rows of text; what a row does not say is taken from PLAIN, and None says nothing."""
    said = [{"row": n, "item": "1"} | PLAIN | row for n, row in enumerate(rows, 1)]
    names = list(dict.fromkeys(name for row in said for name in row))
    frame = pl.DataFrame(
        [{n: row.get(n) for n in names} for row in said], infer_schema_length=None, strict=False
    )
    return of_export(as_rows(frame))


def of_export(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of text with the export that they might be of."""
    return rows.with_columns(
        pl.lit("e" * 64).alias("export"), pl.lit(RECEIVED).cast(pl.Datetime("us", "UTC")).alias("received_at")
    )


def standardised(*rows: dict, layout: dict | None = None, zone: str | None = "Europe/Berlin") -> pl.DataFrame:
    """Rows as `standardise` gives them under a layout with the keys of `layout`."""
    made = Layout.model_validate({"name": "test"} | (layout or {}))
    context = Context("hash", made, load_catalogue(), zone)
    return standardise(text_rows(*rows), context)


_NUMBERS = count(1)

_LEDGER = {
    "export": "a", "edition": 1, "item": "1", "layout": "test", "sample_key": "s", "subject": "P", "sample": "S",
    "specimen": "urine", "analyte": "dopamine", "is_ratio": False, "unit": "umol/L", "basis": "per_volume",
    "censoring": "none", "status": "final", "role": "sample", "replicates": "refuse", "time_precision": "clock",
    "time_source": "collected", "accepted": True, "reasons": [], "received_at": RECEIVED,
    "collected_at": datetime(2024, 3, 1, 8, tzinfo=UTC), "collected_local": datetime(2024, 3, 1, 9), "month": "2024-03",
}  # fmt: skip


def day(number: float) -> datetime:
    """A moment, `number` days into January 2024."""
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


def ledger_rows(*rows: dict) -> pl.DataFrame:
    """Rows as the ledger holds them: `value` for an uncensored amount, `refused` for a reason of quarantine."""
    out = []
    for said in rows:
        row = dict(said)
        if "value" in row:
            row["low"] = row["high"] = float(row.pop("value"))
        if "refused" in row:
            row |= {"accepted": False, "reasons": [row.pop("refused")]}
        out.append({"row": next(_NUMBERS)} | _LEDGER | row)
    return pl.DataFrame(out, schema=RESULT_SCHEMA | {"edition": pl.Int32})
