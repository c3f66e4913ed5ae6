"""The ledger: an append-only Delta table of every row of every export, once per edition.

One commit appends the rows and receipts of one or more exports of one lab. It carries two kinds
of application transaction, so that of two concurrent commits delta-rs refuses the second: one per
export (version = edition: a reading is never appended twice) and one per lab (a lab's commits are
in order, so that each receipt can name every month that the samples it touches stand in).

Lab, kind and edition are partition values: they stand in the log, not in the files, so a file
that was written before a lost race can be committed as another edition.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from schemas.result import LEDGER_PARTITIONS, LEDGER_SCHEMA, RECEIPT_SCHEMA, RESULT_SCHEMA, UNDATED
from schemas.settings import SettingsError, private_folder
from tasks.discover import Export
from tasks.files import sync_folder

ATTEMPTS = 100
_STATISTICS = ("month", "sample_key", "export")
_ROW_GROUP = 100_000


@dataclass(frozen=True)
class Staged:
    """A Parquet file of rows in the ledger's folder that no commit names yet."""

    path: str
    exports: frozenset[str]
    statistics: str


@dataclass
class Prepared:
    """One reading of one export, ready to commit: what its receipt will say."""

    export: Export
    reading_hash: str
    receipt: dict = field(default_factory=dict)


class LostRaces(Exception):
    """Other processes committed for this lab each time; nothing was written. Run again."""


class Snapshot:
    """The ledger at one version. Nothing that is committed later shows in it."""

    def __init__(self, folder: Path, table: DeltaTable) -> None:
        self.folder, self.table = folder, table

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
            paths = [self.folder / path for path in group["path"]]
            scan = pl.scan_parquet(
                paths, schema=pl.Schema(schema), hive_partitioning=False, glob=False, missing_columns="insert"
            )
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


