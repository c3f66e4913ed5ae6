"""kill -9 at random moments of an ingest and of the backfill after it, then a rerun of both.

The stages are those of the real flows on a running Prefect server. A seed says in which of the two flows the
process is killed, and when; the seed stands in the test's name, and NEUROBALANCE_SEED=17 tries 17 alone.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
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
from tests.reliability.servers import ROOT, PrefectServer, prefect_server
from tests.reliability.test_backfill import MENDED, MIXED, backfill
from tests.reliability.test_exactly_once import assert_conserved
from tests.reliability.test_failures import assert_readable, copy_of
from tests.reliability.test_publish import sent

pytestmark = pytest.mark.timeout(300)

LABS = ("north", "south")
FLOWS = ("ingest", "backfill")
ALONE = os.environ.get("NEUROBALANCE_SEED")
SEEDS = [int(ALONE)] if ALONE else list(range(often(3, 500)))

#: what is killed: says when it is ready, is told an empty home to warm up with and then the one that counts
TO_BE_KILLED = """
import sys
from flows.backfill import backfill
from flows.ingest import ingest
from tasks import batches
batches.EXPORTS_PER_BATCH = 2
ingest(home=sys.argv[1])
print("ready", flush=True)
home = sys.stdin.readline().strip()
ingest(home=home)
print("ingest", flush=True)
backfill(home=home)
print("backfill", flush=True)
"""


@dataclass
class Processes:
    """Starts the process that is killed next while the home of the last one is looked at."""

    server: PrefectServer
    folder: Path
    waiting: subprocess.Popen[str] = field(init=False)
    started: int = 0

    def __post_init__(self) -> None:
        self.waiting = self._start()

    def _start(self) -> subprocess.Popen[str]:
        self.started += 1
        return subprocess.Popen(
            [sys.executable, "-c", TO_BE_KILLED, str(self.folder / f"empty {self.started}")],
            env=self.server.reach(), cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def begin(self, home: Home) -> subprocess.Popen[str]:
        """Let the waiting process begin with `home`, and start another one."""
        process, self.waiting = self.waiting, self._start()
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        print(home.folder, file=process.stdin, flush=True)
        return process

    def end(self) -> None:
        """No process stays."""
        with self.waiting as process:
            process.kill()


@dataclass
class Undisturbed:
    """What a run leaves that nobody kills, and how many seconds each flow takes."""

    outputs: dict[str, pl.DataFrame]
    seconds: dict[str, float]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a published state, a layout that was mended since, and exports that wait."""
    home = Home(tmp_path_factory.mktemp("base") / "home")
    for lab in LABS:
        home.commit(*(home.archive(lab, content) for content in (*sent()[:4], MIXED)))
        inbox = home.folder / "inbox" / lab
        inbox.mkdir(parents=True)
        for number, content in enumerate(sent()[4:]):
            (inbox / f"{number}.csv").write_bytes(content)
    home.publish()
    home.put("layouts/own.toml", MENDED.replace('["north"]', str(list(LABS)).replace("'", '"')))
    return home.folder


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    folder = tmp_path_factory.mktemp("warm")
    with prefect_server(folder) as server:
        made = Processes(server, folder)
        try:
            yield made
        finally:
            made.end()


@pytest.fixture(scope="module")
def undisturbed(base: Path, processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = copy_of(base, tmp_path_factory.mktemp("undisturbed") / "home")
    seconds = {}
    with processes.begin(home) as process:
        assert process.stdout
        for flow in FLOWS:
            began = time.monotonic()
            assert process.stdout.readline() == f"{flow}\n"
            seconds[flow] = time.monotonic() - began
    assert set(home.output("exports")["edition"]) == {1, 2}, "the backfill has something to do"
    return Undisturbed(home.comparable(), seconds)


@dataclass
class Kills:
    """What the kills did: the flow that each hit, of those that came before the end; files left half-written."""

    hit: list[str] = field(default_factory=list)
    strays: int = 0


@pytest.fixture(scope="module")
def kills() -> Kills:
    return Kills()


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_any_moment_of_ingest_or_backfill_a_rerun_ends_as_if_nothing_had_happened(
    seed: int, base: Path, processes: Processes, undisturbed: Undisturbed, kills: Kills, tmp_path: Path
) -> None:
    home = copy_of(base, tmp_path / "home")
    flow = FLOWS[seed % 2]
    with processes.begin(home) as process:
        assert process.stdout
        if flow == "backfill":
            assert process.stdout.readline() == "ingest\n"
        time.sleep(random.Random(seed).random() * undisturbed.seconds[flow])
        process.kill()
        said = process.stdout.read().split()
    if "backfill" not in said:
        kills.hit.append("backfill" if "ingest" in said else flow)
    assert_readable(home)
    ingest(home.settings)
    backfill(home)
    assert_as_undisturbed(home, undisturbed)
    assert home.publish() == {}
    assert backfill(home).new_editions == 0
    kills.strays += maintain(home.settings, keep_days=0, now=datetime.now(UTC) + timedelta(days=2)).swept
    assert_swept(home)
    assert_as_undisturbed(home, undisturbed)
    shutil.rmtree(home.folder)


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


@pytest.mark.skipif(ALONE is not None, reason="one seed alone")
def test_these_kills_hit_runs_that_were_at_work(kills: Kills) -> None:
    assert 2 * len(kills.hit) >= len(SEEDS), kills.hit
    if often(0, 1):  # of few kills, all may hit one of the flows, and none a file that is being written
        assert set(kills.hit) == set(FLOWS)
        assert kills.strays > 0
