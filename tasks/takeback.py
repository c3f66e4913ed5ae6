"""Taking back: an export that should not count is withdrawn. Its rows stay in the ledger as history."""

from __future__ import annotations

import hashlib
import uuid

from schemas.result import WITHDRAWN
from schemas.settings import Settings
from tasks.archive import Export
from tasks.editions import Prepared
from tasks.ledger import Ledger


class NotInLedger(ValueError):
    """An export that the ledger of this home does not hold."""


def withdraw(settings: Settings, export: Export, reason: str) -> int | None:
    """Append an empty edition, so that nothing of the export counts any more, and what it replaced does again.

    `reason` stays in the ledger and is shown by `show` only. Returns the new edition, None where the export
    was withdrawn already. Only a forced replay takes it in again. Raises NotInLedger.
    """
    ledger = Ledger(settings.store)
    found = ledger.open().receipts(export.lab).filter(export=export.sha256).to_dicts()
    if not found:
        raise NotInLedger(
            f"{export.short}: the ledger of this home does not hold it; `status` lists what it holds"
        )
    before = found[0]
    if before["action"] == WITHDRAWN:
        return None
    kept = ("name", "size", "received_at", "layout", "reading_catalogue", "layout_digest")
    receipt = {name: before[name] for name in kept} | {
        "rows": 0,
        "accepted_rows": 0,
        "quarantined_rows": 0,
        "reason_counts": [],
        "skipped": [],
        "notes": [],
        "action": WITHDRAWN,
        "action_reason": reason,
    }
    # unlike any reading, so that it is appended whatever came before, and by this call once
    digest = hashlib.sha256(f"withdrawn {uuid.uuid4()}".encode()).hexdigest()
    return ledger.commit(export.lab, [Prepared(export, digest, receipt)], []).editions.get(export)
