"""What is taken from an inbox, and what is left alone: uploads, closed files, files that vanish."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.settings import Settings
from tasks.archive import Export, NoAccess, StillUploading, archive, archived_name
from tasks.discover import NO_ACCESS, UPLOADING, archive_inbox, leave_inbox, left_now
from tasks.settle import LONGEST_WAIT, settled
from tests.home import Home, often, table

WRITER = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    for part in range(int(sys.argv[2])):
        file.write(b"P1,S%03d,urine,dopamine,150,nmol/L\\n" % part)
        time.sleep(float(sys.argv[3]))
"""


def drop(home: Home, lab: str, name: str, content: bytes, age: float = 3600) -> Path:
    """A file in the inbox that was last changed `age` seconds ago."""
    path = home.folder / "inbox" / lab / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def resting(home: Home, seconds: float) -> Settings:
    return home.settings.model_copy(update={"settle_seconds": seconds})


def archived(home: Home, lab: str) -> list[Path]:
    """The archived exports of a lab, without the notes on their arrival."""
    return [path for path in (home.folder / "archive" / lab).iterdir() if path.suffix != ".json"]


@pytest.fixture
def closed_files() -> Iterator[None]:
    """Permissions count, whoever runs the tests: root gives its privileges up meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("turn", range(often(1, 20)))
def test_a_slow_upload_is_never_taken_in_by_halves(home: Home, turn: int) -> None:
    settings = resting(home, 1)
    path = drop(home, "north", "slow.csv", b"", age=0)
    parts, pause = 20, 0.1 + 0.02 * turn
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(parts), str(pause)])
    looks, taken = 0, {}
    try:
        while not taken and looks < 60:
            taken = archive_inbox(settings).files
            looks += 1
        assert writer.wait(30) == 0
    finally:
        writer.kill()
        writer.wait()
    assert looks > 1
    (export,) = taken
    kept = home.folder / archived_name(export)
    assert kept.read_bytes() == path.read_bytes()
    assert path.read_bytes().count(b"\n") == parts
    assert archived(home, "north") == [kept]


def test_a_file_that_changes_while_it_is_copied_leaves_nothing_in_the_archive(home: Home) -> None:
    path = drop(home, "north", "now.csv", table())
    with pytest.raises(StillUploading), path.open("rb") as source:
        archive(home.settings, "north", source, path.name, lambda: False)
    assert list((home.folder / "archive" / "north").iterdir()) == []


def test_a_file_at_rest_is_taken_at_once_and_a_fresh_one_by_a_later_run(home: Home) -> None:
    settings = resting(home, 30)
    drop(home, "north", "old.csv", table({"sample": "S1"}))
    drop(home, "north", "fresh.csv", table({"sample": "S2"}), age=1)
    started = time.monotonic()
    taken = archive_inbox(settings)
    assert time.monotonic() - started < LONGEST_WAIT / 2
    assert [file.item.name for files in taken.files.values() for file in files] == ["north/old.csv"]
    assert taken.left == {("north", UPLOADING): 1} == left_now(settings)


def test_a_fresh_file_that_will_soon_have_settled_is_waited_for(home: Home) -> None:
    drop(home, "north", "fresh.csv", table(), age=0)
    taken = archive_inbox(resting(home, 0.3))
    assert len(taken.files) == 1
    assert not taken.left


def test_a_file_with_a_time_in_the_future_is_taken_when_it_rests(home: Home) -> None:
    path = drop(home, "north", "future.csv", table(), age=-1e6)

    class Look:
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)

    file = Look()
    assert settled(lambda: [file], 30, sleep=lambda _: None) == ([file], [])
    assert len(archive_inbox(resting(home, 0.2)).files) == 1


def test_names_of_unfinished_uploads_are_left_alone_and_not_counted(home: Home) -> None:
    for name in ("a.csv.part", "b.TMP", "c.partial", "d.crdownload", "e.filepart", ".hidden.csv", ".x/f.csv"):
        drop(home, "north", name, table())
    taken = archive_inbox(home.settings)
    assert taken.files == {}
    assert not taken.left


def test_a_file_or_folder_without_permission_is_held_and_the_others_are_taken(
    tmp_path: Path, closed_files: None
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        drop(home, "north", "closed.csv", table({"sample": "S1"})).chmod(0)
        drop(home, "north", "open.csv", table({"sample": "S2"}))
        drop(home, "north", "inner/deep.csv", table({"sample": "S3"})).parent.chmod(0o600)
        drop(home, "south", "open.csv", table({"sample": "S4"}))
        drop(home, "west", "shut.csv", table({"sample": "S5"})).parent.chmod(0)
        taken = archive_inbox(home.settings)
        assert sorted(export.lab for export in taken.files) == ["north", "south"]
        assert taken.left == {("north", NO_ACCESS): 2, ("west", NO_ACCESS): 1} == left_now(home.settings)
        for path in ("north/inner", "west"):
            (home.folder / "inbox" / path).chmod(0o700)
        (home.folder / "inbox").chmod(0o300)
        with pytest.raises(NoAccess, match="permission"):
            archive_inbox(home.settings)
        (home.folder / "inbox").chmod(0o700)


def test_a_file_that_vanishes_stops_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = drop(home, "north", "gone.csv", table({"sample": "S1"}), age=100)
    drop(home, "north", "here.csv", table({"sample": "S2"}), age=50)
    from tasks import discover

    look = discover.waiting

    def looked(*given):  # what another process does between the look and the copy
        files = look(*given)
        gone.unlink(missing_ok=True)
        return files

    monkeypatch.setattr(discover, "waiting", looked)
    taken = archive_inbox(home.settings)
    assert [file.item.name for files in taken.files.values() for file in files] == ["north/here.csv"]
    assert not taken.left


def test_a_file_that_changed_after_it_was_archived_stays_in_the_inbox(home: Home) -> None:
    path = drop(home, "north", "twice.csv", table({"sample": "S1"}))
    taken = archive_inbox(home.settings)
    path.write_bytes(table({"sample": "S2"}))
    leave_inbox(home.settings, [file for files in taken.files.values() for file in files])
    assert path.exists()
    assert isinstance(next(iter(taken.files)), Export)


def test_a_failing_archive_is_no_fault_of_the_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from schemas.store import Folder

    drop(home, "north", "good.csv", table())
    settings = home.settings

    def refuses(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Folder, "keep", refuses)
    with pytest.raises(PermissionError):
        archive_inbox(settings)
