"""Backfill: what is archived is read again, by whom it is asked, however often it is stopped and started."""

import random
import shutil
from pathlib import Path

import pytest

from tasks import batches
from tasks.takeback import withdraw
from tests.home import Home, often, same, table
from tests.reliability.backfills import MENDED, MIXED, OWN, Ear, backfill, everything, rebuilt
from tests.reliability.forks import killed
from tests.reliability.published import sent
from tests.reliability.test_exactly_once import assert_conserved

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")


# ---- quarantine, mend, read again


def test_what_a_mended_layout_accepts_is_taken_in_by_a_backfill_of_the_quarantine(home):
    home.ingest("north", MIXED, table({"sample": "S9", "value": "70"}))
    assert home.values("dopamine") == [pytest.approx(0.07), pytest.approx(0.15)]
    home.put("layouts/own.toml", MENDED)
    done = backfill(home, quarantined=True)
    assert (done.chosen, done.anew, done.new_editions) == (1, 1, 1)
    assert (done.accepted_before, done.accepted, done.quarantined) == (1, 2, 0)
    assert home.values("dopamine") == [pytest.approx(0.07), pytest.approx(0.08), pytest.approx(0.15)]
    assert home.reasons() == {}
    assert sorted(home.output("exports")["edition"]) == [1, 2]
    again = backfill(home, quarantined=True)
    assert (again.chosen, again.new_editions, again.months) == (0, 0, 0)


def test_a_file_that_no_layout_fitted_is_read_once_there_is_one(home):
    content = b"alpha;beta\nS1;3\nS2;4\n"
    home.ingest("north", content)
    assert home.output("exports")["reason"].to_list() == ["no layout fits"]
    assert backfill(home, quarantined=True).anew == 0
    home.put(
        "layouts/own.toml",
        f'{OWN}[detect]\nheaders = ["alpha", "beta"]\n[columns]\nsample = ["alpha"]\nvalue = ["beta"]\n'
        '[constants]\nanalyte = "dopamine"\nunit = "umol/L"\nspecimen = "urine"\ncollected_at = "2024-01-05"\n',
    )
    done = backfill(home, quarantined=True)
    assert (done.new_editions, done.accepted) == (1, 2)
    assert home.values("dopamine") == [3, 4]


def test_a_changed_catalogue_makes_what_it_read_stale(home):
    home.ingest("north", table({"analyte": "geheim"}), table({"sample": "S2", "value": "70"}))
    assert backfill(home, stale_catalogue=True).chosen == 0
    home.put("catalogue/synonyms.csv", "analyte_id,text,specimen\ndopamine,geheim,\n")
    done = backfill(home, stale_catalogue=True)
    assert (done.chosen, done.new_editions) == (2, 2)
    assert home.values("dopamine") == [pytest.approx(0.07), pytest.approx(0.15)]
    assert backfill(home, stale_catalogue=True).chosen == 0


def test_a_dry_run_tells_the_plan_and_writes_nothing(home):
    home.ingest("north", MIXED)
    home.put("layouts/own.toml", MENDED)
    before = everything(home)
    ear = Ear()
    assert backfill(home, dry_run=True, ear=ear).new_editions == 0
    assert everything(home) == before
    (plan,) = ear.plan.to_dicts()
    seconds = plan.pop("seconds")
    assert plan == {"lab": "north", "exports": 1, "anew": 1, "rows": 2, "months": 2, "first": "2024-03", "last": "2024-05"}  # fmt: skip
    assert 0 < seconds < 1
    assert ear.heard == ["looking 1"]


def test_an_export_that_was_archived_and_never_committed_is_taken_in(home):
    home.ingest("north", table({"sample": "S2", "value": "70"}))
    home.archive("north", table({}))
    done = backfill(home, quarantined=True)
    assert (done.chosen, done.new_editions, done.accepted_before) == (1, 1, 0)
    assert home.values("dopamine") == [pytest.approx(0.07), pytest.approx(0.15)]


