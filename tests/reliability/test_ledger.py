"""What a commit appends and what it leaves: exports, editions, receipts, and writes that are lost or overtaken."""

import random

import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from schemas.export import Unreadable
from tasks import bench as benching
from tasks import readers
from tasks.archive import Export
from tasks.bench import Bench
from tasks.prepare import prepare
from tests.home import Home, often, table
from tests.reliability.ledgers import assert_once, rows_of

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")


def test_the_same_export_is_appended_once_whatever_its_name(home):
    one = home.archive("north", table({}), "first.csv")
    assert home.commit(one) == {one: 1}
    version = home.ledger.open().version
    assert home.commit(one) == {}
    renamed = home.archive("north", table({}), "renamed.csv")
    assert renamed == one
    assert home.commit(renamed) == {}
    assert home.ledger.open().version == version
    assert home.ledger.open().all_receipts("north")["name"].to_list() == ["first.csv"]
    assert_once(home)


def test_a_commit_that_ignores_what_is_known_still_appends_nothing_and_leaves_no_file(home):
    export = home.archive("north", table({}))
    home.commit(export)
    prepared, staged = prepare(Bench.of(home.settings), [export], {})
    assert len(staged) == 1
    assert home.ledger.commit("north", prepared, staged).editions == {}
    assert_once(home)


def test_the_same_bytes_of_two_labs_are_two_exports(home):
    for lab in ("north", "south"):
        export = home.archive(lab, table({}))
        assert home.commit(export) == {export: 1}
    assert home.ledger.open().labs() == ["north", "south"]


def test_another_reading_is_another_edition_and_only_its_rows_count(home):
    export = home.archive("north", table({}, {"analyte": "geheim"}))
    home.commit(export)
    first = home.ledger.open()
    home.put(
        "layouts/own.toml",
        'name = "own"\nextends = "generic"\nlabs = ["north"]\n[analytes]\ngeheim = "serotonin"\n',
    )
    assert home.commit(export) == {export: 2}
    snapshot = home.ledger.open()
    assert snapshot.rows("north").collect()["edition"].unique().to_list() == [2]
    assert snapshot.receipts("north")["accepted_rows"].to_list() == [2]
    assert sorted(snapshot.all_receipts("north")["accepted_rows"]) == [1, 2]
    assert first.rows("north").collect()["edition"].unique().to_list() == [1]
    assert_once(home)


def test_an_edition_that_cannot_be_read_any_more_has_no_rows_and_names_the_old_months(home, monkeypatch):
    moved = home.archive("north", table({"collected_at": "2024-04-01 08:00", "status": "corrected"}))
    export = home.archive("north", table({}))
    home.commit(export)
    home.commit(moved)

    def refuse(*_):
        raise Unreadable("nobody reads it")

    monkeypatch.setattr(readers, "read", refuse)
    monkeypatch.setattr(benching, "VERSION", "another")
    assert home.commit(export) == {}, "held: it would accept fewer rows"
    home.commit(export, force=True)
    receipt = home.ledger.open().receipts("north").filter(pl.col("export") == export.sha256).to_dicts()[0]
    assert (receipt["edition"], receipt["rows"], receipt["reason"]) == (2, 0, "nobody reads it")
    # the sample stood in both months, and its published row held what this export no longer says
    assert receipt["months"] == ["2024-03", "2024-04"]


def test_a_receipt_names_every_month_its_samples_touch(home):
    months = []
    for collected in ("2024-03-01", "2024-05-01", "2024-04-01"):
        export = home.archive(
            "north",
            table({"collected_at": collected}, {"sample": f"only {collected}", "collected_at": collected}),
        )
        home.commit(export)
        receipts = home.ledger.open().receipts("north")
        months.append(receipts.filter(pl.col("export") == export.sha256)["months"][0].to_list())
    assert months == [["2024-03"], ["2024-03", "2024-05"], ["2024-03", "2024-04", "2024-05"]]


def test_a_receipt_names_the_undated_month_for_rows_without_a_time(home):
    export = home.archive("north", table({"collected_at": ""}, {"sample": "S2"}))
    home.commit(export)
    assert home.ledger.open().receipts("north")["months"][0].to_list() == ["2024-03", "undated"]


