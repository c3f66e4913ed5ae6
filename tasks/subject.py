"""What of a ledger is a subject's, and what stays without it. Pure Polars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from schemas.result import ERASED, RECEIPT_SCHEMA, WITHDRAWN

#: what stands in the place of a name that is gone
GONE = "erased"
#: ids of fewer characters stand in too many texts: rows without a subject and bytes are not searched for them
LONG_ENOUGH = 4
#: what counts are made of
COUNTED: dict[str, pl.DataType | type[pl.DataType]] = {
    "export": pl.String,
    "edition": pl.Int32,
    "accepted": pl.Boolean,
    "reasons": pl.List(pl.String),
}
_TEXTS = ("raw", "comment", "hint", "defect", "run", "sent_specimen", "sent_analyte", "sent_code", "sent_status",
          "sent_role", "sent_collected_at", "sent_acquired_at", "sent_reported_at", "sent_value", "sent_unit")  # fmt: skip


@dataclass(frozen=True)
class Search:
    """How a subject of one lab is recognised."""

    lab: str
    subject: str
    keys: frozenset[str] = frozenset()

    @property
    def _pattern(self) -> str:
        text = pl.escape_regex(self.subject)
        return rf"(?i)(?:^|[^\p{{Alphabetic}}\p{{N}}]){text}(?:$|[^\p{{Alphabetic}}\p{{N}}])"

    def in_text(self, column: pl.Expr) -> pl.Expr:
        """Whether a text names the subject."""
        return column.str.contains(self._pattern).fill_null(False)

    def named(self, text: str) -> bool:
        """The same of one text."""
        return bool(pl.select(self.in_text(pl.lit(text))).item())

    @property
    def own_rows(self) -> pl.Expr:
        """Rows of the subject, of its samples, and those without a subject whose ids or record name it."""
        by_key = pl.col("sample_key").is_in(list(self.keys)).fill_null(False)
        own = (pl.col("subject") == self.subject).fill_null(False) | by_key
        if len(self.subject) < LONG_ENOUGH:
            return own
        ids = pl.any_horizontal(self.in_text(pl.col(name)) for name in ("sample", "item", "raw"))
        return own | (pl.col("subject").is_null() & ids)

    @property
    def texts(self) -> pl.Expr:
        """Rows of others, of which a text names the subject."""
        return ~self.own_rows & pl.any_horizontal(self.in_text(pl.col(name)) for name in _TEXTS)

    def without(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What stays of `rows`."""
        blanked = [
            pl.when(~self.in_text(pl.col(name))).then(pl.col(name)).alias(name)
            for name in _TEXTS
            if rows[name].null_count() < len(rows)
        ]
        return rows.filter(~self.own_rows).with_columns(blanked)


def blanked(receipts: pl.DataFrame, search: Search, exports: set[str]) -> pl.DataFrame:
    """Receipts without the names of `exports`, and without any text that names the subject."""
    held = pl.col("export").is_in(list(exports)) | search.in_text(pl.col("name"))
    field_ = pl.element().struct.field
    return receipts.with_columns(
        pl.when(held).then(pl.lit(GONE)).otherwise("name").alias("name"),
        pl.when(search.in_text(pl.col("action_reason")))
        .then(pl.lit(GONE))
        .otherwise("action_reason")
        .alias("action_reason"),
        pl.col("notes").list.eval(pl.element().filter(~search.in_text(pl.element()))),
        pl.col("skipped").list.eval(
            pl.struct(
                pl.when(search.in_text(field_("name")))
                .then(pl.lit(GONE))
                .otherwise(field_("name"))
                .alias("name"),
                field_("count"),
            )
        ),
    )


def recounted(
    receipts: pl.DataFrame, rows: pl.DataFrame, again: dict[str, int], exports: set[str]
) -> pl.DataFrame:
    """The receipts of `exports` with the counts of the rows that stay (`COUNTED`).

    again: export -> the edition whose rows stand once more, in the edition after it.
    """
    by = ["export", "edition"]
    copied = pl.DataFrame(
        list(again.items()), schema={"export": pl.String, "edition": pl.Int32}, orient="row"
    )
    twice = rows.join(copied, on=by, how="semi").with_columns(pl.col("edition") + 1)
    rows = pl.concat([rows, twice])
    counted = rows.group_by(by).agg(
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col("accepted").sum().cast(pl.Int64).alias("accepted_rows"),
        (~pl.col("accepted")).sum().cast(pl.Int64).alias("quarantined_rows"),
    )
    reasons = (
        rows.select(*by, pl.col("reasons").alias("reason"))
        .explode("reason", empty_as_null=True)
        .drop_nulls("reason")
        .group_by(*by, "reason")
        .agg(pl.len().cast(pl.Int64).alias("count"))
        .sort("reason")
        .group_by(by)
        .agg(pl.struct("reason", "count").alias("reason_counts"))
    )
    theirs = receipts.filter(pl.col("export").is_in(list(exports)))
    renewed = (
        theirs.drop("rows", "accepted_rows", "quarantined_rows", "reason_counts")
        .join(counted, on=by, how="left")
        .join(reasons, on=by, how="left")
        .with_columns(
            pl.col("rows", "accepted_rows", "quarantined_rows").fill_null(0),
            pl.col("reason_counts").fill_null([]),
        )
        .select(receipts.columns)
    )
    return pl.concat([receipts.filter(~pl.col("export").is_in(list(exports))), renewed])


def editions(receipts: pl.DataFrame, exports: set[str], now: datetime) -> pl.DataFrame:
    """A new receipt for each of `exports` that counts: the same reading, without the subject, and every month
    that an older edition touched. What was withdrawn counts no more, so it needs none."""
    of = receipts.filter(pl.col("export").is_in(list(exports)))
    months = of.group_by("export").agg(
        pl.col("months").explode(empty_as_null=True).drop_nulls().unique().sort()
    )
    return (
        of.filter(pl.col("edition") == pl.col("edition").max().over("export"))
        .filter(pl.col("action") != WITHDRAWN)
        .drop("months")
        .join(months, on="export")
        .with_columns(
            (pl.col("edition") + 1).cast(pl.Int32),
            pl.lit(ERASED).alias("action"),
            pl.lit(None, pl.String).alias("action_reason"),
            pl.lit(now).cast(RECEIPT_SCHEMA["recorded_at"]).alias("recorded_at"),
        )
        .select(receipts.columns)
    )
