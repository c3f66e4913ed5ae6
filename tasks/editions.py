"""Which editions a commit appends, what it holds back, and what it touches. Decided anew at each try."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from schemas.result import READ, RECEIPT_SCHEMA
from tasks.archive import Export
from tasks.snapshot import newest_of


@dataclass
class Prepared:
    """One reading of one export, ready to commit: what its receipt will say."""

    export: Export
    reading_hash: str
    receipt: dict = field(default_factory=dict)
    #: may take an export that was withdrawn in again, and may accept fewer rows than the edition before
    force: bool = False


@dataclass(frozen=True)
class Committed:
    """What a commit did: the new editions, and the exports it held back because their new reading would
    accept fewer rows than the one before (export -> rows before, rows now)."""

    editions: dict[Export, int] = field(default_factory=dict)
    held: dict[Export, tuple[int, int]] = field(default_factory=dict)


def decided(
    prepared: list[Prepared], receipts: pl.DataFrame
) -> tuple[dict[str, int], dict[Export, tuple[int, int]]]:
    """Export -> its next edition, for what is to be appended; and what is held back."""
    newest = {r["export"]: r for r in newest_of(receipts).to_dicts()}
    editions: dict[str, int] = {}
    held: dict[Export, tuple[int, int]] = {}
    for p in prepared:
        before = newest.get(p.export.sha256)
        if before is None:
            editions[p.export.sha256] = 1
            continue
        if before["reading_hash"] == p.reading_hash:
            continue
        reads = p.receipt.get("action") == READ
        if reads and before["action"] != READ and not p.force:
            continue
        now = p.receipt.get("accepted_rows") or 0
        if reads and now < before["accepted_rows"] and not p.force:
            held[p.export] = (before["accepted_rows"], now)
            continue
        editions[p.export.sha256] = before["edition"] + 1
    return editions, held


def touched(prepared: list[Prepared], editions: dict[str, int], receipts: pl.DataFrame) -> pl.DataFrame:
    """export, other: a new edition touches its older ones, and all exports of its series, old and new."""
    series = {p.export.sha256: p.receipt.get("series") for p in prepared}
    pairs = []
    for export, edition in editions.items():
        mine = receipts.filter(pl.col("export") == export)["series"].drop_nulls().to_list()
        of_series = receipts.filter(pl.col("series").is_in([*mine, *filter(None, [series[export]])]))
        others = set(of_series["export"]) | ({export} if edition > 1 else set())
        pairs += [(export, other) for other in sorted(others)]
    return pl.DataFrame(pairs, schema={"export": pl.String, "other": pl.String}, orient="row")


def receipts_of(prepared: list[Prepared], editions: dict[str, int], months: dict) -> dict[int, pl.DataFrame]:
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
