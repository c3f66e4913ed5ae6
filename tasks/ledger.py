"""The ledger: an append-only Delta table of every row of every export, once per edition.

One commit appends the rows and receipts of one or more exports of one lab. It carries two kinds
of application transaction, so that of two concurrent commits delta-rs refuses the second: one per
export (version = edition: a reading is never appended twice) and one per lab (a lab's commits are
in order, so that each receipt can name every month that the samples it touches stand in).

Lab, kind and edition are partition values: they stand in the log, not in the files, so a file
that was written before a lost race can be committed as another edition.
"""

from __future__ import annotations

import errno
import json
import random
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from schemas.result import LEDGER_PARTITIONS, LEDGER_SCHEMA, RECEIPT_SCHEMA, RESULT_SCHEMA, UNDATED
from schemas.settings import SettingsError
from schemas.store import Folder, Store, private_folder, write
from tasks.discover import Export
from tasks.snapshot import FOLDER, Snapshot, scan_files

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


class Ledger:
    """The ledger of one home."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return next(iter(self.store.items(f"{FOLDER}/_delta_log")), None) is not None

    def open(self) -> Snapshot:
        """The ledger as it is now; an empty one is made where there is none."""
        place = self.store.url(FOLDER)
        if "%" in place:
            raise SettingsError("Delta tables cannot stand in a path with %; choose another home")
        try:
            table = DeltaTable(place, storage_options=self.store.options)
        except TableNotFoundError:
            if isinstance(self.store, Folder):
                private_folder(self.store.root / FOLDER)
            arrow = pl.DataFrame(schema=LEDGER_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
            DeltaTable.create(
                place,
                schema=Schema.from_arrow(arrow),
                partition_by=list(LEDGER_PARTITIONS),
                mode="ignore",  # another process may have been first
                configuration={"delta.appendOnly": "true", "delta.checkpointInterval": "50"},
                storage_options=self.store.options,
            )
            table = DeltaTable(place, storage_options=self.store.options)
        return Snapshot(self.store, table)

    def stage(self, rows: pl.DataFrame) -> Staged:
        """Write rows (`RESULT_SCHEMA`) to a file that a later commit can name."""
        ordered = rows.select(list(RESULT_SCHEMA)).sort("month", "sample_key", maintain_order=True)
        return Staged(self._write(ordered), frozenset(ordered["export"].unique()), _statistics(ordered))

    def _write(self, frame: pl.DataFrame) -> str:
        name = f"files/{uuid.uuid4().hex}.parquet"
        write(
            self.store,
            f"{FOLDER}/{name}",
            lambda path: frame.write_parquet(
                path, compression="zstd", compression_level=1, statistics=True, row_group_size=_ROW_GROUP
            ),
        )
        return name

    def staged_rows(self, staged: Staged) -> pl.DataFrame:
        """The rows of a staged file (`RESULT_SCHEMA`)."""
        return scan_files(self.store, [staged.path]).collect()

    def discard(self, staged: Iterable[Staged]) -> None:
        """Remove staged files that no commit names."""
        for file in staged:
            self.store.delete(f"{FOLDER}/{file.path}")

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
                rows = self.staged_rows(file)
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
        touching = [scan_files(self.store, [file.path]).select(columns) for file in files]
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
        seen = self.store.item(f"{FOLDER}/{path}")
        if seen is None:
            raise FileNotFoundError(errno.ENOENT, "a staged file is gone")
        values = {"lab": lab, "kind": kind, "edition": str(edition)}
        return AddAction(path, seen.size, values, int(seen.modified.timestamp() * 1000), True, statistics)


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
