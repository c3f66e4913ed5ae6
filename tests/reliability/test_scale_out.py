"""The same backfill on a cluster of worker processes, with the home in a bucket, as in a folder by one process."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.settings import Settings, SettingsError
from tests.home import Home, same, table
from tests.reliability.backfills import MENDED, MIXED, backfill
from tests.reliability.published import sent
from tests.reliability.servers import ROOT, prefect_server, run
from tests.s3 import S3Server, free_ports

LABS = ("north", "south", "east", "west")
KEY = "of the tests"


@pytest.fixture
def cluster(s3: S3Server, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Dask scheduler and two workers, each a process of its own; gives the environment that reaches them."""
    (port,) = free_ports(1)
    secrets = {f"NEUROBALANCE_{name.upper()}": value for name, value in s3.settings.items()}
    # the workers get secrets from their own environment, and know of no home until a run names one
    with prefect_server(tmp_path) as server:
        env = server.reach(NEUROBALANCE_ID_KEY=KEY, **secrets)
        yield from _on(env, port, tmp_path)


def _on(env: dict[str, str], port: int, tmp_path: Path) -> Iterator[dict[str, str]]:
    address = f"tcp://127.0.0.1:{port}"
    place = ["--no-dashboard", "--host", "127.0.0.1"]
    commands = [["scheduler", "--port", str(port), *place]]
    commands += [["worker", address, "--nthreads", "1", "--no-nanny", *place]] * 2
    with (tmp_path / "dask.log").open("w") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "dask", *words, *(["--local-directory", str(tmp_path)] if words[0] == "worker" else [])],
                env=env, cwd=ROOT, stdout=log, stderr=log,
            )
            for words in commands
        ]  # fmt: skip
    try:
        yield env | {"NEUROBALANCE_DASK_ADDRESS": address}
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def filled(home: Home) -> Home:
    """Four labs, read before a layout was mended."""
    home.put("layouts/own.toml", MENDED.replace("[analytes]", "[specimens]").replace("dopamine", "urine"))
    for lab in LABS:
        contents = [*sent(), MIXED, table({"sample": lab})]
        home.commit(*(home.archive(lab, content) for content in contents))
    home.put("layouts/own.toml", MENDED.replace('["north"]', "[]"))
    return home


def test_a_backfill_on_a_cluster_over_a_bucket_gives_what_one_process_gives_in_a_folder(
    cluster: dict[str, str], s3: S3Server, tmp_path: Path
) -> None:
    local = filled(Home(tmp_path / "folder", options={"id_key": KEY}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROBALANCE_ID_KEY", KEY)
        expected = backfill(local)
    assert expected.new_editions >= len(LABS)
    bucket = filled(Home(f"s3://homes/{uuid.uuid4().hex}", options={"id_key": KEY, **s3.settings}))
    done = run("neurobalance", "backfill", "--home", str(bucket.place), env=cluster)
    assert f"{expected.new_editions} new editions" in " ".join(done.stdout.split()), done.stdout
    assert same(local.comparable(), bucket.comparable()) == []
    # the workers did it: each has loaded the stages
    log = (tmp_path / "dask.log").read_text("utf-8")
    assert log.count("Register worker") >= 2, log[-2000:]
    assert who_loaded("flows.stages", cluster["NEUROBALANCE_DASK_ADDRESS"]) == 2


def who_loaded(module: str, address: str) -> int:
    """On how many workers of a cluster a module is loaded."""
    code = (
        "import sys, distributed\n"
        f"client = distributed.Client({address!r}, set_as_default=False)\n"
        f"print(sum(client.run(lambda: {module!r} in __import__('sys').modules).values()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return int(done.stdout)


def test_a_cluster_without_its_library_or_a_server_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows.runner import task_runner

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("NEUROBALANCE_DASK_ADDRESS", "tcp://127.0.0.1:1")
    with pytest.raises(SettingsError, match="set PREFECT_API_URL"):
        task_runner()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert type(task_runner()).__name__ == "DaskTaskRunner"
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    with pytest.raises(SettingsError, match=r"install neurobalance\[dask\]"):
        task_runner()
    monkeypatch.delenv("NEUROBALANCE_DASK_ADDRESS")
    assert Settings().dask_address is None
    assert type(task_runner()).__name__ == "ThreadPoolTaskRunner"
