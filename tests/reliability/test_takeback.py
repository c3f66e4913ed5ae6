"""Exports that are taken back, that replace each other, or that would accept fewer rows than before."""

import polars as pl
import pytest

from schemas.result import WITHDRAWN
from tasks.archive import Export
from tasks.bench import Bench
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.takeback import NotInLedger, withdraw
from tests.home import same, table

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")

SNAPSHOT = 'name = "whole"\nextends = "generic"\nlabs = ["north"]\nsnapshot = true\n'


def replay(home, *exports: Export, force: bool = False):
    """Read archived exports again and commit them, as a backfill does."""
    known = dict(home.ledger.open().receipts(exports[0].lab).select("export", "reading_hash").iter_rows())
    prepared, staged = prepare(Bench.of(home.settings), exports, known, force)
    return home.ledger.commit(exports[0].lab, prepared, staged)


def test_a_withdrawn_export_leaves_the_outputs_and_its_rows_stay_in_the_ledger(home):
    (export,) = home.ingest("north", table({"value": "150"}))
    assert withdraw(home.settings, export, "sent by another lab") == 2
    home.publish()
    assert home.values("dopamine") == []
    assert home.output("metrics").is_empty()
    snapshot = home.ledger.open()
    assert len(snapshot.all_rows("north").collect()) == 1
    (receipt,) = snapshot.receipts("north").to_dicts()
    assert (receipt["action"], receipt["action_reason"]) == (WITHDRAWN, "sent by another lab")


def test_withdrawing_twice_appends_once(home):
    (export,) = home.ingest("north", table({}))
    assert withdraw(home.settings, export, "once") == 2
    assert withdraw(home.settings, export, "twice") is None


def test_what_a_withdrawn_correction_replaced_counts_again(home):
    home.ingest("north", table({"value": "150"}))
    correction = table({"value": "170", "status": "corrected", "reported_at": "2024-03-05 12:00"})
    (corrected,) = home.ingest("north", correction)
    assert home.values("dopamine") == [pytest.approx(0.17)]
    withdraw(home.settings, corrected, "wrong sample")
    home.publish()
    assert home.values("dopamine") == [pytest.approx(0.15)]


def test_the_same_file_sent_again_does_not_undo_a_withdrawal_but_a_forced_replay_does(home):
    content = table({"value": "150"})
    (export,) = home.ingest("north", content)
    withdraw(home.settings, export, "wrong lab")
    home.ingest("north", content)
    assert home.values("dopamine") == []
    assert replay(home, export).editions == {}
    assert replay(home, export, force=True).editions == {export: 3}
    home.publish()
    assert home.values("dopamine") == [pytest.approx(0.15)]


def test_an_export_that_was_never_taken_in_cannot_be_withdrawn(home):
    with pytest.raises(NotInLedger, match="does not hold it"):
        withdraw(home.settings, Export("north", "0" * 64), "why")


def test_a_newer_snapshot_replaces_the_older_one_removed_rows_included(home):
    home.put("layouts/whole.toml", SNAPSHOT)
    older = table({"value": "150"}, {"sample": "S2", "value": "90", "collected_at": "2024-04-02 08:00"})
    home.ingest("north", older)
    assert len(home.values("dopamine")) == 2
    home.ingest("north", table({"value": "155"}))
    assert home.values("dopamine") == [pytest.approx(0.155)]


def test_snapshots_committed_in_any_order_give_the_same_outputs(home, tmp_path):
    home.put("layouts/whole.toml", SNAPSHOT)
    first = home.archive("north", table({"value": "150"}, {"sample": "S2", "value": "90"}))
    second = home.archive("north", table({"value": "155"}, {"sample": "S3", "value": "80"}))
    home.commit(second)
    home.publish()
    home.commit(first)
    home.publish()
    assert home.values("dopamine") == [pytest.approx(0.08), pytest.approx(0.155)]


def test_where_the_newest_snapshot_is_withdrawn_or_unreadable_the_one_before_counts(home):
    home.put("layouts/whole.toml", SNAPSHOT)
    home.ingest("north", table({"value": "150"}))
    (newer,) = home.ingest("north", table({"sample": "S2", "value": "90"}))
    assert home.values("dopamine") == [pytest.approx(0.09)]
    withdraw(home.settings, newer, "half of the file is missing")
    home.publish()
    assert home.values("dopamine") == [pytest.approx(0.15)]
    home.ingest("north", b"\x00\x01\x02 nothing that anybody reads")
    assert home.values("dopamine") == [pytest.approx(0.15)]


def test_a_reading_that_accepts_fewer_rows_is_held_until_it_is_forced(home):
    content = table({}, {"analyte": "geheim", "sample": "S2", "value": "80"})
    home.put(
        "layouts/own.toml",
        'name = "own"\nextends = "generic"\nlabs = ["north"]\n[analytes]\ngeheim = "dopamine"\n',
    )
    (export,) = home.ingest("north", content)
    before = home.comparable()
    home.put("layouts/own.toml", 'name = "own"\nextends = "generic"\nlabs = ["north"]\n')
    done = replay(home, export)
    assert (done.editions, done.held) == ({}, {export: (2, 1)})
    home.publish()
    assert not same(before, home.comparable())
    assert {item.name for item in home.settings.store.items("ledger/files")} == {
        f"ledger/{path}" for path in home.ledger.open().paths
    }
    assert replay(home, export, force=True).editions == {export: 2}
    home.publish()
    assert len(home.values("dopamine")) == 1


def test_a_receipt_says_with_which_catalogue_and_layout_an_export_was_read(home):
    home.ingest("north", table({}))
    (receipt,) = Ledger(home.settings.store).open().receipts("north").to_dicts()
    bench = Bench.of(home.settings)
    assert receipt["reading_catalogue"] == bench.catalogue.reading_hash
    assert receipt["layout_digest"] == bench.layouts[receipt["layout"]].digest
    assert pl.Series([receipt["action"]]).to_list() == ["read"]
