"""The flow as operations run it: a real Prefect server, a deployment, a worker; and nothing said that is PHI."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.reliability.servers import ROOT, prefect_server, run

EXAMPLES = ROOT / "examples"

#: Texts of the examples that name a person, a sample, a file or a value.
CANARIES = (
    b"W-00",
    b"U2003",
    b"GEMM",
    b"urine-2024",
    b"TRY.TXT",
    b"report-scan",
    b"A0004",
    b"hemolysed",
    b"furlongs",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    shutil.copytree(EXAMPLES / "inbox", folder / "inbox")
    shutil.copytree(EXAMPLES / "layouts", folder / "layouts")
    shutil.copyfile(EXAMPLES / "labs.toml", folder / "labs.toml")
    return folder


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[dict[str, str]]:
    """A Prefect server with its database in the home; gives the environment that reaches it."""
    with prefect_server(home) as running:
        yield running.reach(NEUROBALANCE_HOME=str(home))


@pytest.fixture(scope="module")
def deployed_run(home: Path, server: dict[str, str]) -> str:
    """The deployment of prefect.yaml, run once by a worker; gives the worker's output."""
    run("prefect", "work-pool", "create", "--type", "process", "lab", env=server)
    run("prefect", "--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--all", env=server)
    run("prefect", "deployment", "run", "ingest/inbox", env=server)
    done = run("prefect", "worker", "start", "--pool", "lab", "--run-once", env=server)
    return done.stdout + done.stderr


def test_the_deployment_runs_on_a_worker_and_empties_the_inbox(home: Path, deployed_run: str) -> None:
    assert "Completed()" in deployed_run, deployed_run
    assert [path for path in (home / "inbox").rglob("*") if path.is_file()] == []
    exports = pl.read_parquet(home / "outputs" / "exports" / "**" / "*.parquet")
    assert len(exports) == sum(path.is_file() for path in (EXAMPLES / "inbox").rglob("*"))
    assert exports.filter(pl.col("rows") != pl.col("accepted") + pl.col("quarantined")).is_empty()


def test_the_run_leaves_a_table_of_receipts_and_a_summary_as_artifacts(
    deployed_run: str, server: dict[str, str]
) -> None:
    receipts = run("prefect", "artifact", "inspect", "receipts", env=server).stdout
    assert "coeliac-cohort" in receipts
    assert "unknown analyte: 723" in receipts.replace("\n", "")
    summary = run("prefect", "artifact", "inspect", "ingest-summary", env=server).stdout
    assert "quarantined" in summary


def test_no_name_and_no_value_reaches_prefect_or_a_log(home: Path, deployed_run: str) -> None:
    """The archive and the ledger hold them; the server's database, its log and the worker's do not."""
    said = deployed_run.encode() + (home / "server.log").read_bytes()
    database = b"".join(path.read_bytes() for path in (home / "prefect").glob("prefect.db*"))
    assert b"coeliac-cohort" in database
    found = [canary for canary in CANARIES if canary in said + database]
    assert found == []


def test_the_schedule_and_the_limit_are_deployed(deployed_run: str, server: dict[str, str]) -> None:
    said = run("prefect", "deployment", "inspect", "ingest/inbox", env=server).stdout
    assert "*/15 * * * *" in said
    assert "flows.ingest.ingest" in said


def test_a_backfill_by_deployment_reads_again_what_another_catalogue_read_and_tells_its_plan(
    home: Path, deployed_run: str, server: dict[str, str]
) -> None:
    def exports() -> pl.DataFrame:
        return pl.read_parquet(home / "outputs" / "exports" / "**" / "*.parquet")

    before = exports()
    (home / "catalogue").mkdir()
    (home / "catalogue" / "synonyms.csv").write_text(
        "analyte_id,text,specimen\ntaurine,beta-nicotinamide mononucleotide,\n", "utf-8"
    )
    run("prefect", "deployment", "run", "backfill/by-hand", "-p", "stale_catalogue=true", env=server)
    done = run("prefect", "worker", "start", "--pool", "lab", "--run-once", env=server)
    assert "Completed()" in done.stdout + done.stderr, done.stdout + done.stderr
    assert exports()["edition"].to_list() == [2] * len(before)
    assert exports()["accepted"].sum() > before["accepted"].sum()
    plan = run("prefect", "artifact", "inspect", "backfill-plan", env=server).stdout
    assert "coeliac-cohort" in plan
    assert "100" in run("prefect", "artifact", "inspect", "backfill-progress", env=server).stdout
    summary = run("prefect", "artifact", "inspect", "backfill-summary", env=server).stdout
    assert f"new editions | {len(before)} |" in summary.replace("\n", "")


def test_a_second_run_through_the_same_server_changes_nothing(
    home: Path, deployed_run: str, server: dict[str, str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (home / "outputs").rglob("*.parquet")}
    done = run(
        "neurobalance", "ingest", "--lab", "coeliac-cohort", str(EXAMPLES / "inbox" / "coeliac-cohort" / "TRY.TXT"),
        env=server,
    )  # fmt: skip
    assert "nothing changed" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in (home / "outputs").rglob("*.parquet")} == before


def test_a_failure_of_storage_is_told_without_names_and_leaves_the_outputs(
    home: Path, deployed_run: str, server: dict[str, str], tmp_path: Path
) -> None:
    """The ledger is made unusable for one run: the exit status says so, and no path or value is printed."""
    export = tmp_path / "canary-file-name.csv"
    export.write_text("Sample ID,Test,Result\nCANARY,dopamine,1\n")
    log = home / "ledger" / "_delta_log"
    log.rename(home / "ledger" / "set-aside")
    log.write_text("not a folder")
    try:
        done = run("neurobalance", "ingest", "--lab", "x", str(export), env=server, check=False)
    finally:
        log.unlink()
        (home / "ledger" / "set-aside").rename(log)
    assert done.returncode == 1
    assert "neurobalance: " in done.stderr
    assert "CANARY" not in done.stdout + done.stderr
    assert "canary-file-name" not in done.stdout + done.stderr
    assert len(pl.read_parquet(home / "outputs" / "metrics" / "**" / "*.parquet")) > 0
