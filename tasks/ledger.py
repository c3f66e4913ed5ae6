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
import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import polars as pl
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from schemas.result import LEDGER_PARTITIONS, LEDGER_SCHEMA, UNDATED
from schemas.settings import SettingsError
from schemas.store import Folder, private_folder
from tasks.archive import Export
from tasks.editions import Committed, Prepared, decided, receipts_of, touched
from tasks.snapshot import FOLDER, Snapshot
from tasks.staged import Files, Staged, Stood, count

ATTEMPTS = 100
#: files that were swapped away can be kept for at most so long, for readers of older versions
KEEP_DAYS = 30


class LostRaces(Exception):
    """Other processes committed for this lab each time; nothing was written. Run again."""


class Ledger(Files):
    """The ledger of one home."""

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
                configuration={
                    "delta.appendOnly": "true",
                    "delta.checkpointInterval": "50",
                    # how long a checkpoint remembers which files were swapped away: see KEEP_DAYS
                    "delta.deletedFileRetentionDuration": f"interval {KEEP_DAYS} days",
                },
                storage_options=self.store.options,
            )
            table = DeltaTable(place, storage_options=self.store.options)
        return Snapshot(self.store, table)

    def commit(self, lab: str, prepared: list[Prepared], staged: list[Staged]) -> Committed:
        """Append what is not yet in the ledger.

        An export whose newest edition was read in the same way is left out, so any number of
        repetitions, retries and concurrent runs end in the same state. So is, unless forced, one that was
        withdrawn or erased; and one whose new reading accepts fewer rows is held. Raises LostRaces.
        """
        if len({p.export for p in prepared}) < len(prepared):
            raise ValueError("an export stands twice in one commit; nothing was written")
        for attempt in range(ATTEMPTS):
            snapshot = self.open()
            receipts = snapshot.all_receipts(lab)
            editions, held = decided(prepared, receipts)
            # a commit whose acknowledgement was lost is a commit: what it names is not ours to discard
            staged = [file for file in staged if file.path not in snapshot.paths]
            if not editions:
                self.discard(staged)
                return Committed({}, held)
            files = self._regrouped(staged, editions)
            months = self._months(
                snapshot,
                lab,
                [file for group in files.values() for file in group],
                touched(prepared, editions, receipts),
            )
            written = receipts_of(prepared, editions, months)
            said = {edition: Staged(self.write(f), frozenset(), count(f)) for edition, f in written.items()}
            actions = [
                self.action(file.path, lab, "result", edition, file.statistics)
                for edition, group in files.items() for file in group
            ] + [
                self.action(file.path, lab, "receipt", edition, file.statistics) for edition, file in said.items()
            ]  # fmt: skip
            order = (snapshot.table.transaction_version(_lab_order(lab)) or 0) + 1
            transactions = [Transaction(_lab_order(lab), order)]
            transactions += [Transaction(f"{lab}/{export}", edition) for export, edition in editions.items()]
            try:
                self._append(snapshot, list(actions), transactions)
            except CommitFailedError:
                self.discard(file for file in said.values() if file.path not in self.open().paths)
                time.sleep(random.uniform(0, min(0.05 * 2**attempt, 2.0)))
                staged = [file for group in files.values() for file in group]
                continue
            return Committed({Export(lab, export): edition for export, edition in editions.items()}, held)
        raise LostRaces(f"lab {lab}: {ATTEMPTS} commits were overtaken by other processes; run again")

    def swap(
        self,
        snapshot: Snapshot,
        lab: str,
        removed: Iterable[dict],
        added: Iterable[Stood],
        editions: dict[str, int] | None = None,
    ) -> bool:
        """Let the files `added` stand for the files `removed` (rows of `Snapshot.files`) of one lab, at once.

        Of two swaps of one lab at the same time one is refused: this needs an application transaction of
        its own, because delta-rs lets two commits remove the same file. Commits of new exports go on
        beside it. `editions` (export -> edition) names the editions that `added` brings with it; then
        commits of the lab are refused too. Returns False, and leaves no file behind, where it was refused.
        """
        added = list(added)
        now = int(time.time() * 1000)
        gone = [
            RemoveAction(file["path"], False, now, file["size_bytes"],
                         {"lab": lab, "kind": file["kind"], "edition": str(file["edition"])})
            for file in removed
        ]  # fmt: skip
        fresh = [
            self.action(a.file.path, lab, a.kind, a.edition, a.file.statistics, data_change=False)
            for a in added
        ]
        names = [_lab_files(lab), *([_lab_order(lab)] if editions else [])]
        transactions = [
            Transaction(name, (snapshot.table.transaction_version(name) or 0) + 1) for name in names
        ]
        transactions += [Transaction(f"{lab}/{export}", n) for export, n in (editions or {}).items()]
        try:
            self._append(snapshot, [*fresh, *gone], transactions)
        except CommitFailedError:
            paths = self.open().paths
            # a commit whose acknowledgement was lost is a commit
            if added and all(a.file.path in paths for a in added):
                return True
            self.discard(a.file for a in added if a.file.path not in paths)
            return False
        return True

    def checkpoint(self) -> int:
        """Write a checkpoint, and drop log entries that it has made old (30 days); returns its version."""
        table = self.open().table
        table.create_checkpoint()
        table.cleanup_metadata()
        return table.version()

    def forget(self) -> None:
        """Remove the log entries before this version, which quote the ends of files that are gone, and the
        files that were replaced. A checkpoint of this version stands for them all."""
        snapshot = self.open()
        snapshot.table.create_checkpoint()
        log = f"{FOLDER}/_delta_log"
        if self.store.item(f"{log}/{snapshot.version:020d}.checkpoint.parquet") is None:
            raise FileNotFoundError(errno.ENOENT, "the checkpoint was not written; no log entry was removed")
        for path in self.open().swapped_away() - snapshot.paths:
            self.store.delete(f"{FOLDER}/{path}")
        for item in list(self.store.items(log)):
            number = item.name.rsplit("/", 1)[1][:20]
            if number.isdigit() and int(number) < snapshot.version:
                self.store.delete(item.name)
        self.drop_unfinished(datetime.now(UTC))

    def drop_unfinished(self, before: datetime) -> int:
        """Remove log entries that were begun before `before` and never became one, because their writer was
        killed; how many."""
        entries = self.store.items(f"{FOLDER}/_delta_log")
        # so the libraries below delta-rs call what they have not yet renamed
        left = [item for item in entries if "#" in item.name or item.name.endswith(".tmp")]
        left = [item for item in left if item.modified < before]
        for item in left:
            self.store.delete(item.name)
        return len(left)

    def _append(
        self, snapshot: Snapshot, actions: list[AddAction | RemoveAction], transactions: list[Transaction]
    ) -> None:
        snapshot.table.create_write_transaction(
            actions, mode="append", schema=snapshot.table.schema(), partition_by=list(LEDGER_PARTITIONS),
            commit_properties=CommitProperties(app_transactions=transactions),
        )  # fmt: skip

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
        self, snapshot: Snapshot, lab: str, files: list[Staged], touched: pl.DataFrame
    ) -> dict[str, list[str]]:
        """Export -> every month in which a sample that it touches stands, in it or in the ledger.

        touched: export, other: of which `other` exports in the ledger it changes what counts.
        """
        touching = [file.samples for file in files]
        if len(touched):
            others = snapshot.all_rows(lab).select(pl.col("export").alias("other"), "sample_key", "month")
            others = others.join(touched.lazy(), on="other").select("export", "sample_key", "month").unique()
            touching.append(others.collect())
        if not touching:
            return {}
        rows = pl.concat(touching)
        own = rows.select("export", pl.col("month").fill_null(UNDATED)).unique()
        keys = rows.select("export", "sample_key").drop_nulls().unique()
        elsewhere = (
            snapshot.all_rows(lab).select("sample_key", "month").drop_nulls()
            .filter(pl.col("sample_key").is_in(keys["sample_key"].unique().implode())).unique()
            .join(keys.lazy(), on="sample_key").select("export", "month").unique()
        )  # fmt: skip
        both = pl.concat([own, elsewhere.collect()]).unique().sort("export", "month")
        return dict(both.group_by("export").agg("month").iter_rows())


def _lab_files(lab: str) -> str:
    return f"files of {lab}"


def _lab_order(lab: str) -> str:
    return f"order of {lab}"
