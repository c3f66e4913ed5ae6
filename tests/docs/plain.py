"""The stages of the flow one after another, without Prefect: what the documentation's tests run on.

One test holds what this leaves in a home equal to what the real flow leaves there.
"""

from __future__ import annotations

from flows.backfill import run_backfill
from flows.runner import Plainly
from flows.stages import Run
from flows.tell import told_to
from schemas.settings import Settings
from tasks.archive import Export
from tasks.bench import Bench
from tasks.choose import Choice
from tasks.discover import archive_inbox, leave_inbox
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.publish import Publisher


def ingest(settings: Settings, lab: str | None = None, exports: list[Export] | None = None) -> dict[str, int]:
    """Archive, read, commit and publish what waits in the inbox, or the archived exports that are named."""
    bench = Bench.of(settings)
    ledger = Ledger(settings.store)
    files = archive_inbox(settings, lab).files if exports is None else {}
    found = list(files) if exports is None else exports
    fresh = 0
    receipts = []
    for name in dict.fromkeys(export.lab for export in found):
        known = dict(ledger.open().receipts(name).select("export", "reading_hash").iter_rows())
        prepared, staged = prepare(bench, [export for export in found if export.lab == name], known)
        fresh += len(ledger.commit(name, prepared, staged).editions) if prepared else 0
        receipts += [p.receipt for p in prepared]
    leave_inbox(settings, [file for waiting in files.values() for file in waiting])
    rebuilt = Publisher(settings, bench.catalogue).publish()
    return {
        "exports": len(found),
        "new_editions": fresh,
        "accepted": sum(r["accepted_rows"] for r in receipts),
        "quarantined": sum(r["quarantined_rows"] for r in receipts),
        "unreadable": sum(r["reason"] is not None for r in receipts),
        "left": 0,
        "months": sum(map(len, rebuilt.values())),
    }


def backfill(settings: Settings, choice: Choice, dry_run: bool) -> None:
    """Read archived exports again, telling whoever listens."""
    run_backfill(Run.of(settings.home), choice, dry_run, Plainly(), told_to())