def test_several_exports_are_one_commit_and_an_export_twice_in_it_is_refused(home):
    exports = [home.archive("north", table({"value": str(n)})) for n in range(3)]
    version = home.ledger.open().version
    assert set(home.commit(*exports).values()) == {1}
    assert home.ledger.open().version == version + 1
    other = home.archive("north", table({"value": "9"}))
    prepared, staged = prepare(Bench.of(home.settings), [other], {})
    with pytest.raises(ValueError, match="twice"):
        home.ledger.commit("north", prepared * 2, staged)
    assert_rows_of_others_only = rows_of(home)["export"].unique().to_list()
    assert other.sha256 not in assert_rows_of_others_only


def test_a_part_of_a_batch_that_others_committed_meanwhile_is_left_out(home):
    bench = Bench.of(home.settings)
    exports = [home.archive("north", table({"value": str(n)})) for n in range(3)]
    prepared, staged = prepare(bench, exports, {})
    assert len(staged) == 1
    home.commit(exports[1])
    assert home.ledger.commit("north", prepared, staged).editions == {exports[0]: 1, exports[2]: 1}
    assert_once(home)


class Table:
    """A Delta table whose write does as it should, and then something else."""

    def __init__(self, table: DeltaTable, then) -> None:
        self._table, self._then = table, then

    def __getattr__(self, name: str):
        return getattr(self._table, name)

    def create_write_transaction(self, *args, **kwargs) -> None:
        self._then(lambda: self._table.create_write_transaction(*args, **kwargs))


def with_table(home: Home, monkeypatch, then) -> None:
    ledger = type(home.ledger)
    opened = ledger.open

    def open_with(self):
        snapshot = opened(self)
        snapshot.table = Table(snapshot.table, then)
        return snapshot

    monkeypatch.setattr(ledger, "open", open_with)


@pytest.mark.parametrize("seed", range(often(1, 100)))
@pytest.mark.parametrize("error", [CommitFailedError, OSError])
def test_a_commit_whose_acknowledgement_is_lost_keeps_its_files(home, monkeypatch, error, seed):
    shuffler = random.Random(seed)
    count = shuffler.randint(1, 5)

    def lost(write) -> None:
        write()
        raise error("connection reset")

    exports = [home.archive("north", table({"value": str(n + 1)})) for n in range(count)]
    if known := shuffler.sample(exports, shuffler.randrange(count)):  # what others committed before
        home.commit(*known)
    prepared, staged = prepare(Bench.of(home.settings), exports, {})
    with_table(home, monkeypatch, lost)
    if error is CommitFailedError:
        assert home.ledger.commit("north", prepared, staged).editions == {}
    else:
        with pytest.raises(OSError, match="reset"):
            home.ledger.commit("north", prepared, staged)
    monkeypatch.undo()
    # the retry of a caller finds it done, and discards nothing that counts
    assert home.ledger.commit("north", prepared, staged).editions == {}
    assert len(rows_of(home)) == count
    assert_once(home)


def test_a_lost_race_leaves_no_file_behind(home, monkeypatch):
    export, other = home.archive("north", table({})), home.archive("north", table({"value": "1"}))
    prepared, staged = prepare(Bench.of(home.settings), [export], {})
    waiting = [lambda: home.commit(other)]

    def overtaken(write) -> None:
        if waiting:
            waiting.pop()()
        write()

    with_table(home, monkeypatch, overtaken)
    assert home.ledger.commit("north", prepared, staged).editions == {export: 1}
    monkeypatch.undo()
    assert rows_of(home)["export"].n_unique() == 2
    assert_once(home)


@pytest.mark.in_a_folder
def test_the_ledger_refuses_to_forget(home):
    home.ingest("north", table({}))
    with pytest.raises(Exception, match=r"(?i)append"):
        DeltaTable(str(home.folder / "ledger")).delete()


def test_an_export_is_known_by_lab_and_hash_only(home):
    export = home.archive("north", table({}))
    assert export == Export("north", export.sha256)
    assert export.short == f"north/{export.sha256[:12]}"
