"""What the work of `neurobalance` costs at least, with nothing worked out: the export is read, the files that OUT holds
(a home that `neurobalance` has filled) are written again from memory by the same functions, and the ledger is read.

Only that is timed: neither finding out what to write, nor coding the texts that repeat.
"""

from __future__ import annotations

import polars as pl

from benchmarks.contestants import ID_KEY, LAB, Stages, arguments, exports_of
from schemas.catalogue import load_catalogue
from schemas.outputs import datasets
from schemas.settings import Settings
from tasks.build import BY_MONTH
from tasks.codes import coded_frame
from tasks.frames import NEEDED
from tasks.ledger import Ledger
from tasks.publish import Publisher
from tasks.snapshot import scan_files
from tasks.staged import Files


def main() -> None:
    """Read, write, read, write."""
    inbox, home = arguments()
    stages = Stages()
    with stages.stage("read the export"):
        for _ in pl.scan_csv(exports_of(inbox), infer_schema=False).collect_batches():
            pass
    settings = Settings(home=home, id_key=ID_KEY)  # type: ignore[arg-type]
    snapshot = Ledger(settings.store).open()
    again = Settings(home=home / "again", id_key=ID_KEY)  # type: ignore[arg-type]
    files = snapshot.files.filter(pl.col("kind") == "result")
    for path in files["path"]:
        rows = coded_frame(scan_files(settings.store, [path]).collect()).rechunk()
        with stages.stage("write the ledger's rows"):
            Files(again.store).write(rows)
    catalogue = load_catalogue()
    publisher, columns = Publisher(again, catalogue), datasets(catalogue)
    for month in sorted(path.stem for path in (home / "outputs" / "results" / LAB).iterdir()):
        with stages.stage("read the ledger"):
            snapshot.rows(LAB).select(NEEDED).filter(pl.col("month") == month).collect()
        for dataset in BY_MONTH:
            name = publisher.name(dataset, LAB, month)
            rows = coded_frame(pl.read_parquet(home / name, hive_partitioning=False)).rechunk()
            with stages.stage("write the published files"):
                publisher._put(name, columns[dataset], rows.lazy(), {"dataset": dataset})
    stages.report()


if __name__ == "__main__":
    main()
