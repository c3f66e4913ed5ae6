"""Erasing a subject: nothing of it stays in any byte of the home, and everything else does."""

import io

import polars as pl
import pyarrow.parquet as pq
import pytest

from schemas.result import ERASED
from tasks.bench import Bench
from tasks.erase import erase, find, search_of
from tasks.prepare import prepare
from tasks.takeback import withdraw
from tasks.upkeep import maintain
from tests.home import Home, same, table

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")

CANARY = "Zelda-Canary77"
THEIRS = {"subject": CANARY, "sample": "S9", "value": "77.25"}


STUDY_CODES = '[north]\ntimezone = "Europe/Berlin"\nids_are_study_codes = true\n'


def forget(home: Home, subject: str = CANARY, lab: str = "north"):
    found = erase(home.settings, search_of(home.settings, lab, subject))
    home.publish()
    return found


def in_bytes(home: Home, text: str = CANARY) -> list[str]:
    """The files of the home that hold a text, also in the cells and statistics of Parquet files."""
    found = []
    wanted = (text.encode(), text.encode("utf-16-le"))
    for item in home.settings.store.items(""):
        with home.settings.store.open(item.name) as file:
            content = file.read()
        if item.name.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(content))
            content += str(table.to_pylist()).encode() + str(table.schema.metadata).encode()
        if any(one in content for one in wanted):
            found.append(item.name)
    return sorted(found)


def balanced(home: Home, lab: str = "north") -> None:
    snapshot = home.ledger.open()
    receipts = snapshot.all_receipts(lab)
    rows = snapshot.all_rows(lab).collect()
    counted = rows.group_by("export", "edition").agg(pl.len().alias("n"), pl.col("accepted").sum())
    both = receipts.join(counted, on=["export", "edition"], how="left").fill_null(0)
    assert both["rows"].to_list() == both["n"].to_list()
    assert both["accepted_rows"].to_list() == both["accepted"].to_list()
    assert (both["rows"] == both["accepted_rows"] + both["quarantined_rows"]).all()


def test_nothing_of_a_subject_stays_in_any_byte_of_the_home_and_the_others_stay(home):
    home.put("labs.toml", STUDY_CODES)
    others = table({"value": "150"}, {"sample": "S2", "value": "90", "analyte": "geheim"})
    theirs = table(
        {"value": "160", "sample": "S3"}, THEIRS, THEIRS | {"analyte": "geheim"}, THEIRS | {"value": CANARY}
    )
    home.ingest("north", others)
    held = home.archive("north", theirs, f"report {CANARY}.csv")
    home.commit(held)
    home.put(
        "layouts/own.toml",
        'name = "own"\nextends = "generic"\nlabs = ["north"]\n[analytes]\ngeheim = "serotonin"\n',
    )
    home.commit(held)
    unread = home.archive("north", b"\x00\x01 " + CANARY.encode() + b" nobody reads", "scan.pdf")
    home.commit(unread)
    lonely = home.archive("north", f"half an upload of {CANARY}".encode(), "half.csv")
    home.publish()
    maintain(home.settings)
    assert len(in_bytes(home)) > 10

    found = forget(home)
    assert in_bytes(home) == []
    assert (found.rows, found.samples) == (6, 1)
    assert found.exports == {held.sha256, unread.sha256, lonely.sha256}
    balanced(home)
    receipts = home.ledger.open().receipts("north")
    assert dict(receipts.select("export", "action").iter_rows())[held.sha256] == ERASED
    assert home.values("dopamine") == [pytest.approx(0.15), pytest.approx(0.16)]
    assert home.publish() == {}, "nothing is stale"
    assert not forget(home), "nothing is left to erase"


def test_outputs_are_those_of_a_home_that_never_had_the_subject(home, tmp_path):
    clean = Home(tmp_path / "clean")
    clean.put("labs.toml", STUDY_CODES)
    home.put("labs.toml", STUDY_CODES)
    for place, more in ((clean, []), (home, [THEIRS, THEIRS | {"collected_at": "2024-07-01 08:00"}])):
        place.ingest("north", table({"value": "150"}, *more))
    assert len(home.values("dopamine")) == 2
    forget(home)
    for dataset in ("results", "metrics", "panels"):
        keep = [name for name in clean.comparable()[dataset].columns if name != "sample_key"]
        assert home.comparable()[dataset].select(keep).equals(clean.comparable()[dataset].select(keep))


def test_texts_of_others_that_name_the_subject_are_blanked_and_their_rows_stay(home):
    home.ingest("north", table({"value": f"see {CANARY}"}, {"sample": "S2", "value": "90"}))
    found = forget(home)
    assert (found.rows, found.texts) == (0, 1)
    assert in_bytes(home) == []
    balanced(home)
    assert home.reasons() == {"unreadable value": 1}
    assert home.values("dopamine") == [pytest.approx(0.09)]


