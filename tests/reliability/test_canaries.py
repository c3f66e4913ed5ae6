"""PHI stays inside: recognisable texts in every field and name, every stage made to fail, and nothing found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from schemas.export import TEXT_COLUMNS
from tests.home import HEADERS, table
from tests.reliability import test_flow
from tests.reliability.killable import Killable
from tests.reliability.servers import run

#: a Prefect server, for the home of this module
server = test_flow.server

#: every text of the exports below has this in it
MARK = "Zq7canary"
LAB = "north"

#: what is made to fail -> how: the error's text quotes what errors of that kind quote
SABOTAGE = {
    "polars in a stage": "patch('tasks.judged.standardise', raising(polars.exceptions.ComputeError(TEXT)))",
    "polars while choosing a layout": "patch('tasks.readers.choose', raising(polars.exceptions.SchemaError(TEXT)))",
    "a reader": "patch('tasks.readers.read', raising(UnicodeDecodeError('utf-8', TEXT.encode(), 0, 1, TEXT)))",
    "the archive": "patch('schemas.store.Folder.keep', raising(PermissionError(13, 'Permission denied', TEXT)))",
    "the inbox": "patch('tasks.discover.waiting', raising(FileNotFoundError(2, 'No such file', TEXT)))",
    "the commit": "patch('tasks.ledger.DeltaTable.create_write_transaction', raising(deltalake.exceptions.DeltaError(TEXT)))",
    "opening the ledger": "patch('tasks.ledger.DeltaTable.__init__', raising(OSError(TEXT)))",
    "the metrics": "patch('tasks.frames.of_samples', raising(polars.exceptions.InvalidOperationError(TEXT)))",
    "pandera": "patch('schemas.outputs.pandera_schema', lambda *_: PANDERA)",
    "writing outputs": "patch('tasks.publish.write', raising(OSError(28, 'No space left on device', TEXT)))",
    "leaving the inbox": "patch('flows.ingest.leave_inbox', raising(PermissionError(13, 'Permission denied', TEXT)))",
    "our own code": "patch('tasks.discover.archive', raising(KeyError(TEXT)))",
}

#: what goes wrong while one export is read is that export's reason, and stops nothing
OF_ONE_EXPORT = {
    "polars in a stage": "could not be read: ComputeError",
    "a reader": "could not be read: UnicodeDecodeError",
}

RUN = """
import sys
from unittest.mock import patch
import deltalake, pandera.polars as pa, polars
from flows.ingest import ingest
from flows.quiet import StageFailed
from prefect import Task
for stage in [*vars(sys.modules["flows.stages"]).values(), *vars(sys.modules["flows.ingest"]).values()]:
    if isinstance(stage, Task):
        stage.retries = 0  # a broken storage is tried again for half a minute, which is not the question here
TEXT = {text!r}
def raising(error):
    def fail(*args, **kwargs):
        raise error
    return fail