def test_what_was_committed_and_not_published_is_published_though_nothing_is_read(home):
    home.commit(home.archive("north", table({})))
    done = backfill(home)
    assert (done.anew, done.months) == (0, 1)
    assert home.values("dopamine") == [pytest.approx(0.15)]


def test_a_reading_that_accepts_fewer_rows_is_told_and_waits_for_force(home):
    home.put("layouts/own.toml", MENDED)
    (export,) = home.ingest("north", MIXED)
    home.put("layouts/own.toml", OWN)
    before, ear = home.comparable(), Ear()
    done = backfill(home, ear=ear)
    assert (done.new_editions, done.counts["held"]) == (0, 1)
    assert ear.held == [{"lab": "north", "export": export.sha256[:12], "accepted_before": 2, "accepted": 1}]
    assert same(before, home.comparable()) == []
    assert backfill(home, force=True).new_editions == 1
    assert home.values("dopamine") == [pytest.approx(0.15)]


def test_a_withdrawn_export_is_taken_in_again_only_when_it_is_named_with_force(home):
    (export,) = home.ingest("north", table({}))
    withdraw(home.settings, export, "sent by another lab")
    assert backfill(home).chosen == 0
    assert backfill(home, force=True).chosen == 0
    named = (f"north/{export.sha256}",)
    assert backfill(home, exports=named).chosen == 0
    assert backfill(home, exports=named, force=True).new_editions == 1
    assert home.values("dopamine") == [pytest.approx(0.15)]


# ---- stopped, and in any order


def backfill_in_small_batches(folder: str) -> None:
    batches.EXPORTS_PER_BATCH = 2
    backfill(Home(Path(folder)))


@pytest.mark.in_a_folder
def test_killed_at_any_moment_the_same_backfill_goes_on_and_ends_like_a_clean_rebuild(tmp_path):
    home = Home(tmp_path / "before")
    home.ingest("north", *sent(), MIXED)
    home.ingest("south", *sent()[:3])
    home.put("layouts/own.toml", MENDED)
    home.put("catalogue/synonyms.csv", "analyte_id,text,specimen\ntaurine,unobtainium,\n")
    expected = rebuilt(home, tmp_path / "clean")
    shuffler = random.Random(5)
    at_work = 0
    for number in range(count := often(2, 40)):
        copy = Home(tmp_path / str(number))
        shutil.copytree(home.folder, copy.folder, dirs_exist_ok=True)
        at_work += killed(shuffler.uniform(0.05, 1.2), backfill_in_small_batches, str(copy.folder))
        backfill(copy)
        assert same(expected, copy.comparable()) == []
        assert_conserved(copy)
        assert backfill(copy).new_editions == 0
        shutil.rmtree(copy.folder)
    assert 2 * at_work >= count


@pytest.mark.in_a_folder
def test_backfills_in_random_orders_end_like_a_clean_rebuild(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "EXPORTS_PER_BATCH", 3)
    seed = Home(tmp_path / "seed")
    seed.settings.pseudonym_key()
    for number in range(often(2, 50)):
        shuffler = random.Random(number)
        home = Home(tmp_path / str(number))
        shutil.copytree(seed.folder / "secrets", home.folder / "secrets")
        exports = [home.archive("north", content) for content in (*sent(), MIXED)]
        shuffler.shuffle(exports)
        for export in exports:  # each was read at another time, with other layouts; some not at all
            home.put("layouts/own.toml", shuffler.choice([OWN, MENDED, f"{OWN}snapshot = false\n"]))
            if shuffler.random() < 0.8:
                home.commit(export)
            if shuffler.random() < 0.3:
                home.publish()
        home.put("layouts/own.toml", MENDED)
        choices: list[dict] = [
            {"quarantined": True},
            {"stale_catalogue": True},
            {"from_month": "2024-05"},
            {"to_month": "2024-04"},
            {"layout": "own"},
        ]
        shuffler.shuffle(choices)
        for choice in (*choices[: shuffler.randint(0, 5)], {"force": True}):
            backfill(home, **choice)
        assert same(rebuilt(home, tmp_path / f"{number} clean"), home.comparable()) == []
        assert_conserved(home)
        shutil.rmtree(home.folder)
