"""The storage fails at every point there is, the disk fills up, the bucket goes away: one rerun recovers."""

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import polars as pl
import pytest

from flows.quiet import said_safely
from schemas.store import UNDER_WAY
from tests import faults
from tests.docs.plain import ingest
from tests.home import Home, often, same, table
from tests.reliability.forks import begun, ended, said
from tests.reliability.published import assert_readable


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A home with a published state and exports that wait."""
    return faults.prepared(tmp_path_factory.mktemp("base") / "home").folder


@pytest.fixture(scope="module")
def undisturbed(base, tmp_path_factory) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """What an undisturbed run publishes, and the points that it passes."""
    home = copy_of(base, tmp_path_factory.mktemp("undisturbed") / "home")
    names = faults.points_of(home)
    assert len(names) > 100
    assert {name.split()[1] for name in names} >= {
        "fsync",
        "replace",
        "link",
        "write_parquet",
        "sink_parquet",
    }
    assert names.count("after create_write_transaction") >= 1
    return home.comparable(), names


def copy_of(base: Path, folder: Path) -> Home:
    shutil.copytree(base, folder, copy_function=shutil.copy2)
    return Home(folder)


def assert_recovered(home: Home, expected: dict[str, pl.DataFrame]) -> None:
    """Outputs as if nothing had happened; no row torn, lost or doubled; the inbox empty."""
    assert same(expected, home.comparable()) == []
    rows = home.ledger.open().rows("north").collect()
    assert not rows.select("export", "row", "item").is_duplicated().any()
    receipts = home.ledger.open().receipts("north")
    assert receipts["rows"].sum() == len(rows)
    assert not [path for path in (home.folder / "inbox").rglob("*") if path.is_file()]


def some(points: list[str], count: int, seed: int) -> list[int]:
    """`count` points of all; every one of them where the tests run in full."""
    numbers = list(range(len(points)))
    return sorted(random.Random(seed).sample(numbers, min(len(numbers), often(count, len(numbers)))))


def test_a_storage_that_fails_at_any_point_is_healed_by_one_rerun(base, undisturbed, tmp_path):
    expected, points = undisturbed
    for number in some(points, 25, seed=5):
        home = copy_of(base, tmp_path / str(number))
        with faults.Points(number, faults.fail).watching(), pytest.raises(OSError, match="Input/output"):
            ingest(home.settings)
        assert assert_readable(home)
        if points[number] != "before unlink":  # what cannot be removed waits for the next upkeep
            assert not list(home.folder.rglob(f"{UNDER_WAY}*")), points[number]
        ingest(home.settings)
        assert_recovered(home, expected)
        shutil.rmtree(home.folder)


def test_a_process_that_dies_at_any_point_is_healed_by_one_rerun(base, undisturbed, tmp_path):
    expected, points = undisturbed
    for number in some(points, 8, seed=6):
        home = copy_of(base, tmp_path / str(number))
        assert ended([begun(faults.die_at, str(home.folder), number)]) == [9], points[number]
        assert assert_readable(home)
        ingest(home.settings)
        assert_recovered(home, expected)
        shutil.rmtree(home.folder)


# ---- the disk is full


def ingest_limited(folder: str, size: int) -> None:
    """Take in what waits where no file may be longer than `size`."""
    settings = Home(Path(folder)).settings
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        ingest(settings)
    except Exception as error:
        print(said_safely("ingest", error), flush=True)
        sys.exit(1)


def test_a_disk_without_room_leaves_the_old_outputs_and_says_so(base, undisturbed, tmp_path):
    expected, _ = undisturbed
    before = Home(base).comparable()
    failed = 0
    # the largest file of the run is a few ten thousand bytes: each size stops it at another write
    sizes = [0, 200, 1_000, 4_000, 8_000, 16_000, 24_000, 32_000, 48_000]
    for size in sizes[:: len(sizes) // often(3, 9)]:
        home = copy_of(base, tmp_path / str(size))
        code, told = said(ingest_limited, str(home.folder), size)
        assert assert_readable(home)
        if code:
            failed += 1
            assert "mend the storage and run again" in told, told
            assert "correction.csv" not in told
        if size == 0:
            assert same(before, home.comparable()) == []
        ingest(home.settings)
        assert_recovered(home, expected)
    assert failed >= 2


def _can_mount(folder: Path) -> bool:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


def test_a_full_file_system_leaves_the_old_outputs_and_recovers_with_room(base, undisturbed, tmp_path):
    expected, _ = undisturbed
    mounted = tmp_path / "small"
    if not _can_mount(mounted):
        pytest.skip(
            "NOT TESTED: mounting a small file system needs root; the test with a file-size limit ran"
        )
    try:
        home = copy_of(base, mounted / "home")
        before = home.comparable()
        ballast = mounted / "ballast"
        for left in (0, 4_096, 40_960, 122_880):
            with ballast.open("wb") as file:
                free = os.statvfs(mounted)
                file.write(b"x" * max(0, free.f_bavail * free.f_frsize - left))
            if left == 0:
                with pytest.raises(Exception, match=r"[Nn]o space left|is there room"):
                    ingest(home.settings)
                assert same(before, home.comparable()) == []
            else:
                with contextlib.suppress(
                    OSError, pl.exceptions.ComputeError
                ):  # whether it fits is not the question
                    ingest(home.settings)
            assert assert_readable(home)
            ballast.unlink()
        ingest(home.settings)
        assert_recovered(home, expected)
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


# ---- the bucket goes away


def take_in(home: Home) -> None:
    ingest(home.settings)


def test_an_s3_server_that_stops_during_a_run_costs_a_rerun_at_most(s3, tmp_path):
    shuffler = random.Random(13)
    options = {"id_key": "of the tests", **s3.settings}
    contents = [table(*({"sample": f"S{n}-{m}", "value": str(50 + m)} for m in range(40))) for n in range(6)]
    expected = Home(f"s3://homes/{uuid.uuid4().hex}", options=options)
    expected.ingest("north", *contents)
    reference = expected.comparable()
    caught = 0
    for _ in range(count := often(1, 20)):
        home = Home(f"s3://homes/{uuid.uuid4().hex}", options=options)
        for number, content in enumerate(contents):
            with home.settings.inbox_store.spool("north/x") as path:
                path.write_bytes(content)
                home.settings.inbox_store.keep(path, f"north/{number}.csv")
        run = begun(take_in, home)
        time.sleep(shuffler.uniform(0.1, 1.5))
        caught += run.is_alive()
        s3.stop()
        time.sleep(shuffler.uniform(0.2, 3.0))
        s3.start()
        ended([run], 240)
        ingest(home.settings)
        assert same(reference, home.comparable()) == []
        rows = home.ledger.open().rows("north").collect()
        assert len(rows) == 240
        assert not rows.select("export", "row", "item").is_duplicated().any()
        assert not list(home.settings.inbox_store.items(""))
    assert 2 * caught >= count
