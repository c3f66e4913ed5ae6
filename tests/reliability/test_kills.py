"""kill -9 at random moments of an ingest and of the backfill after it, then a rerun of both.

The stages are those of the real flows on a running Prefect server. A seed says in which of the two flows the
process is killed, and when; the seed stands in the test's name, and NEUROBALANCE_SEED=17 tries 17 alone.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from schemas.store import UNDER_WAY
from tasks.upkeep import maintain
from tests.docs.plain import ingest
from tests.home import Home, often, same
from tests.reliability.backfills import MENDED, MIXED, backfill
from tests.reliability.killable import Killable, Told
from tests.reliability.published import assert_readable, sent
from tests.reliability.servers import prefect_server
from tests.reliability.test_exactly_once import assert_conserved
from tests.reliability.test_failures import copy_of

pytestmark = pytest.mark.timeout(300)

LABS = ("north", "south")
FLOWS = ("ingest", "backfill")
#: the stages of each flow that take long enough for a kill in one of many moments to hit them
AT_WORK = {
    "ingest": ("read and validate", "commit", "publish"),
    "backfill": ("look", "read and validate", "commit", "publish"),
}
ALONE = os.environ.get("NEUROBALANCE_SEED")
SEEDS = [int(ALONE)] if ALONE else list(range(often(3, 500)))


@dataclass
class Undisturbed:
    """What runs leave that nobody kills, and where each flow begins and how many seconds it works."""

    outputs: dict[str, pl.DataFrame]
    begins: dict[str, Path]
    seconds: dict[str, float]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a published state, a layout that was mended since, and exports that wait."""
    home = Home(tmp_path_factory.mktemp("base") / "home")
    for lab in LABS:
        home.commit(*(home.archive(lab, content) for content in (*sent()[:2], MIXED)))
        inbox = home.folder / "inbox" / lab
        inbox.mkdir(parents=True)
        for number, content in enumerate(sent()[4:7]):
            (inbox / f"{number}.csv").write_bytes(content)
    home.publish()
    home.put("layouts/own.toml", MENDED.replace('["north"]', str(list(LABS)).replace("'", '"')))
    return home.folder


@pytest.fixture(scope="module")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    folder = tmp_path_factory.mktemp("killable")
    with prefect_server(folder) as server:
        made = Killable(server.reach(), folder / "log")
        try:
            yield made
        finally:
            made.end()


@pytest.fixture(scope="module")
def undisturbed(base: Path, killable: Killable, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    outputs: dict[str, pl.DataFrame] = {}
    begins = {"ingest": base, "backfill": base.with_name("ingested")}
    seconds = dict.fromkeys(FLOWS, 0.0)
    for number in range(3):  # the first run on a new server takes longer
        home = copy_of(base, tmp_path_factory.mktemp("undisturbed") / "home")
        for flow in FLOWS:
            told = killable.run(flow, home.folder)
            assert told.done
            assert told.stages > 5
            seconds[flow] = told.last
            if flow == "ingest" and not number:
                shutil.copytree(home.folder, begins["backfill"], copy_function=shutil.copy2)
        outputs = home.comparable()
    assert set(home.output("exports")["edition"]) == {1, 2}, "the backfill has something to do"
    print(f"a flow works so many seconds: {seconds}")
    return Undisturbed(outputs, begins, seconds)


@dataclass
class Kills:
    """What the kills hit: flow and stages at work, of runs that had not ended; files left half-written."""

    hit: Counter[str] = field(default_factory=Counter)
    late: int = 0
    strays: int = 0

    def note(self, flow: str, told: Told) -> None:
        """One kill more."""
        if told.done:
            self.late += 1
        else:
            self.hit[f"{flow}: {' and '.join(sorted(set(told.at_work))) or 'between stages'}"] += 1


@pytest.fixture(scope="module")
def kills() -> Iterator[Kills]:
    made = Kills()
    yield made
    print()
    for what, count in (*made.hit.most_common(), ("after the end", made.late), ("files swept", made.strays)):
        print(f"{count:5} {what}")


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_any_moment_of_ingest_or_backfill_a_rerun_ends_as_if_nothing_had_happened(
    seed: int, killable: Killable, undisturbed: Undisturbed, kills: Kills, tmp_path: Path
) -> None:
    flow = FLOWS[seed % 2]
    home = killed(flow, random.Random(seed), killable, undisturbed, kills, tmp_path)
    assert assert_readable(home)
    ingest(home.settings)
    backfill(home)
    assert_as_undisturbed(home, undisturbed)
    assert home.publish() == {}
    assert backfill(home).new_editions == 0
    kills.strays += maintain(home.settings, keep_days=0, now=datetime.now(UTC) + timedelta(days=2)).swept
    assert_swept(home)
    assert_as_undisturbed(home, undisturbed)
    shutil.rmtree(home.folder)


def killed(
    flow: str, draw: random.Random, killable: Killable, undisturbed: Undisturbed, kills: Kills, folder: Path
) -> Home:
    """A home whose run was killed at work. A moment that came after the end is drawn again, from a new home."""
    seconds = undisturbed.seconds[flow]
    for attempt in range(10):
        home = copy_of(undisturbed.begins[flow], folder / str(attempt))
        told = killable.run(flow, home.folder, draw.random() * seconds)
        assert told.status == (0 if told.done else signal.SIGKILL)
        kills.note(flow, told)
        if not told.done:
            return home
        seconds = (
            told.last
        )  # the machine has less to do beside this run than when the undisturbed ones were measured
        shutil.rmtree(home.folder)
    raise AssertionError(f"none of ten kills hit a run at work: {kills}")


def assert_as_undisturbed(home: Home, undisturbed: Undisturbed) -> None:
    """No row torn, lost or doubled, the outputs those of the undisturbed run, the inbox empty."""
    assert same(undisturbed.outputs, home.comparable()) == []
    assert_conserved(home)
    assert not [path for path in (home.folder / "inbox").rglob("*") if path.is_file()]


def assert_swept(home: Home) -> None:
    """No file is left that was being written, or that no commit names."""
    there = [str(path.relative_to(home.folder)) for path in home.folder.rglob("*") if path.is_file()]
    assert not [name for name in there if UNDER_WAY in name or "#" in name or "tmp" in name]
    files = {name.removeprefix("ledger/") for name in there if name.startswith("ledger/files/")}
    assert files == home.ledger.open().paths


@pytest.mark.skipif(len(SEEDS) < 100, reason="of few kills, none need hit a given stage")
def test_many_kills_hit_every_stage_that_takes_long_and_files_being_written(kills: Kills) -> None:
    for flow, stages in AT_WORK.items():
        for stage in stages:
            assert any(said.startswith(flow) and stage in said for said in kills.hit), (flow, stage, kills)
    assert kills.strays > 0
