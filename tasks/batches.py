"""Exports in batches of bounded number and size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tasks.archive import Export

#: Exports that are read and committed together: enough for a second of work or more.
EXPORTS_PER_BATCH = 500
BYTES_PER_BATCH = 256 * 1024 * 1024


def batches(exports: Iterable[tuple[Export, int]]) -> Iterator[tuple[str, list[Export]]]:
    """Exports (with their size in bytes) by lab, in the order given, in batches of bounded number and size."""
    by_lab: dict[str, list[tuple[Export, int]]] = {}
    for export, length in exports:
        by_lab.setdefault(export.lab, []).append((export, length))
    for lab, mine in by_lab.items():
        batch: list[Export] = []
        size = 0
        for export, length in mine:
            if batch and (len(batch) >= EXPORTS_PER_BATCH or size + length > BYTES_PER_BATCH):
                yield lab, batch
                batch, size = [], 0
            batch.append(export)
            size += length
        yield lab, batch
