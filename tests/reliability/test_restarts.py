"""PostgreSQL or the Prefect server goes away during a run and comes back: the run ends, the next one completes.

Each round has a home of its own, with many labs, so that a run has many stages. A seed says when the server goes
(after how many files of the ledger and the outputs were written), how (kill -9, or asked to stop) and for how long;
NEUROBALANCE_SEED=17 tries 17 alone.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tests.docs.plain import ingest
from tests.home import Home, often, same, table
from tests.reliability.servers import (
    ROOT,
    Postgres,
    PrefectServer,
    Process,
    postgres,
    prefect_server,
    until,
    worker,
)
from tests.reliability.test_exactly_once import assert_conserved

#: real servers take their time on a busy machine
pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]

KEY = "k" * 40
LABS = [f"lab-{number:02}" for number in range(8)]
ALONE = os.environ.get("NEUROBALANCE_SEED")
SEEDS = [int(ALONE)] if ALONE else list(range(often(1, 10)))
#: seconds for which a server stays away, in turn; Prefect's clients give up before the longest of them
AWAY = (1, 3, 45)
AUTOMATIONS = yaml.safe_load((ROOT / "deployments/automations.yaml").read_text("utf-8"))["automations"]
#: what marks a run that could not say how it ended, with the shortest heartbeat that there is
(DEAD_RUN,) = (
    said | {"trigger": said["trigger"] | {"within": 75}}
    for said in AUTOMATIONS
    if "worker died" in said["name"]
)
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def ask(server: PrefectServer, path: str, question: dict | None = None) -> Any:
    """POST a question, or GET without one."""
    request = urllib.request.Request(
        f"{server.api}{path}",
        None if question is None else json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@dataclass
class Lab:
    """What takes the runs: the servers that go away, and the worker."""

    database: Postgres
    server: PrefectServer
    hands: Process

    def keep_worker(self) -> None:
        """A worker ends by itself when nobody answers it for long; what runs it starts it again, as `restart:
        unless-stopped` of deployments/compose.yaml does."""
        if self.hands.ended():
            self.hands.start()

    def begin(self, home: Home) -> str:
        """Run the deployment over a home; gives the run's id."""
        (deployment,) = ask(self.server, "/deployments/filter", {})
        return ask(
            self.server,
            f"/deployments/{deployment['id']}/create_flow_run",
            {"state": {"type": "SCHEDULED"}, "parameters": {"home": str(home.folder)}},
        )["id"]

    def state(self, run: str) -> str:
        """The state of a run, or that nobody answers."""
        try:
            return ask(self.server, f"/flow_runs/{run}")["state_type"]
        except OSError:
            return "nobody answers"

    def end(self, run: str) -> str:
        """Wait until a run has ended; gives the state."""

        def ended() -> bool:
            self.keep_worker()
            return self.state(run) in ENDED

        until(ended, 240, "the run has not ended")
        return self.state(run)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("restarts")
    with ExitStack() as stack:
        database = stack.enter_context(postgres(folder))
        server = stack.enter_context(prefect_server(folder, database.url))
        settings = {
            "NEUROBALANCE_ID_KEY": KEY,
            "NEUROBALANCE_SHARED_HOME": "1",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        hands = stack.enter_context(worker(server, "lab", folder, **settings))
        server.prefect(
            "--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--name", "inbox"
        )
        server.prefect("deployment", "schedule", "clear", "ingest/inbox", "--accept-yes")
        ask(server, "/automations/", DEAD_RUN)
        yield Lab(database, server, hands)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which two exports of each of many labs wait, one of them with rows that are refused."""
    home = Home(tmp_path_factory.mktemp("base") / "home", options={"id_key": KEY})
    for number, name in enumerate(LABS):
        inbox = home.folder / "inbox" / name
        inbox.mkdir(parents=True)
        (inbox / "one.csv").write_bytes(
            table(*({"sample": f"S{n}", "value": str(number + n)} for n in range(5)))
        )
        (inbox / "two.csv").write_bytes(table({"sample": "S9", "analyte": "unobtainium"}, {"sample": "S8"}))
    return home.folder


@pytest.fixture(scope="module")
def undisturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, pl.DataFrame], int]:
    """What is published, and how many files are written, where nothing goes away."""
    home = copied(base, tmp_path_factory.mktemp("undisturbed") / "home")
    ingest(home.settings)
    return home.comparable(), written(home)


def copied(base: Path, folder: Path) -> Home:
    """The waiting home once more."""
    shutil.copytree(base, folder, copy_function=shutil.copy2)
    return Home(folder, options={"id_key": KEY})


def written(home: Home) -> int:
    """How many files stand in the ledger and the outputs: it grows while a run goes on."""
    return sum(path.is_file() for name in ("ledger", "outputs") for path in (home.folder / name).rglob("*"))


@pytest.mark.parametrize("which", ["database", "server"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_that_goes_away_during_a_run_and_comes_back_costs_a_run_at_most(
    seed: int,
    which: str,
    lab: Lab,
    base: Path,
    undisturbed: tuple[dict[str, pl.DataFrame], int],
    tmp_path: Path,
) -> None:
    outputs, files = undisturbed
    home = copied(base, tmp_path / "home")
    gone: Process = lab.database if which == "database" else lab.server
    moment = random.Random(seed).randrange(1, files * 6 // 10)
    run = lab.begin(home)
    until(lambda: written(home) >= moment, 120, f"the run does not get on\n{lab.hands.said()}")
    assert written(home) < files, "the run was over"
    (gone.stop if seed % 2 else gone.kill)()
    time.sleep(AWAY[seed % len(AWAY)])
    gone.start()
    lab.end(run)
    following = lab.begin(home)
    assert lab.end(following) == "COMPLETED", lab.hands.said()
    assert same(outputs, home.comparable()) == []
    assert_conserved(home)
    assert not [path for path in (home.folder / "inbox").rglob("*") if path.is_file()]
