"""Backfills beside ingestion, beside one another and beside a reader."""

import random
import shutil
import time
from pathlib import Path

import polars as pl
import pytest

from flows import stages
from flows.runner import Plainly
from flows.stages import Run
from tasks import batches
from tasks.prepare import prepare
from tests.home import Home, often, same
from tests.reliability.backfills import MENDED, MIXED, backfill, rebuilt
from tests.reliability.forks import FORKS, begun, ended
from tests.reliability.published import sent
from tests.reliability.test_exactly_once import assert_conserved

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")


def ingest_beside(folder: str, contents: list[bytes], barrier) -> None:
    home = Home(Path(folder))
    barrier.wait(120)
    for content in contents:
        home.commit(home.archive("north", content))
        home.publish()


def backfill_beside(folder: str, seed: int, barrier) -> None:
    batches.EXPORTS_PER_BATCH = 2
    barrier.wait(120)
    time.sleep(random.Random(seed).uniform(0, 0.5))
    backfill(Home(Path(folder)))


def read_beside(folder: str, stop, reads) -> None:
    """Read every published file over and over; an unreadable one ends this process with an error."""
    while not stop.is_set():
        for path in Path(folder, "outputs").rglob("*.parquet"):
            if not path.name.startswith("."):
                with path.open("rb") as file:  # opened once: what a name stands for may be replaced
                    pl.read_parquet(file)
                with reads.get_lock():
                    reads.value += 1


@pytest.mark.in_a_folder
def test_backfills_beside_ingestion_lose_nothing_double_nothing_and_no_reader_sees_a_torn_file(tmp_path):
    old, new = [*sent()[:5], MIXED], [*sent()[5:], MIXED]  # what comes again is read again, too
    total = 0
    for number in range(count := often(1, 100)):
        home = Home(tmp_path / str(number))
        home.ingest("north", *old)
        home.put("layouts/own.toml", MENDED)
        processes = 3 if count == 1 else 7
        barrier, stop, reads = FORKS.Barrier(processes), FORKS.Event(), FORKS.Value("q", 0)
        reader = begun(read_beside, str(home.folder), stop, reads)
        beside = [begun(ingest_beside, str(home.folder), new, barrier)]
        beside += [begun(backfill_beside, str(home.folder), seed, barrier) for seed in range(processes - 1)]
        assert ended(beside) == [0] * processes
        stop.set()
        assert ended([reader]) == [0]
        backfill(home)
        assert_conserved(home)
        assert same(rebuilt(home, tmp_path / f"{number} clean"), home.comparable()) == []
        total += reads.value
        shutil.rmtree(home.folder)
    print(f"{count} rounds, {total} files read")
    assert total >= 100 * count


def test_a_batch_that_another_run_has_just_committed_is_left_out(home):
    """The look, the reading and the commit each ask the ledger; whoever comes late finds it done."""
    home.ingest("north", MIXED)
    home.put("layouts/own.toml", MENDED)
    run = Run.of(str(home.place))
    (export,) = (e for e, _ in stages_of(home))
    prepared, staged = prepare(run.bench, [export], {})
    assert backfill(home).new_editions == 1
    assert stages.commit_batch.fn(run, "north", prepared, staged).editions == {}
    (batch,) = stages.take_in(Plainly(), run, stages_of(home))
    assert batch.done.editions == {}
    assert len(home.ledger.open().rows("north").collect()) == 2


def stages_of(home: Home) -> list:
    """The archived exports of north with their sizes."""
    from tasks.archive import Export

    receipts = home.ledger.open().receipts("north")
    return [(Export("north", sha256), size) for sha256, size in receipts.select("export", "size").iter_rows()]
