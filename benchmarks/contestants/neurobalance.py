"""This project, by the functions that its flow calls, without Prefect."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tasks.build
import tasks.frames
import tasks.judged
import tasks.ledger
import tasks.publish
from benchmarks.contestants import ID_KEY, Stages, arguments
from schemas.settings import Settings
from tasks.batches import batches
from tasks.bench import Bench
from tasks.discover import archive_inbox
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.publish import Publisher

#: what is timed inside the stages: where the name is looked up, the name, and what it is called in the report
INSIDE = (
    (tasks.judged, "standardise", "prepare: standardise"),
    (tasks.judged, "judge", "prepare: validate"),
    (tasks.ledger.Ledger, "stage", "prepare: write the ledger's rows"),
    (tasks.build, "current", "publish: which result counts"),
    (tasks.frames, "compute", "publish: metrics"),
    (tasks.build, "checked", "publish: sort and check"),
    (tasks.publish.Publisher, "_put", "publish: write"),
)


def _timed(function: Callable, stages: Stages, name: str) -> Callable:
    @functools.wraps(function)
    def inner(*args: Any, **options: Any) -> Any:
        with stages.stage(name):
            return function(*args, **options)

    return inner


def watch(stages: Stages) -> None:
    """Time the parts of the stages too. Raises AttributeError where one no longer stands under its name."""
    for where, name, called in INSIDE:
        setattr(where, name, _timed(getattr(where, name), stages, called))


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
    sizes = ((export, files[0].item.size) for export, files in found.items())
    for lab, batch in batches(sizes):
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
