"""Parquet files in the ledger's folder: written first, named by a commit later."""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import polars as pl
from deltalake.transaction import AddAction

from schemas import store as stores
from schemas.parquet import said_schema
from schemas.result import RECEIPT_SCHEMA, RESULT_SCHEMA
from schemas.store import Store
from tasks.codes import coded_frame, combinations
from tasks.snapshot import FOLDER, scan_files

_STATISTICS = ("month", "sample_key", "export")
_ROW_GROUP = 100_000
_SAMPLES = dict.fromkeys(("export", "sample_key", "month"), pl.String)


@dataclass(frozen=True)
class Staged:
    """A Parquet file of rows in the ledger's folder that no commit names yet."""

    path: str
    exports: frozenset[str]
    statistics: str
    #: export, sample_key, month: what rows of results say of them, each combination once
    samples: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_SAMPLES), compare=False)


@dataclass(frozen=True)
class Stood:
    """A staged file, and where a swap puts it: kind (`result` or `receipt`) and edition."""

    kind: str
    edition: int
    file: Staged


class Files:
    """The files of the ledger of one home."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def stage(self, rows: pl.DataFrame) -> Staged:
        """Write rows (`RESULT_SCHEMA`, texts or codes) to a file that a later commit can name, month by month."""
        ordered = rows.select(list(RESULT_SCHEMA))
        if not ordered["month"].is_sorted():
            ordered = ordered.sort("month", maintain_order=True)
        # most columns of most exports say nothing; one that is left out is read as nulls
        saying = [c.name for c in ordered if c.name in _STATISTICS or c.null_count() < len(c)]
        path = self.write(ordered.select(saying))
        samples, _ = combinations(coded_frame(ordered.select(list(_SAMPLES))))
        return Staged(path, frozenset(samples["export"]), _statistics(ordered), samples)

    def write(self, frame: pl.DataFrame) -> str:
        name = f"files/{uuid.uuid4().hex}.parquet"
        stores.write(
            self.store,
            f"{FOLDER}/{name}",
            lambda path: frame.write_parquet(
                path, compression="zstd", compression_level=1, statistics=True, row_group_size=_ROW_GROUP,
                metadata=_as_texts(frame),
            ),
        )  # fmt: skip
        return name

    def staged_rows(self, staged: Staged) -> pl.DataFrame:
        """The rows of a staged file (`RESULT_SCHEMA`)."""
        return scan_files(self.store, [staged.path], RESULT_SCHEMA).collect()

    def discard(self, staged: Iterable[Staged]) -> None:
        """Remove staged files that no commit names."""
        for file in staged:
            self.store.delete(f"{FOLDER}/{file.path}")

    def rewritten(self, frame: pl.DataFrame, kind: str, edition: int) -> Stood:
        """Stage rows or receipts that a swap is to put in the place of others."""
        if kind == "result":
            # unlike what an export brings, this is written once and read for years
            ordered = frame.sort("month", "sample_key", maintain_order=True)
            return Stood(kind, edition, self.stage(ordered))
        receipts = frame.select(list(RECEIPT_SCHEMA)).sort("recorded_at", "export")
        return Stood(kind, edition, Staged(self.write(receipts), frozenset(), count(receipts)))

    def action(
        self, path: str, lab: str, kind: str, edition: int, statistics: str, data_change: bool = True
    ) -> AddAction:
        seen = self.store.item(f"{FOLDER}/{path}")
        if seen is None:
            raise FileNotFoundError(errno.ENOENT, "a staged file is gone")
        values = {"lab": lab, "kind": kind, "edition": str(edition)}
        return AddAction(
            path, seen.size, values, int(seen.modified.timestamp() * 1000), data_change, statistics
        )


def _as_texts(frame: pl.DataFrame) -> dict[str, str]:
    """What makes a file say texts where the frame has codes."""
    return _said(
        tuple((name, pl.String() if isinstance(of, pl.Enum) else of) for name, of in frame.schema.items())
    )


@cache
def _said(columns: tuple[tuple[str, pl.DataType], ...]) -> dict[str, str]:
    plain = pl.DataFrame(schema=list(columns))
    return said_schema(plain.to_arrow(compat_level=pl.CompatLevel.oldest()).schema)


def count(frame: pl.DataFrame) -> str:
    return json.dumps({"numRecords": len(frame)})


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
