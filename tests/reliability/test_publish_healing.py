"""The next run publishes what one that was killed did not, and makes again what is lost or torn."""

import random
import shutil
from pathlib import Path

import pytest

from tests.home import Home, often, same, table
from tests.reliability.forks import killed
from tests.reliability.published import KYN, TRP, assert_readable, sent

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")


def test_what_was_committed_and_not_published_is_published_by_the_next_run(home):
    home.ingest("north", table(KYN, TRP))
    home.commit(
        home.archive(
            "north", table(KYN | {"value": "4", "status": "corrected", "reported_at": "2024-03-09 12:00"})
        )
    )
    assert home.values("kynurenine") == [2]
    home.publish()
    assert home.values("kynurenine") == [4]
    assert home.publish() == {}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("dataset", ["results", "metrics", "panels", "quarantine", "exports"])
def test_a_published_file_that_is_lost_or_torn_is_made_again(home, dataset):
    home.ingest("north", table(KYN, TRP, KYN | {"sample": "S2", "value": "x"}))
    before = home.comparable()
    path = next((home.outputs / dataset / "north").glob("*.parquet"))
    path.unlink()
    assert home.publish()[dataset] == 1
    assert same(before, home.comparable()) == []


def take_in(folder: str) -> None:
    home = Home(Path(folder))
    for content in sent()[2:]:
        home.commit(home.archive("north", content))
        home.publish()


def test_killed_at_any_moment_the_next_run_heals(tmp_path):
    whole = Home(tmp_path / "whole")
    whole.ingest("north", *sent())
    expected = whole.comparable()
    before = Home(tmp_path / "before")  # something is published already, which a kill may tear
    shutil.copytree(whole.folder / "secrets", before.folder / "secrets")
    before.ingest("north", *sent()[:2])
    shuffler = random.Random(11)
    at_work = 0
    for number in range(count := often(3, 40)):
        home = Home(tmp_path / str(number))
        shutil.copytree(before.folder, home.folder, dirs_exist_ok=True)
        at_work += killed(shuffler.uniform(0.05, 1.2), take_in, str(home.folder))
        assert assert_readable(home) >= 6
        home.ingest("north", *sent())
        assert same(expected, home.comparable()) == []
        rows = home.ledger.open().all_rows("north").collect()
        assert not rows.select("export", "row", "item").is_duplicated().any()
        shutil.rmtree(home.folder)
    assert 2 * at_work >= count
