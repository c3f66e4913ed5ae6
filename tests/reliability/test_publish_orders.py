"""Originals and corrections that arrive in any order, together or alone, give the same outputs."""

import random
import shutil

import polars as pl

from tests.home import Home, often, same
from tests.reliability.published import assert_accounted, sent


def test_originals_and_corrections_in_any_order_give_identical_outputs(tmp_path):
    shuffler = random.Random(7)
    expected = None
    for number in range(often(20, 50)):
        home = Home(tmp_path / str(number))
        shutil.copytree(tmp_path / "0/secrets", home.folder / "secrets") if number else None
        contents = sent()
        if number:
            shuffler.shuffle(contents)
        while contents:
            # some arrive together, some alone; some runs do not come to publishing
            batch = [
                home.archive("north", contents.pop())
                for _ in range(min(len(contents), shuffler.randint(1, 5)))
            ]
            home.commit(*batch)
            if shuffler.random() < 0.2:
                home.publish()
        home.publish()
        found = home.comparable()
        if expected is None:
            expected = found
            assert_accounted(home)
            kyn_trp = home.metric("kyn_trp").filter(pl.col("status") == "uncensored")
            assert len(kyn_trp) == 5
        assert same(expected, found) == []
        shutil.rmtree(home.folder) if number else None
