"""What a run tells Prefect's event feed: counts, labs and the first characters of hashes, nothing else.

Each event concerns one lab (`neurobalance.lab.<folder name>`), so that an automation can be bound to
a lab, or evaluated for each. A run sends at most one event of a kind for a lab, however many exports
there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
from prefect.events import emit_event

from schemas.settings import Settings
from tasks.archive import Export
from tasks.folders import folder_name
from tasks.silence import Silent

RECEIVED = "neurobalance.export.received"
QUARANTINED = "neurobalance.export.quarantined"
PUBLISHED = "neurobalance.export.published"
QUARANTINE_HIGH = "neurobalance.quarantine.high"
SILENT = "neurobalance.lab.silent"

#: Hashes that one event names at most; the counts are of all.
NAMED_AT_MOST = 20


def emit(event: str, lab: str, payload: dict[str, Any]) -> None:
    """Send one event about a lab. A server that does not take it stops no run: Prefect logs that."""
    resource = {"prefect.resource.id": f"neurobalance.lab.{folder_name(lab)}", "prefect.resource.name": lab}
    emit_event(event, resource, payload=payload)


def _named(hashes: pl.Series) -> list[str]:
    return hashes.str.slice(0, 12).head(NAMED_AT_MOST).to_list()


def received(exports: list[Export]) -> None:
    """One event per lab: how many exports came that the ledger did not know, and which."""
    frame = pl.DataFrame({"lab": [e.lab for e in exports], "export": [e.sha256 for e in exports]})
    for (lab,), group in frame.group_by("lab", maintain_order=True) if exports else ():
        emit(RECEIVED, str(lab), {"exports": len(group), "hashes": _named(group["export"])})


def published(months: Mapping[str, list[str]]) -> None:
    """One event per lab whose months were rebuilt."""
    for lab, rebuilt in months.items():
        if rebuilt:
            emit(PUBLISHED, lab, {"months": len(rebuilt)})


def quarantined(settings: Settings, new: pl.DataFrame) -> None:
    """One event per lab of which this run quarantined rows or whole exports; a second one above the threshold.

    new: receipts of the run's new editions.
    """
    for (lab,), group in new.group_by("lab", maintain_order=True):
        rows, bad = group["rows"].sum(), group["quarantined_rows"].sum()
        whole = group.filter(pl.col("reason").is_not_null())
        if not bad and whole.is_empty():
            continue
        touched = group.filter((pl.col("quarantined_rows") > 0) | pl.col("reason").is_not_null())
        counts = group.select(pl.col("reason_counts").explode(empty_as_null=True)).drop_nulls()
        reasons: dict[str, int] = {}
        for said in counts["reason_counts"]:
            reasons[said["reason"]] = reasons.get(said["reason"], 0) + said["count"]
        payload = {
            "rows": rows, "quarantined": bad, "ratio": share(rows, bad), "unreadable_exports": len(whole),
            "reasons": reasons, "exports": len(touched), "hashes": _named(touched["export"]),
        }  # fmt: skip
        emit(QUARANTINED, str(lab), payload)
        # a file that nobody can read has no rows to count, and is no better for it
        if max(share(rows, bad), share(len(group), len(whole))) > settings.quarantine_alert:
            emit(QUARANTINE_HIGH, str(lab), payload | {"threshold": settings.quarantine_alert})


def silent(labs: list[Silent]) -> None:
    """One event per lab from which nothing new came for longer than labs.toml allows."""
    for lab in labs:
        last: datetime | None = lab.last
        emit(SILENT, lab.lab, {
            "silent_after_hours": lab.allowed_hours, "last_receipt": last.isoformat() if last else None,
        })  # fmt: skip


def share(rows: Any, quarantined: Any) -> float:
    """Quarantined rows of all rows; 0 where there are none."""
    return float(quarantined / rows) if rows else 0.0