def test_an_id_within_another_id_is_somebody_else(home):
    home.ingest("north", table({"subject": "P12345"}, {"subject": "P1234", "sample": "S2", "value": "90"}))
    forget(home, "P1234")
    assert home.values("dopamine") == [pytest.approx(0.15)]


def test_other_labs_keep_their_subject_of_the_same_name(home):
    for lab in ("north", "south"):
        home.ingest(lab, table(THEIRS | {"collected_at": "2024-03-01", "reported_at": ""}))
    forget(home)
    assert home.output("results")["lab"].to_list() == ["south"]
    assert home.ledger.open().all_rows("south").collect()["subject"].to_list() == [CANARY]


def test_the_ledger_still_takes_everything_exactly_once(home):
    mine, theirs = home.archive("north", table({})), home.archive("north", table(THEIRS, {"sample": "S3"}))
    home.commit(mine)
    home.commit(theirs)
    forget(home)
    assert home.commit(mine) == {}
    late = home.archive("north", table({"sample": "S4"}))
    assert home.commit(late) == {late: 1}
    # the same file sent again does not bring the subject back into the ledger, and goes from the archive
    again = home.archive("north", table(THEIRS, {"sample": "S3"}))
    assert again == theirs
    assert home.commit(again) == {}
    assert in_bytes(home) != []
    assert forget(home).exports == {theirs.sha256}
    assert in_bytes(home) == []
    balanced(home)
    table_ = home.ledger.open().table
    assert table_.transaction_version(f"north/{mine.sha256}") == 1
    assert table_.transaction_version(f"north/{theirs.sha256}") == 3


def test_an_erasure_that_was_killed_is_ended_by_the_next(home, monkeypatch):
    ledger = type(home.ledger)

    def killed(*_, **__):
        raise KeyboardInterrupt

    home.ingest("north", table(THEIRS, {"sample": "S3", "value": "90"}))
    for step in ("swap", "forget"):
        monkeypatch.setattr(ledger, step, killed)
        with pytest.raises(KeyboardInterrupt):
            erase(home.settings, search_of(home.settings, "north", CANARY))
        monkeypatch.undo()
    forget(home)
    assert in_bytes(home) == []
    assert home.values("dopamine") == [pytest.approx(0.09)]
    balanced(home)


def test_what_a_killed_run_staged_of_the_subject_goes_and_other_staged_files_stay(home):
    home.ingest("north", table({}))
    bench = Bench.of(home.settings)
    stayed = prepare(bench, [home.archive("north", table({"sample": "S5"}))], {})
    prepare(bench, [home.archive("north", table(THEIRS))], {})
    forget(home)
    assert in_bytes(home) == []
    assert set(home.ledger.commit("north", *stayed).editions.values()) == {1}


def test_a_commit_that_comes_between_is_searched_too(home, monkeypatch):
    home.ingest("north", table(THEIRS, {"sample": "S3"}))
    ledger = type(home.ledger)
    swap = ledger.swap
    waiting = [lambda: home.commit(home.archive("north", table(THEIRS | {"value": "5"})))]

    def overtaken(self, *args):
        if waiting:
            waiting.pop()()
        return swap(self, *args)

    monkeypatch.setattr(ledger, "swap", overtaken)
    forget(home)
    assert in_bytes(home) == []
    assert home.ledger.open().receipts("north")["action"].to_list() == [ERASED, ERASED]


def test_a_withdrawn_export_stays_withdrawn_and_a_snapshot_without_the_subject_still_counts(home):
    home.put("layouts/whole.toml", 'name = "whole"\nextends = "generic"\nlabs = ["north"]\nsnapshot = true\n')
    home.ingest("north", table({"value": "150"}))
    home.ingest("north", table({"value": "155"}, THEIRS))
    (gone,) = home.ingest("north", table({"value": "170"}, THEIRS))
    withdraw(home.settings, gone, f"asked for by {CANARY}")
    home.publish()
    forget(home)
    assert home.values("dopamine") == [pytest.approx(0.155)]
    assert in_bytes(home) == []


@pytest.mark.in_a_folder
def test_names_in_the_cache_of_an_inbox_go_too(home, tmp_path):
    from tasks.discover import archive_inbox

    inbox = tmp_path / "inbox" / "north"
    inbox.mkdir(parents=True)
    (inbox / f"{CANARY}.csv").write_bytes(table({}))
    home.options["inbox"] = str(tmp_path / "inbox")
    home.options["settle_seconds"] = 0
    home.commit(*archive_inbox(home.settings).files)
    forget(home)
    assert in_bytes(home) == []


def test_looking_first_changes_nothing(home):
    home.ingest("north", table(THEIRS, {"sample": "S3"}))
    before, version = home.comparable(), home.ledger.open().version
    found = find(home.settings, search_of(home.settings, "north", CANARY))
    assert (found.rows, found.samples, len(found.exports)) == (1, 1, 1)
    assert home.ledger.open().version == version
    assert not same(before, home.comparable())
