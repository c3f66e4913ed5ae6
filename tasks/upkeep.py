"""Upkeep of a home: many small files of the ledger become few, and what nobody needs any more goes.

Nothing of this changes what the ledger says. It may run beside everything else: commits go on, and of
two upkeeps that meet, one leaves its work to the next night.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from schemas.result import RECEIPT_SCHEMA, RESULT_SCHEMA
from schemas.settings import Settings
from tasks.ledger import KEEP_DAYS, Ledger
from tasks.snapshot import FOLDER, Snapshot, scan_files
from tasks.staged import Stood

#: A file with fewer rows is small: small ones are put together, to this number of rows at most twice over.
ROWS_PER_FILE = 250_000
#: What was written so recently may belong to a process that is still at work.
UNDER_WAY_FOR = timedelta(days=1)
#: Files that were replaced stay so long, in days, for readers that opened the ledger before.
KEPT_DAYS = 7


class WrongKeeping(ValueError):
    """A number of days for which replaced files cannot be kept."""


@dataclass
class Upkeep:
    """What was done: counts of files (labs in `left`: those that another process was busy with)."""

    compacted: int = 0
    made: int = 0
    removed: int = 0
    swept: int = 0
    left: int = 0
    version: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


def maintain(settings: Settings, keep_days: int = KEPT_DAYS, now: datetime | None = None) -> Upkeep:
    """Put small files together, remove what no version of the last `keep_days` days names, write a
    checkpoint, sweep temporary files that killed processes left. Returns counts. Raises WrongKeeping."""
    if not 0 <= keep_days <= KEEP_DAYS:
        raise WrongKeeping(f"replaced files can be kept for 0 to {KEEP_DAYS} days")
    ledger, done = Ledger(settings.store), Upkeep()
    before = (now or datetime.now(UTC)) - UNDER_WAY_FOR
    for lab in ledger.open().labs():
        _compact(ledger, lab, done)
    done.version = ledger.checkpoint()
    done.removed = remove_unnamed(ledger, keep_days * 24, before)
    done.swept = settings.store.sweep(before) + ledger.drop_unfinished(before)
    return done


def _compact(ledger: Ledger, lab: str, done: Upkeep) -> None:
    snapshot = ledger.open()
    old: list[dict] = []
    fresh: list[Stood] = []
    for kind, edition, group in _groups(snapshot, lab):
        rows = scan_files(
            ledger.store,
            [file["path"] for file in group],
            RESULT_SCHEMA if kind == "result" else RECEIPT_SCHEMA,
        )
        fresh.append(ledger.rewritten(rows.collect(), kind, edition))
        old += group
    if not old:
        return
    if ledger.swap(snapshot, lab, old, fresh):
        done.compacted += len(old)
        done.made += len(fresh)
    else:
        done.left += 1


def _groups(snapshot: Snapshot, lab: str) -> Iterator[tuple[str, int, list[dict]]]:
    """Small files that become one: kind, edition and two or more rows of `Snapshot.files`."""
    small = snapshot.files.filter(pl.col("lab") == lab, pl.col("num_records") < ROWS_PER_FILE)
    for (kind, edition), files in small.sort("path").group_by("kind", "edition", maintain_order=True):
        group: list[dict] = []
        for file in files.to_dicts():
            group.append(file)
            if sum(one["num_records"] for one in group) >= ROWS_PER_FILE:
                yield str(kind), int(edition), group
                group = []
        if len(group) > 1:
            yield str(kind), int(edition), group


def remove_unnamed(ledger: Ledger, hours: int, before: datetime) -> int:
    """Remove the ledger's files that were replaced at least `hours` ago, and those that no commit ever
    named and that were written before `before`; how many.

    delta-rs' own vacuum removes staged files by the wrong clock and overlooks what its writers left
    (`*.parquet#1`), so the folder itself is looked through.
    """
    # listed first: what is committed or replaced meanwhile is then known as such
    there = [item for item in ledger.store.items(FOLDER) if not item.name.startswith(f"{FOLDER}/_delta_log/")]
    snapshot = ledger.open()
    expired, replaced, named = snapshot.swapped_away(hours), snapshot.swapped_away(), snapshot.paths
    removed = 0
    for item in there:
        path = item.name.removeprefix(f"{FOLDER}/")
        if path in named or (path in replaced and path not in expired):
            continue
        if path in expired or item.modified < before:
            ledger.store.delete(item.name)
            removed += 1
    return removed
