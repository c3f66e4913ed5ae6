"""The ledger as it stood at one version: which rows and receipts there are, and which count."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import polars as pl
from deltalake import DeltaTable

from schemas.result import LEDGER_PARTITIONS, RECEIPT_SCHEMA, RESULT_SCHEMA
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


class Snapshot:
    """The ledger at one version. Nothing that is committed later shows in it."""

    def __init__(self, store: Store, table: DeltaTable) -> None:
        self.store, self.table = store, table

    @property
    def version(self) -> int:
        """The Delta version."""
        return self.table.version()

    @cached_property
    def _files(self) -> pl.DataFrame:
        actions = pl.DataFrame(self.table.get_add_actions(flatten=True))
        if actions.is_empty():
            return pl.DataFrame(schema={"path": pl.String, **LEDGER_PARTITIONS})
        return actions.rename({f"partition.{name}": name for name in LEDGER_PARTITIONS}).with_columns(
            pl.col("edition").cast(pl.Int32)
        )

    @property
    def paths(self) -> set[str]:
        """The files that commits name."""
        return set(self._files["path"])

    def _scan(self, kind: str, lab: str | None, schema: dict) -> pl.LazyFrame:
        files = self._files.filter(pl.col("kind") == kind)
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
        everything = self.all_receipts(lab)
        return everything.filter(pl.col("edition") == pl.col("edition").max().over("lab", "export"))

    def all_rows(self, lab: str) -> pl.LazyFrame:
        """The rows of every edition: columns of `RESULT_SCHEMA`, lab, edition."""
        return self._scan("result", lab, RESULT_SCHEMA)

    def rows(self, lab: str) -> pl.LazyFrame:
        """The rows that count: those of the newest edition of each export, by the receipts."""
        receipts = self.all_receipts(lab).select("export", "edition")
        newest = receipts.group_by("export").agg(pl.col("edition").max())
        if (newest["edition"] == 1).all():
            return self.all_rows(lab)
        return self.all_rows(lab).join(newest.lazy(), on=["export", "edition"], how="semi")

    def labs(self) -> list[str]:
        """The labs that have receipts."""
        return self._files["lab"].unique().sort().to_list()
