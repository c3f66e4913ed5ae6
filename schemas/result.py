"""The standardised result: the typed columns of the ledger, and the receipt of an edition."""

from __future__ import annotations

import polars as pl

from schemas.export import ROWS_SCHEMA

UTC = pl.Datetime("us", "UTC")
LOCAL = pl.Datetime("us")

#: What a result can be, and what it was measured of.
STATUSES = ("corrected", "final", "preliminary", "withdrawn")
ROLES = ("blank", "calibrator", "internal standard", "qc", "qualifier", "sample")

#: Columns that the ledger keeps as sent, under `sent_...`, because a typed column of its own exists.
KEPT_AS_SENT = (
    "specimen",
    "collected_at",
    "collected_until",
    "acquired_at",
    "reported_at",
    "analyte",
    "code",
    "value",
    "unit",
    "rel_sd",
    "dilution",
    "lloq",
    "uloq",
    "ref_low",
    "ref_high",
    "status",
    "role",
)

#: One standardised result. Amounts are in `unit`, the canonical UCUM unit of their basis.
RESULT_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    # provenance
    "export": pl.String,
    "row": pl.Int64,
    "item": pl.String,
    "layout": pl.String,
    "reading_hash": pl.String,
    "received_at": UTC,
    # identity
    "sample_key": pl.String,
    "subject": pl.String,
    "sample": pl.String,
    "specimen": pl.String,
    "site": pl.String,
    "visit": pl.String,
    "timepoint": pl.String,
    "replicate": pl.String,
    "method": pl.String,
    "method_rank": pl.Int32,
    # what was measured, and how much of it
    "analyte": pl.String,
    "is_ratio": pl.Boolean,
    "low": pl.Float64,
    "high": pl.Float64,
    "rounding": pl.Float64,
    "unit": pl.String,
    "basis": pl.String,
    "censoring": pl.String,
    "rel_sd": pl.Float64,
    "dilution": pl.Float64,
    "ref_low": pl.Float64,
    "ref_high": pl.Float64,
    "status": pl.String,
    "role": pl.String,
    "run": pl.String,
    "comment": pl.String,
    "replicates": pl.String,
    # when
    "collected_at": UTC,
    "collected_local": LOCAL,
    "time_precision": pl.String,
    "time_source": pl.String,
    "reported_at": UTC,
    "month": pl.String,
    # the verdict
    "accepted": pl.Boolean,
    "reasons": pl.List(pl.String),
    "hint": pl.String,
    # the text as sent
    **{f"sent_{name}": pl.String for name in KEPT_AS_SENT},
    "raw": ROWS_SCHEMA["raw"],
    "defect": ROWS_SCHEMA["defect"],
}

#: One receipt: what became of one edition of one export.
RECEIPT_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "export": pl.String,
    "name": pl.String,
    "size": pl.Int64,
    "layout": pl.String,
    "reading_hash": pl.String,
    "received_at": UTC,
    "recorded_at": UTC,
    "rows": pl.Int64,
    "accepted_rows": pl.Int64,
    "quarantined_rows": pl.Int64,
    "reason": pl.String,
    "reason_counts": pl.List(pl.Struct({"reason": pl.String, "count": pl.Int64})),
    "skipped": pl.List(pl.Struct({"name": pl.String, "count": pl.Int64})),
    "notes": pl.List(pl.String),
    "months": pl.List(pl.String),
    # what the edition is: see `ACTIONS`
    "action": pl.String,
    "action_reason": pl.String,
    # a newer export of the same series replaces an older one as a whole; null where exports add up
    "series": pl.String,
    # what it was read with: of the three parts of the reading hash, the two that a home can change
    "reading_catalogue": pl.String,
    "layout_digest": pl.String,
}

#: What an edition of an export is: a reading of its bytes; a withdrawal (the export counts no longer); an
#: erasure (its bytes are gone, and the rows of a subject with them).
ACTIONS = READ, WITHDRAWN, ERASED = ("read", "withdrawn", "erased")

#: The partition columns of the ledger: they stand in its log, not in its files.
LEDGER_PARTITIONS = {"lab": pl.String, "kind": pl.String, "edition": pl.Int32}

LEDGER_SCHEMA = {**LEDGER_PARTITIONS, **RESULT_SCHEMA, **RECEIPT_SCHEMA}

#: The month of rows that have none.
UNDATED = "undated"
