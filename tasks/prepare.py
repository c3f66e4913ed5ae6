"""From archived bytes to staged rows: choose the layout, read, standardise, judge, account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from schemas.result import READ
from tasks.archive import Export
from tasks.bench import Bench
from tasks.editions import Prepared
from tasks.judged import Work, judged_together
from tasks.ledger import Ledger
from tasks.staged import Staged


def receipt_of(work: Work, reading_catalogue: str) -> dict:
    """What the ledger's receipt says of an export, but for what the commit adds."""
    noted, layout, account = work.source.arrival, work.reading.layout, work.account
    return {
        "action": READ,
        "series": layout.name if layout is not None and layout.snapshot else None,
        "reading_catalogue": reading_catalogue,
        "layout_digest": layout.digest if layout is not None else None,
        "name": noted.name,
        "size": noted.size,
        "received_at": noted.received_at,
        "layout": account.layout,
        "rows": account.rows,
        "accepted_rows": account.accepted,
        "quarantined_rows": account.quarantined,
        "reason": account.reason,
        "reason_counts": [{"reason": name, "count": n} for name, n in sorted(account.reasons.items())],
        "skipped": [{"name": name, "count": n} for name, n in sorted(account.skipped.items())],
        "notes": account.notes,
    }


def prepare(
    bench: Bench, exports: Iterable[Export], known: dict[str, str], force: bool = False
) -> tuple[list[Prepared], list[Staged]]:
    """Read and stage exports of one lab that the ledger does not yet hold as they read now.

    known: export -> reading hash of its newest edition. force: also what the commit would hold back. Small
    exports are judged together and share a staged file; an export is in the ledger as a whole or by its reason.
    """
    ledger = Ledger(bench.settings.store)
    ledger.open()
    works: list[Work] = []

    def chosen() -> Iterator[Work]:
        for export in dict.fromkeys(exports):
            with bench.source(export) as source:
                reading = bench.reading_of(source)
                if known.get(export.sha256) != reading.reading_hash:
                    works.append(Work(source, reading))
                    yield works[-1]

    staged: list[Staged] = []
    for found in judged_together(bench, chosen()):
        if isinstance(found, Work):
            staged = _without(ledger, staged, found.source.export)
        elif len(found):
            staged.append(ledger.stage(found))
    for work in works:
        work.prove()
    return [
        Prepared(
            work.source.export,
            work.reading.reading_hash,
            receipt_of(work, bench.catalogue.reading_hash),
            force,
        )
        for work in works
    ], staged


def _without(ledger: Ledger, staged: list[Staged], export: Export) -> list[Staged]:
    """Staged files without the rows of one export."""
    kept = []
    for file in staged:
        if export.sha256 not in file.exports:
            kept.append(file)
            continue
        if len(file.exports) > 1:
            others = pl.col("export") != export.sha256
            kept.append(ledger.stage(ledger.staged_rows(file).filter(others)))
        ledger.discard([file])
    return kept
