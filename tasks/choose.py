"""Which archived exports a backfill reads again, by what their receipts say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from schemas.result import READ, UNDATED, UTC

#: Speed that a plan reckons with, assumed and on the slow side; a plan says so, and the progress bar measures.
ROWS_PER_SECOND = 25_000
EXPORTS_PER_SECOND = 50
#: for exports that were never read: bytes that make a row, about
_BYTES_PER_ROW = 100

#: What is known of each archived export: where it stands, how large it is, when its bytes were written.
ARCHIVED_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "lab": pl.String,
    "export": pl.String,
    "size": pl.Int64,
    "arrived": UTC,
}

#: One row per chosen export; those from `edition` on are null where no edition is in the ledger.
CHOSEN_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **ARCHIVED_SCHEMA,
    "edition": pl.Int32,
    "rows": pl.Int64,
    "accepted_rows": pl.Int64,
    "reading_hash": pl.String,
    "months": pl.List(pl.String),
}
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class WrongChoice(ValueError):
    """A choice of exports that cannot be meant; the message says what is wrong with it."""


@dataclass(frozen=True)
class Choice:
    """Which exports to read again: all that meet every condition named.

    from_month, to_month: `2024-01`, both inclusive, months of results; an export without any dated result
    stands in the month of its arrival. stale_catalogue, quarantined: what was read with another reading
    catalogue or layout than now; what has quarantined rows or could not be read. With both: either.
    exports: `<lab>/<sha256>`, only these. force: also readings that accept fewer rows than before and, of
    `exports`, those that were withdrawn.
    """

    from_month: str | None = None
    to_month: str | None = None
    lab: str | None = None
    layout: str | None = None
    stale_catalogue: bool = False
    quarantined: bool = False
    exports: tuple[str, ...] | None = None
    force: bool = False

    def __post_init__(self) -> None:
        for month in (self.from_month, self.to_month):
            if month is not None and not _MONTH.fullmatch(month):
                raise WrongChoice("a month is written as year and month, such as 2024-01")
        if self.from_month and self.to_month and self.from_month > self.to_month:
            raise WrongChoice("the first month is later than the last")


def chosen(
    archived: pl.DataFrame,
    receipts: pl.DataFrame,
    choice: Choice,
    reading_catalogue: str,
    layouts: Mapping[str, str],
) -> pl.DataFrame:
    """The exports that a choice means, by lab and arrival: `CHOSEN_SCHEMA`.

    archived: `ARCHIVED_SCHEMA`. receipts: of the newest editions. reading_catalogue and layouts (name ->
    digest): what exports are read with now. An export without a receipt (a run was killed between archiving
    and committing) has never been judged, so it is chosen whatever is asked of layout and reasons.
    """
    known = archived.join(receipts.drop("size"), on=["lab", "export"], how="left", maintain_order="left")
    unread = pl.col("reading_hash").is_null()
    stands = unread | (pl.col("action") == READ)
    asked = [
        stands if choice.exports is None or not choice.force else pl.lit(True),
        _in_months(choice),
    ]
    if choice.lab is not None:
        asked.append(pl.col("lab") == choice.lab)
    if choice.layout is not None:
        asked.append(unread | (pl.col("layout") == choice.layout))
    if choice.exports is not None:
        asked.append(pl.format("{}/{}", "lab", "export").is_in(list(choice.exports)))
    why = []
    if choice.stale_catalogue:
        digest = pl.col("layout").replace_strict(dict(layouts), default=None, return_dtype=pl.String)
        why.append(
            (pl.col("reading_catalogue").ne_missing(reading_catalogue))
            | pl.col("layout_digest").ne_missing(digest)
        )
    if choice.quarantined:
        why.append((pl.col("quarantined_rows") > 0) | pl.col("reason").is_not_null())
    if why:
        asked.append(unread | pl.any_horizontal(why))
    found = known.filter(pl.all_horizontal(asked))
    arrival = pl.coalesce("received_at", "arrived")
    return found.sort("lab", arrival, "export").select(list(CHOSEN_SCHEMA))


def _in_months(choice: Choice) -> pl.Expr:
    if choice.from_month is None and choice.to_month is None:
        return pl.lit(True)
    dated = pl.col("months").list.filter(pl.element() != UNDATED)
    arrival = pl.concat_list(pl.coalesce("received_at", "arrived").dt.strftime("%Y-%m"))
    months = pl.when(dated.list.len() > 0).then(dated).otherwise(arrival)
    within = pl.element().is_between(
        pl.lit(choice.from_month or "0000-01"), pl.lit(choice.to_month or "9999-12")
    )
    return months.list.eval(within).list.any()


def planned(exports: pl.DataFrame, anew: set[tuple[str, str]]) -> pl.DataFrame:
    """What a backfill would do, by lab: exports, anew (of these, read in another way now), rows (of those to be
    read anew, as counted before), months (of all chosen, as `first to last`), seconds (estimated)."""
    keys = pl.DataFrame(sorted(anew), schema={"lab": pl.String, "export": pl.String}, orient="row")
    marked = exports.join(keys.with_columns(anew=True), on=["lab", "export"], how="left")
    again = pl.col("anew").fill_null(False)
    rows = pl.coalesce("rows", pl.col("size") // _BYTES_PER_ROW)
    dated = pl.col("months").explode(empty_as_null=True).drop_nulls()
    dated = dated.filter(dated != UNDATED)
    return (
        marked.group_by("lab")
        .agg(
            exports=pl.len(),
            anew=again.sum(),
            rows=rows.filter(again).sum(),
            months=dated.n_unique(),
            first=dated.min(),
            last=dated.max(),
        )
        .with_columns(seconds=pl.col("rows") / ROWS_PER_SECOND + pl.col("anew") / EXPORTS_PER_SECOND)
        .sort("lab")
    )
