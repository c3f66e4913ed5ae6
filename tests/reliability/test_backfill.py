"""Backfill: what is archived is read again, by whom it is asked, however often it is stopped and started."""

import random
import shutil
import time
from pathlib import Path

import polars as pl
import pytest

from flows import stages
from flows.backfill import Outcome, run_backfill
from flows.runner import Plainly
from flows.stages import Run
from tasks import batches
from tasks.choose import Choice
from tasks.prepare import prepare
from tasks.takeback import withdraw
from tests.home import Home, often, same, table
from tests.reliability.forks import FORKS, begun, ended, killed
from tests.reliability.published import sent
from tests.reliability.test_exactly_once import assert_conserved

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")

OWN = 'name = "own"\nextends = "generic"\nlabs = ["north"]\n'
MENDED = f'{OWN}[analytes]\ngeheim = "dopamine"\n'
MIXED = table({}, {"analyte": "geheim", "sample": "S2", "value": "80", "collected_at": "2024-05-02 08:00"})


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.plan = pl.DataFrame()
        self.heard: list[str] = []
        self.held: list[dict] = []

    def planned(self, plan):
        self.plan = plan

    def went_on(self, stage, done, total):
        assert 0 < done <= total
        self.heard.append(f"{stage} {done}")

    def ended(self, counts, held):
        self.held = held


def backfill(home: Home, dry_run: bool = False, ear: Ear | None = None, **choice) -> Outcome:
    """The backfill of the flow, without its server."""
    return run_backfill(Run.of(str(home.place)), Choice(**choice), dry_run, Plainly(), [ear] if ear else [])


def everything(home: Home) -> dict[str, str]:
    """All that stands in a home: name -> what tells one writing from the next."""
    return {item.name: item.tag for item in home.settings.store.items("")}


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


def rebuilt(home: Home, folder: Path) -> dict[str, pl.DataFrame]:
    """The outputs of a home that takes in the same archive for the first time, with the layouts of now."""
    fresh = Home(folder)
    for name in ("archive", "layouts", "catalogue", "secrets"):
        if (home.folder / name).exists():
            shutil.copytree(home.folder / name, fresh.folder / name)
    backfill(fresh)
    return fresh.comparable()


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


# ---- beside other runs


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
