"""This project, by the functions that its flow calls, without Prefect."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import tasks.frames
import tasks.ledger
import tasks.prepare
import tasks.publish
from benchmarks.contestants import ID_KEY, Stages, arguments
from schemas.settings import Settings
from tasks.bench import Bench
from tasks.discover import Export, archive_inbox, archived_name
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.publish import Publisher

#: as in flows.ingest, which cannot be imported without Prefect
EXPORTS_PER_BATCH = 500
BYTES_PER_BATCH = 256 * 1024 * 1024

#: what is timed inside the stages: where the name is looked up, the name, and what it is called in the report
INSIDE = (
    (tasks.prepare, "standardise", "prepare: standardise"),
    (tasks.prepare, "judge", "prepare: validate"),
    (tasks.ledger.Ledger, "stage", "prepare: write the ledger's rows"),
    (tasks.publish, "current", "publish: which result counts"),
    (tasks.frames, "compute", "publish: metrics"),
    (tasks.publish, "_checked", "publish: sort and check"),
    (tasks.publish.Publisher, "_put", "publish: write"),
)


def _timed(function: Callable, stages: Stages, name: str) -> Callable:
    @functools.wraps(function)
    def inner(*args: Any, **options: Any) -> Any:
        with stages.stage(name):
            return function(*args, **options)

    return inner


def watch(stages: Stages) -> None:
    """Time the parts of the stages too; one that no longer exists under its name is left out."""
    for where, name, called in INSIDE:
        if hasattr(where, name):
            setattr(where, name, _timed(getattr(where, name), stages, called))


def _batches(settings: Settings, exports: list[Export]) -> Iterator[tuple[str, list[Export]]]:
    batch: list[Export] = []
    size = 0
    for export in sorted(exports, key=lambda export: export.lab):
        length = settings.store.item(archived_name(export)).size  # type: ignore[union-attr]
        full = len(batch) >= EXPORTS_PER_BATCH or size + length > BYTES_PER_BATCH
        if batch and (full or batch[0].lab != export.lab):
            yield batch[0].lab, batch
            batch, size = [], 0
        batch.append(export)
        size += length
    if batch:
        yield batch[0].lab, batch


def main() -> None:
    """Archive, prepare and commit by batches, publish."""
    inbox, out = arguments()
    stages = Stages()
    watch(stages)
    settings = Settings(home=out, inbox=inbox, id_key=ID_KEY, settle_seconds=0)  # type: ignore[arg-type]
    with stages.stage("settings and catalogue"):
        bench = Bench.of(settings)
    with stages.stage("archive"):
        found = archive_inbox(settings).files
    for lab, batch in _batches(settings, list(found)):
        with stages.stage("prepare"):
            known = dict(
                Ledger(settings.store).open().receipts(lab).select("export", "reading_hash").iter_rows()
            )
            prepared, staged = prepare(bench, batch, known)
        with stages.stage("commit"):
            if prepared:
                Ledger(settings.store).commit(lab, prepared, staged)
    with stages.stage("publish"):
        publisher = Publisher(settings, bench.catalogue)
        publisher.publish()
    stages.report(written=publisher.written)


if __name__ == "__main__":
    main()