PANDERA = pa.DataFrameSchema({{"lab": pa.Column(str, pa.Check(lambda data: data.lazyframe.select(polars.lit(False)), error=TEXT))}})
with {sabotage}:
    try:
        ingest()
    except StageFailed as error:
        assert error.__cause__ is None and error.__context__ is None
        print("failed as it should:", error)
    else:
        print("went through")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of its own, with a place for temporary files that can be looked into."""
    folder = tmp_path_factory.mktemp("canaries") / "home"
    (folder / "inbox" / LAB).mkdir(parents=True)
    (folder / "temporary").mkdir()
    (folder / "labs.toml").write_text(f'[{LAB}]\ntimezone = "Europe/Berlin"\n', "utf-8")
    return folder


def marked(number: int) -> bytes:
    """A CSV with the mark in every column that a layout can read, one row for each column that is spoiled."""
    names = [name for name in HEADERS if name in TEXT_COLUMNS]
    good = {"subject": f"{MARK}-P", "sample": f"{MARK}-S{number}", "comment": f"{MARK}-C"}
    spoiled = [good | {name: f"{MARK}-{name}"} for name in names]
    whole = dict.fromkeys(names, f"{MARK}-all")
    return table(good, good | {"analyte": "serotonin", "value": "1"}, *spoiled, whole)


def fill(home: Path, number: int) -> None:
    """What waits: a good export, one without a layout, one that is broken, one whose lab does not exist."""
    inbox = home / "inbox" / LAB
    (inbox / f"{MARK}-{number}.csv").write_bytes(marked(number))
    (inbox / f"{MARK}-{number}.hl7").write_text(f"MSH|^~\\&|{MARK}|{number}\rPID|1||{MARK}\rOBX|||||")
    (inbox / f"{MARK}-{number}.bin").write_bytes(f"{MARK} {number}".encode() + bytes(range(256)))
    (inbox / f"{MARK}-{number}.json").write_text(f'{{"resourceType": "Observation", "{MARK}": [')


def said_of(home: Path) -> bytes:
    """All that Prefect keeps, in its database and its log, and temporary files with their names."""
    kept = b"".join(path.read_bytes() for path in (home / "prefect").glob("prefect.db*"))
    assert len(kept) > 100_000
    left = [path for path in (home / "temporary").rglob("*") if path.is_file()]
    temporary = b"".join(path.read_bytes() for path in left) + str(left).encode()
    return kept + (home / "server.log").read_bytes() + temporary


def around(said: bytes) -> list[bytes]:
    """What stands around each mark that was found."""
    return [said[max(0, m.start() - 200) : m.end() + 60] for m in re.finditer(MARK.encode(), said)][:3]


@pytest.fixture(scope="module")
def forking(
    home: Path, server: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Killable]:
    """Runs the real flow, each time in a process of its own."""
    env = server | {"TMPDIR": str(home / "temporary"), "PREFECT_LOGGING_LEVEL": "DEBUG"}
    made = Killable(env, tmp_path_factory.mktemp("forking") / "log")
    yield made
    made.end()


def attempt(forking: Killable, folder: Path, sabotage: str) -> str:
    return forking.code(folder / "run.py", RUN.format(text=f"{MARK} quoted by an error", sabotage=sabotage))


LOUD = """
import tempfile
from prefect import flow, get_run_logger
with tempfile.NamedTemporaryFile("w", delete=False) as file:
    file.write("{mark} written")
@flow
def loud():
    get_run_logger().info("{mark} logged")
    raise ValueError("{mark} raised")
try:
    loud()
except ValueError as error:
    print(error)
"""


def test_what_a_flow_says_is_found_where_these_tests_look(
    home: Path, forking: Killable, tmp_path: Path
) -> None:
    mark = "Zq7control"
    assert f"{mark} raised" in forking.code(tmp_path / "loud.py", LOUD.format(mark=mark))
    kept = said_of(home)
    assert [how for how in ("written", "logged", "raised") if f"{mark} {how}".encode() not in kept] == []


def test_a_run_over_marked_exports_says_none_of_it(home: Path, forking: Killable, tmp_path: Path) -> None:
    fill(home, 0)
    said = attempt(forking, tmp_path, "patch('os.nice')")
    assert "went through" in said, said
    exports = pl.read_parquet(home / "outputs" / "exports" / "**" / "*.parquet")
    assert len(exports) == 4
    assert exports["accepted"].sum() > 0
    assert exports["quarantined"].sum() >= 10
    assert MARK not in said
    assert around(said_of(home)) == []


@pytest.mark.parametrize("what", SABOTAGE)
def test_no_failure_of_a_stage_quotes_a_name_or_a_value(
    home: Path, forking: Killable, tmp_path: Path, what: str
) -> None:
    fill(home, 1 + list(SABOTAGE).index(what))
    said = attempt(forking, tmp_path, SABOTAGE[what])
    if reason := OF_ONE_EXPORT.get(what):
        assert "went through" in said, said
        exports = pl.read_parquet(home / "outputs" / "exports" / "**" / "*.parquet")
        assert reason in exports["reason"].to_list()
    else:
        assert "failed as it should" in said, said
    assert MARK not in said
    assert around(said_of(home)) == []


def test_the_published_files_hold_no_id_and_no_text_of_the_exports(home: Path) -> None:
    files = [path for path in (home / "outputs").rglob("*") if path.is_file()]
    assert len(files) > 6
    # what tells samples and methods of one subject apart is published as sent, and documented so
    as_sent = ["site", "visit", "timepoint", "replicate", "method"]
    for path in files:
        if path.suffix == ".parquet":
            text = repr(pl.read_parquet(path).drop(as_sent, strict=False).rows())
        else:
            text = path.read_text("utf-8")
        assert MARK not in text + str(path.relative_to(home)), path.name


def test_the_command_quotes_nothing_either(home: Path, server: dict[str, str], tmp_path: Path) -> None:
    export = tmp_path / f"{MARK}.csv"
    export.write_bytes(marked(99))
    done = run("neurobalance", "ingest", "--lab", LAB, str(export), env=server)
    assert MARK not in done.stdout + done.stderr
    assert MARK not in run("neurobalance", "status", env=server).stdout
    assert around(said_of(home)) == []