class Ledger:
    """The ledger in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return (self.folder / "_delta_log").is_dir()

    def open(self) -> Snapshot:
        """The ledger as it is now; an empty one is made where there is none."""
        if "%" in str(self.folder.absolute()):
            raise SettingsError(
                f"{self.folder}: Delta tables cannot stand in a path with %; choose another home"
            )
        try:
            table = DeltaTable(str(self.folder))
        except TableNotFoundError:
            private_folder(self.folder)
            arrow = pl.DataFrame(schema=LEDGER_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
            DeltaTable.create(
                str(self.folder),
                schema=Schema.from_arrow(arrow),
                partition_by=list(LEDGER_PARTITIONS),
                mode="ignore",  # another process may have been first
                configuration={"delta.appendOnly": "true", "delta.checkpointInterval": "50"},
            )
            table = DeltaTable(str(self.folder))
        return Snapshot(self.folder, table)

    def stage(self, rows: pl.DataFrame) -> Staged:
        """Write rows (`RESULT_SCHEMA`) to a file that a later commit can name."""
        ordered = rows.select(list(RESULT_SCHEMA)).sort("month", "sample_key", maintain_order=True)
        return Staged(self._write(ordered), frozenset(ordered["export"].unique()), _statistics(ordered))

    def _write(self, frame: pl.DataFrame) -> str:
        name = f"files/{uuid.uuid4().hex}.parquet"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(
            path, compression="zstd", compression_level=1, statistics=True, row_group_size=_ROW_GROUP
        )
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return name

    def discard(self, staged: Iterable[Staged]) -> None:
        """Remove staged files that no commit names."""
        for file in staged:
            (self.folder / file.path).unlink(missing_ok=True)

    def commit(self, lab: str, prepared: list[Prepared], staged: list[Staged]) -> dict[Export, int]:
        """Append what is not yet in the ledger; export -> its new edition.

        An export whose newest edition was read in the same way is left out, so any number of
        repetitions, retries and concurrent runs end in the same state. Raises LostRaces.
        """
        if len({p.export for p in prepared}) < len(prepared):
            raise ValueError("an export stands twice in one commit; nothing was written")
        for attempt in range(ATTEMPTS):
            snapshot = self.open()
            newest = {
                r["export"]: r
                for r in snapshot.receipts(lab).select("export", "edition", "reading_hash").to_dicts()
            }
            editions = {
                p.export.sha256: newest.get(p.export.sha256, {"edition": 0})["edition"] + 1
                for p in prepared
                if p.export.sha256 not in newest or newest[p.export.sha256]["reading_hash"] != p.reading_hash
            }
            # a commit whose acknowledgement was lost is a commit: what it names is not ours to discard
            staged = [file for file in staged if file.path not in snapshot.paths]
            if not editions:
                self.discard(staged)
                return {}
            files = self._regrouped(staged, editions)
            months = self._months(
                snapshot, lab, [file for group in files.values() for file in group], editions
            )
            receipts = self._receipts(prepared, editions, months)
            said = {
                edition: Staged(self._write(f), frozenset(), _count(f)) for edition, f in receipts.items()
            }
            actions = [
                self._action(file.path, lab, "result", edition, file.statistics)
                for edition, group in files.items() for file in group
            ] + [
                self._action(file.path, lab, "receipt", edition, file.statistics) for edition, file in said.items()
            ]  # fmt: skip
            sync_folder(self.folder / "files")
            order = (snapshot.table.transaction_version(_lab_order(lab)) or 0) + 1
            transactions = [Transaction(_lab_order(lab), order)]
            transactions += [Transaction(f"{lab}/{export}", edition) for export, edition in editions.items()]
            try:
                snapshot.table.create_write_transaction(
                    list[AddAction | RemoveAction](actions), mode="append", schema=snapshot.table.schema(), partition_by=list(LEDGER_PARTITIONS),
                    commit_properties=CommitProperties(app_transactions=transactions),
                )  # fmt: skip
            except CommitFailedError:
                self.discard(file for file in said.values() if file.path not in self.open().paths)
                time.sleep(random.uniform(0, min(0.05 * 2**attempt, 2.0)))
                staged = [file for group in files.values() for file in group]
                continue
            return {Export(lab, export): edition for export, edition in editions.items()}
        raise LostRaces(f"lab {lab}: {ATTEMPTS} commits were overtaken by other processes; run again")

    def _regrouped(self, staged: list[Staged], editions: dict[str, int]) -> dict[int, list[Staged]]:
        """The staged files by edition; one whose exports now differ in edition is split."""
        out: dict[int, list[Staged]] = {}
        for file in staged:
            wanted = {editions.get(export) for export in file.exports}
            if wanted == {None}:
                self.discard([file])
            elif len(wanted) == 1:
                out.setdefault(wanted.pop(), []).append(file)  # type: ignore[arg-type]
            else:
                rows = pl.read_parquet(self.folder / file.path, glob=False)
                for edition in sorted(e for e in wanted if e is not None):
                    exports = [e for e in file.exports if editions.get(e) == edition]
                    out.setdefault(edition, []).append(
                        self.stage(rows.filter(pl.col("export").is_in(exports)))
                    )
                self.discard([file])
        return out

    def _months(
        self, snapshot: Snapshot, lab: str, files: list[Staged], editions: dict[str, int]
    ) -> dict[str, list[str]]:
        """Export -> every month in which a sample that it touches stands, in it or in the ledger.

        It also touches the samples of its older editions: what they said of them no longer counts.
        """
        columns = ["export", "sample_key", "month"]
        replaced = [export for export, edition in editions.items() if edition > 1]
        touching = [pl.scan_parquet(self.folder / file.path, glob=False).select(columns) for file in files]
        if replaced:
            touching.append(snapshot.all_rows(lab).filter(pl.col("export").is_in(replaced)).select(columns))
        if not touching:
            return {}
        rows = pl.concat(touching)
        own = rows.select("export", pl.col("month").fill_null(UNDATED)).unique().collect()
        keys = rows.select("export", "sample_key").drop_nulls().unique().collect()
        elsewhere = (
            snapshot.all_rows(lab).select("sample_key", "month").drop_nulls()
            .join(keys.lazy().select("sample_key").unique(), on="sample_key", how="semi").unique()
            .join(keys.lazy(), on="sample_key").select("export", "month").unique()
        )  # fmt: skip
        both = pl.concat([own, elsewhere.collect()]).unique().sort("export", "month")
        return dict(both.group_by("export").agg("month").iter_rows())

    def _receipts(
        self, prepared: list[Prepared], editions: dict[str, int], months: dict
    ) -> dict[int, pl.DataFrame]:
        now = datetime.now(UTC)
        rows: dict[int, list[dict]] = {}
        for p in prepared:
            sha256 = p.export.sha256
            if sha256 in editions:
                said = {
                    "export": sha256,
                    "reading_hash": p.reading_hash,
                    "recorded_at": now,
                    "months": months.get(sha256, []),
                }
                rows.setdefault(editions[sha256], []).append(p.receipt | said)
        return {edition: pl.DataFrame(said, schema=RECEIPT_SCHEMA) for edition, said in rows.items()}

    def _action(self, path: str, lab: str, kind: str, edition: int, statistics: str) -> AddAction:
        seen = (self.folder / path).stat()
        values = {"lab": lab, "kind": kind, "edition": str(edition)}
        return AddAction(path, seen.st_size, values, int(seen.st_mtime * 1000), True, statistics)


def _count(frame: pl.DataFrame) -> str:
    return json.dumps({"numRecords": len(frame)})


def _lab_order(lab: str) -> str:
    return f"order of {lab}"


def _statistics(frame: pl.DataFrame) -> str:
    """Delta's file statistics as JSON, for the columns that reads are filtered by."""
    ends = frame.select(
        *(pl.col(name).min().alias(f"{name}.min") for name in _STATISTICS),
        *(pl.col(name).max().alias(f"{name}.max") for name in _STATISTICS),
        *(pl.col(name).null_count().alias(f"{name}.null") for name in _STATISTICS),
    ).row(0, named=True)
    known = [
        name for name in _STATISTICS if ends[f"{name}.min"] is not None and len(ends[f"{name}.max"]) < 1000
    ]
    return json.dumps({
        "numRecords": len(frame),
        "minValues": {name: ends[f"{name}.min"] for name in known},
        "maxValues": {name: ends[f"{name}.max"] for name in known},
        "nullCount": {name: ends[f"{name}.null"] for name in _STATISTICS},
    })  # fmt: skip
