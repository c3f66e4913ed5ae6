"""Several processes commit at the same time: nothing is lost, nothing appended twice."""

import os

import polars as pl

from tests.home import Home, often, table
from tests.reliability.forks import FORKS, begun, ended
from tests.reliability.ledgers import assert_once, rows_of

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")


def commit_all(home: Home, work: list[tuple[str, int]], barrier) -> None:
    """Commit exports (lab, number) one after another, from a process of its own."""
    exports = [
        home.archive(lab, table({"value": str(n), "sample": f"S{n}"}), f"{os.getpid()}.csv")
        for lab, n in work
    ]
    barrier.wait(60)
    for export in exports:
        home.commit(export)


def in_processes(home: Home, work: list[list[tuple[str, int]]]) -> None:
    barrier = FORKS.Barrier(len(work))
    assert ended([begun(commit_all, home, mine, barrier) for mine in work]) == [0] * len(work)


def test_four_processes_lose_nothing_and_append_nothing_twice(home):
    each = often(3, 25)
    same = [("north", n) for n in range(each)]
    own = [[("north", 100 * process + n) for n in range(1, each)] for process in range(1, 5)]
    labs = [[(f"lab {process % 2}", n) for n in range(each)] for process in range(4)]
    in_processes(home, [same + mine + other for mine, other in zip(own, labs, strict=True)])
    assert home.ledger.open().labs() == ["lab 0", "lab 1", "north"]
    expected = {"north": each + 4 * (each - 1), "lab 0": each, "lab 1": each}
    for lab, count in expected.items():
        assert_once(home, lab)
        rows = rows_of(home, lab)
        assert len(rows) == rows["export"].n_unique() == count
        assert set(rows["edition"]) == {1}
    assert home.ledger.open().all_receipts().select(pl.struct("lab", "export").n_unique()).item() == sum(
        expected.values()
    )
