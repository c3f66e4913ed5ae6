"""The ledger as it stood at one version: which rows and receipts there are, and which count."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property

import polars as pl
from deltalake import DeltaTable

from schemas.result import LEDGER_PARTITIONS, RECEIPT_SCHEMA, RESULT_SCHEMA, WITHDRAWN
from schemas.store import Store

#: the ledger's folder in the home
FOLDER = "ledger"


def scan_files(store: Store, paths: Iterable[str], schema: dict | None = None) -> pl.LazyFrame:
    """Parquet files of the ledger's folder; columns that an older file lacks are null."""
    return pl.scan_parquet(
        [store.url(f"{FOLDER}/{path}") for path in paths],
        schema=pl.Schema(schema) if schema else None,
        hive_partitioning=False,
        glob=False,
        missing_columns="insert",
        storage_options=store.options,
    )


def newest_of(receipts: pl.DataFrame) -> pl.DataFrame:
    """The receipts of the newest edition of each export: lab, export, edition and whatever else there is."""
    by = [name for name in ("lab", "export") if name in receipts.columns]
    return receipts.filter(pl.col("edition") == pl.col("edition").max().over(by))


def counting_of(receipts: pl.DataFrame) -> pl.DataFrame:
    """The receipts of one lab whose rows count: the newest editions; of a series, those of the export that
    arrived last, of those that could be read and were not withdrawn."""
    newest = newest_of(receipts)
    stands = pl.col("reason").is_null() & (pl.col("action") != WITHDRAWN)
    in_series = newest.filter(pl.col("series").is_not_null())
    last = in_series.filter(stands).sort("received_at", "export").unique("series", keep="last")
    return pl.concat([newest.filter(pl.col("series").is_null()), last])


class Snapshot:
    """The ledger at one version. Nothing that is committed later shows in it."""

    def __init__(self, store: Store, table: DeltaTable) -> None:
        self.store, self.table = store, table

    @property
    def version(self) -> int:
        """The Delta version."""
        return self.table.version()

    @cached_property
    def files(self) -> pl.DataFrame:
        """The files that commits name: path, size_bytes, num_records, lab, kind, edition."""
        actions = pl.DataFrame(self.table.get_add_actions(flatten=True))
        if actions.is_empty():
            return pl.DataFrame(
                schema={
                    "path": pl.String,
                    "size_bytes": pl.Int64,
                    "num_records": pl.Int64,
                    **LEDGER_PARTITIONS,
                }
            )
        return actions.rename({f"partition.{name}": name for name in LEDGER_PARTITIONS}).with_columns(
            pl.col("edition").cast(pl.Int32)
        )

    def swapped_away(self, hours: int = 0) -> set[str]:
        """The files that a swap replaced at least `hours` ago, and that are still remembered."""
        return set(self.table.vacuum(hours, dry_run=True, enforce_retention_duration=False))

    def recorded(self, version: int) -> datetime | None:
        """When a version was committed (UTC), as long as the log has it."""
        said = {entry["version"]: entry["timestamp"] for entry in self.table.history()}
        return datetime.fromtimestamp(said[version] / 1000, UTC) if version in said else None

    @property
    def paths(self) -> set[str]:
        """The files that commits name."""
        return set(self.files["path"])

    def _scan(self, kind: str, lab: str | None, schema: dict) -> pl.LazyFrame:
        files = self.files.filter(pl.col("kind") == kind)
        if lab is not None:
            files = files.filter(pl.col("lab") == lab)
        parts = []
        for (name, edition), group in files.group_by("lab", "edition", maintain_order=True):
            scan = scan_files(self.store, group["path"], schema)
            parts.append(
                scan.with_columns(pl.lit(name).alias("lab"), pl.lit(edition, pl.Int32).alias("edition"))
            )
        if not parts:
            return pl.LazyFrame(schema={**schema, "lab": pl.String, "edition": pl.Int32})
        return pl.concat(parts)

    def all_receipts(self, lab: str | None = None) -> pl.DataFrame:
        """Every receipt of every edition: columns of `RECEIPT_SCHEMA`, lab, edition."""
        return self._scan("receipt", lab, RECEIPT_SCHEMA).collect()

    def receipts(self, lab: str | None = None) -> pl.DataFrame:
        """The receipt of the newest edition of each export."""
        return newest_of(self.all_receipts(lab))

    def all_rows(self, lab: str) -> pl.LazyFrame:
        """The rows of every edition: columns of `RESULT_SCHEMA`, lab, edition."""
        return self._scan("result", lab, RESULT_SCHEMA)

    def rows(self, lab: str) -> pl.LazyFrame:
        """The rows that count: those of the editions that count, by the receipts."""
        receipts = self.all_receipts(lab)
        counting = counting_of(receipts).select("export", "edition")
        if len(counting) == len(receipts):
            return self.all_rows(lab)
        return self.all_rows(lab).join(counting.lazy(), on=["export", "edition"], how="semi")

    def labs(self) -> list[str]:
        """The labs that have receipts."""
        return self.files["lab"].unique().sort().to_list()
