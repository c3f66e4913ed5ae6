"""Upkeep: few files instead of many, nothing lost or doubled, nothing removed that somebody needs."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from schemas.store import UNDER_WAY, write
from tasks.bench import Bench
from tasks.prepare import prepare
from tasks.upkeep import WrongKeeping, maintain
from tests.home import Home, often, same, table
from tests.reliability.forks import FORKS, begun, ended

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")

LATER = timedelta(days=2)


def small_commits(home: Home, count: int, lab: str = "north"):
    return [
        export
        for n in range(count)
        for export in home.commit(home.archive(lab, table({"sample": f"S{n}", "value": str(n + 1)})))
    ]


def kept(home: Home) -> set[str]:
    return {item.name.removeprefix("ledger/") for item in home.settings.store.items("ledger/files")}


def content(home: Home, lab: str = "north"):
    snapshot = home.ledger.open()
    rows = snapshot.all_rows(lab).collect().sort("export", "edition", "row", "item")
    return rows, snapshot.all_receipts(lab).sort("export", "edition")


def test_small_files_become_few_and_the_ledger_says_the_same(home):
    exports = small_commits(home, 5)
    home.publish()
    before, published = content(home), home.comparable()
    done = maintain(home.settings)
    assert (done.compacted, done.made, done.left) == (10, 2, 0)
    assert len(home.ledger.open().paths) == 2
    for one, other in zip(before, content(home), strict=True):
        assert one.equals(other)
    assert home.commit(*exports) == {}
    assert home.publish() == {}, "nothing is stale"
    assert not same(published, home.comparable())
    again = maintain(home.settings)
    assert (again.compacted, again.made) == (0, 0)


def test_editions_and_labs_stay_apart_and_files_are_sorted_for_reads(home):
    small_commits(home, 2)
    small_commits(home, 2, "south")
    home.put(
        "layouts/own.toml",
        'name = "own"\nextends = "generic"\nlabs = ["north"]\n[analytes]\ngeheim = "serotonin"\n',
    )
    small_commits(home, 2)
    before = {lab: content(home, lab) for lab in ("north", "south")}
    assert maintain(home.settings).made == 6
    for lab, said in before.items():
        for one, other in zip(said, content(home, lab), strict=True):
            assert one.equals(other)
    files = home.ledger.open().files.filter(kind="result")
    assert files.select("lab", "edition").n_unique() == len(files)
    assert files["min.sample_key"].null_count() == 0
    first = home.ledger.open().all_rows("north").collect().filter(edition=1)
    assert first["sample_key"].is_sorted()


def test_replaced_files_stay_for_readers_until_their_days_are_over(home):
    small_commits(home, 3)
    reader = home.ledger.open()
    assert maintain(home.settings).removed == 0
    assert len(reader.all_rows("north").collect()) == 3
    assert len(kept(home)) == 8
    assert maintain(home.settings, keep_days=0).removed == 6
    assert kept(home) == home.ledger.open().paths
    with pytest.raises(WrongKeeping, match="0 to 30 days"):
        maintain(home.settings, keep_days=31)


def test_staged_files_that_no_commit_names_go_after_a_day_and_not_before(home):
    small_commits(home, 1)
    waiting = home.archive("north", table({"sample": "waits"}))
    prepared, staged = prepare(Bench.of(home.settings), [waiting], {})
    write(home.settings.store, "ledger/files/left.parquet#1", lambda path: path.write_bytes(b"half"))
    assert maintain(home.settings).removed == 0
    assert home.ledger.commit("north", prepared, staged).editions == {waiting: 1}
    assert maintain(home.settings, now=datetime.now(UTC) + LATER).removed == 1
    assert "files/left.parquet#1" not in kept(home)
    assert len(content(home)[0]) == 2


def test_log_entries_that_were_never_finished_go_after_a_day_and_not_before(home):
    small_commits(home, 1)
    log = "ledger/_delta_log"
    left = {f"{log}/{version:020d}.json#1" for version in (1, 7)} | {f"{log}/_commit_left.json.tmp"}
    for name in left:
        write(home.settings.store, name, lambda path: path.write_bytes(b"half"))
    assert maintain(home.settings).swept == 0
    assert maintain(home.settings, now=datetime.now(UTC) + LATER).swept == len(left)
    assert left.isdisjoint(item.name for item in home.settings.store.items(log))
    assert len(content(home)[0]) == 1


@pytest.mark.in_a_folder
def test_what_killed_processes_left_is_swept_wherever_it_stands_and_what_is_new_stays(home):
    small_commits(home, 1)
    home.publish()
    old, new = [], home.folder / "outputs" / f"{UNDER_WAY}new"
    for folder in ("", "archive/north", "ledger/files", "outputs/metrics/north"):
        old.append(home.folder / folder / f"{UNDER_WAY}{len(old)}")
        old[-1].write_bytes(b"half")
        os.utime(old[-1], (time.time() - 2 * 86_400,) * 2)
    new.write_bytes(b"half")
    assert maintain(home.settings).swept == len(old)
    assert not any(path.exists() for path in old)
    assert new.exists()


def test_two_swaps_of_the_same_files_never_both_count(home):
    small_commits(home, 3)
    ledger = home.ledger
    late, rows = ledger.open(), content(home)[0]
    assert maintain(home.settings).made == 2
    old = late.files.filter(kind="result").to_dicts()
    assert not ledger.swap(late, "north", old, [ledger.rewritten(rows, "result", 1)])
    assert len(content(home)[0]) == 3
    assert len(kept(home)) == 8, "the refused swap leaves no file"


def commit_many(home: Home, process: int, count: int, barrier) -> None:
    exports = [
        home.archive("north", table({"sample": f"S{process}-{n}", "value": str(n + 1)})) for n in range(count)
    ]
    barrier.wait(60)
    for export in exports:
        home.commit(export)


def maintain_often(home: Home, count: int, barrier) -> None:
    barrier.wait(60)
    for _ in range(count):
        maintain(home.settings)


def test_upkeep_beside_commits_and_beside_another_upkeep_loses_and_doubles_nothing(home):
    small_commits(home, 4)
    count = often(6, 100)
    barrier = FORKS.Barrier(4)
    processes = [begun(commit_many, home, n, count, barrier) for n in range(2)]
    processes += [begun(maintain_often, home, count, barrier) for _ in range(2)]
    assert ended(processes, 600) == [0] * 4
    maintain(home.settings)
    rows, receipts = content(home)
    assert len(rows) == rows["export"].n_unique() == len(receipts) == 4 + 2 * count
    assert len(home.ledger.open().paths) == 2
