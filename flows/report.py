"""What a run leaves to be seen: artifacts in Prefect, with counts, rules and hashes, never names or values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import polars as pl
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from schemas.settings import Settings
from tasks.archive import Export
from tasks.ledger import Ledger
from tasks.validate import RULES

#: Rows of one table artifact: more would not be looked at.
_SHOWN = 500
_NO_RULE = "see what `neurobalance check FILE` says of it; docs/add-a-layout.md tells how to write a layout"


def _keys(exports: Iterable[Export]) -> pl.DataFrame:
    return pl.DataFrame(
        [(e.lab, e.sha256) for e in exports], schema={"lab": pl.String, "export": pl.String}, orient="row"
    )


def receipts_of(settings: Settings, exports: list[Export]) -> pl.DataFrame:
    """The newest receipts of `exports`, in their order: columns of the ledger's receipts and lab, edition."""
    receipts = Ledger(settings.store).open().receipts()
    return _keys(exports).join(receipts, on=["lab", "export"], how="inner", maintain_order="left")


def new_among(receipts: pl.DataFrame, fresh: dict[Export, int]) -> pl.DataFrame:
    """The receipts of the editions that this run committed."""
    return receipts.join(_keys(fresh), on=["lab", "export"], how="semi", maintain_order="left")


def counts_of(receipts: pl.DataFrame, new: pl.DataFrame, found: int) -> dict[str, int]:
    """exports, new_editions, accepted, quarantined (rows of new editions), unreadable (new exports)."""
    return {
        "exports": found,
        "new_editions": len(new),
        "accepted": int(new["accepted_rows"].sum()),
        "quarantined": int(new["quarantined_rows"].sum()),
        "unreadable": len(new) - new["reason"].null_count(),
    }


def publish_artifacts(receipts: pl.DataFrame, new: pl.DataFrame, counts: dict[str, int]) -> None:
    """The tables `receipts` and `quarantine` and the summary `ingest-summary`."""
    fresh = set(new.select("lab", "export").iter_rows())
    rows = [_receipt_row(said, (said["lab"], said["export"]) in fresh) for said in receipts.to_dicts()]
    if rows:
        create_table_artifact(
            key="receipts",
            table=rows[:_SHOWN],
            description=_described("What became of each export of this run", rows),
        )
    if reasons := quarantine_rows(receipts):
        create_table_artifact(
            key="quarantine", table=reasons[:_SHOWN],
            description=_described("Why rows and exports of this run are in quarantine, and how to mend them", reasons),
        )  # fmt: skip
    create_markdown_artifact(
        key="ingest-summary", markdown=_summary(counts), description="Summary of this run"
    )


def _described(text: str, rows: list[dict]) -> str:
    return text if len(rows) <= _SHOWN else f"{text} (the first {_SHOWN} of {len(rows)})"


def _receipt_row(said: dict, new: bool) -> dict:
    reasons = "; ".join(f"{r['reason']}: {r['count']}" for r in said["reason_counts"])
    return {
        "lab": said["lab"], "export": said["export"][:12], "edition": said["edition"], "new": "yes" if new else "no",
        "layout": said["layout"] or "none", "rows": said["rows"], "accepted": said["accepted_rows"],
        "quarantined": said["quarantined_rows"], "reasons": said["reason"] or reasons,
    }  # fmt: skip


def quarantine_rows(receipts: pl.DataFrame) -> list[dict]:
    """Lab, reason, rows, exports and how to mend it, the most frequent first; whole exports count as 0 rows."""
    rows: Counter[tuple[str, str]] = Counter()
    exports: Counter[tuple[str, str]] = Counter()
    for said in receipts.to_dicts():
        for counted in said["reason_counts"]:
            rows[said["lab"], counted["reason"]] += counted["count"]
            exports[said["lab"], counted["reason"]] += 1
        if said["reason"]:
            exports[said["lab"], said["reason"]] += 1
    return [
        {
            "lab": lab, "reason": reason, "rows": rows[lab, reason], "exports": number,
            "how to mend it": RULES[reason].mend if reason in RULES else _NO_RULE,
        }
        for (lab, reason), number in sorted(exports.items(), key=lambda said: (-rows[said[0]], said[0]))
    ]  # fmt: skip


def _summary(counts: dict[str, int]) -> str:
    lines = [f"| {name.replace('_', ' ')} | {count} |" for name, count in counts.items()]
    return "\n".join(["| what | count |", "|---|---:|", *lines]) + (
        "\n\nQuarantined rows are in the ledger with their reasons. `neurobalance show HASH` tells them with their "
        "text, and how to mend them."
    )
