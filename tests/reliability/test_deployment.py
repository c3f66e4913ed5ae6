"""What stands in deployments/, started by hand: PostgreSQL, Prefect's server, a worker; and automations that fire."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.home import Home, table
from tests.reliability.servers import (
    BIN,
    ROOT,
    Postgres,
    PrefectServer,
    Process,
    postgres,
    prefect_server,
    until,
    worker,
)

#: real servers take their time on a busy machine
pytestmark = pytest.mark.timeout(600)

AUTOMATIONS = yaml.safe_load((ROOT / "deployments/automations.yaml").read_text("utf-8"))["automations"]
AUTH = "lab:a password with spaces"


def ask(server: PrefectServer, path: str, question: dict) -> Any:
    """POST a question to the server's API."""
    import base64

    request = urllib.request.Request(
        f"{server.api}{path}", json.dumps(question).encode(),
        {"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(AUTH.encode()).decode()},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def events(server: PrefectServer, prefix: str) -> list[dict]:
    """The events whose name begins so, the newest first."""
    return ask(server, "/events/filter", {"filter": {"event": {"prefix": [prefix]}}, "limit": 50})["events"]


def fired(server: PrefectServer, name: str) -> bool:
    """Whether an automation fired."""
    return any(
        event["resource"].get("prefect.resource.name") == name
        for event in events(server, "prefect.automation.triggered")
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def home(folder: Path) -> Home:
    """A home with one lab that sends, one that is silent, and one file that holds nothing usable."""
    labs = '[north]\ntimezone = "Europe/Berlin"\n[south]\nsilent_after_hours = 1\n'
    made = Home(folder / "home", labs)
    for lab, name, content in (
        ("north", "good.csv", table({"sample": "S1"}, {"sample": "S2"})),
        (
            "north",
            "canary-name.csv",
            table({"sample": "CANARY", "analyte": "canary analyte", "value": "much"}),
        ),
    ):
        path = made.folder / "inbox" / lab / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return made


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[Postgres]:
    with postgres(folder) as running:
        yield running


@pytest.fixture(scope="module")
def server(folder: Path, database: Postgres) -> Iterator[PrefectServer]:
    """The server of compose.yaml on PostgreSQL, with a password, and runs that are soon late."""
    with prefect_server(
        folder, database.url, PREFECT_SERVER_API_AUTH_STRING=AUTH, PREFECT_API_AUTH_STRING=AUTH
    ) as running:
        yield running


@pytest.fixture(scope="module")
def automations(folder: Path, server: PrefectServer) -> None:
    """The automations as they are, but for short intervals, created by the command of the file's head."""
    quick = [
        json.loads(json.dumps(said))
        | {"trigger": said["trigger"] | {"within": min(said["trigger"]["within"], 12)}}
        for said in AUTOMATIONS
    ]
    path = folder / "automations.json"
    path.write_text(json.dumps({"automations": quick}))
    said = server.prefect("automation", "create", "--from-file", str(path))
    assert f"Created {len(AUTOMATIONS)} automation" in said


@pytest.fixture(scope="module")
def hands(folder: Path, server: PrefectServer, home: Home) -> Iterator[Process]:
    """The worker of compose.yaml, with the deployments."""
    settings = {
        "NEUROBALANCE_HOME": str(home.folder),
        "NEUROBALANCE_ID_KEY": "k" * 40,
        "NEUROBALANCE_SHARED_HOME": "1",
    }
    with worker(server, "lab", folder, **settings) as running:
        server.prefect("--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--all")
        # the tests say when a run begins
        server.prefect("deployment", "schedule", "clear", "ingest/inbox", "--accept-yes")
        yield running


def run_once(server: PrefectServer, wait: float = 120) -> str:
    """Run the deployment; gives the name of the state that it ends in."""
    said = server.prefect("deployment", "run", "ingest/inbox")
    run = re.search(r"flow-run/([0-9a-f-]{36})", said.replace("\n", ""))
    assert run, said
    states = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    state = ""

    def ended() -> bool:
        nonlocal state
        (seen,) = ask(server, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run[1]]}}})
        state = seen["state_type"]
        return state in states

    until(ended, wait, f"the run has not ended: {state}")
    return state


@pytest.mark.slow
def test_a_run_on_postgresql_takes_in_the_inbox_and_tells_events_and_artifacts(
    home: Home, database: Postgres, server: PrefectServer, automations: None, hands: Process
) -> None:
    assert run_once(server) == "COMPLETED", hands.said()
    assert len(home.output("exports")) == 2
    expected = {
        "neurobalance.export.received", "neurobalance.export.quarantined", "neurobalance.export.published",
        "neurobalance.quarantine.high", "neurobalance.lab.silent",
    }  # fmt: skip
    told: dict[str, dict] = {}

    def recorded() -> bool:  # the server records events by the batch
        told.update({event["event"]: event for event in events(server, "neurobalance.")})
        return set(told) >= expected

    until(recorded, 60, f"not all events came: {sorted(told)}")
    assert set(told) == expected
    assert told["neurobalance.export.received"]["payload"]["exports"] == 2
    assert told["neurobalance.export.quarantined"]["payload"]["quarantined"] == 1
    assert told["neurobalance.lab.silent"]["resource"]["prefect.resource.id"] == "neurobalance.lab.south"
    artifacts = {a["key"]: a for a in ask(server, "/artifacts/filter", {}) if a["key"]}
    assert {"receipts", "quarantine", "ingest-summary"} <= set(artifacts)
    reasons = json.loads(artifacts["quarantine"]["data"])
    assert {said["reason"] for said in reasons} == {"unknown analyte", "unreadable value"}
    assert all(said["how to mend it"] for said in reasons)


@pytest.mark.slow
def test_silence_and_quarantine_fire_their_automations(
    server: PrefectServer, automations: None, hands: Process
) -> None:
    for name in ("neurobalance: a lab is silent", "neurobalance: much in quarantine"):
        until(lambda name=name: fired(server, name), 60, f"{name} did not fire\n{server.said()}")


@pytest.mark.slow
def test_a_run_that_fails_fires_its_automation(
    home: Home, server: PrefectServer, automations: None, hands: Process
) -> None:
    labs = home.folder / "labs.toml"
    said = labs.read_text("utf-8")
    labs.write_text("this is no TOML", "utf-8")
    try:
        assert run_once(server) == "FAILED"
    finally:
        labs.write_text(said, "utf-8")
    until(lambda: fired(server, "neurobalance: a run failed"), 60, "a failed run fired nothing")


@pytest.mark.slow
def test_a_run_whose_worker_died_is_marked_crashed_and_the_next_one_completes(
    home: Home, server: PrefectServer, automations: None, hands: Process
) -> None:
    waits = home.folder / "inbox" / "north" / "waits.csv"
    os.mkfifo(home.folder / "layouts.fifo")  # a layout that never answers: the run stays where it is
    (home.folder / "layouts").mkdir(exist_ok=True)
    (home.folder / "layouts.fifo").rename(home.folder / "layouts" / "stuck.toml")
    waits.write_bytes(table({"sample": "S9"}))
    said = server.prefect("deployment", "run", "ingest/inbox")
    run = re.search(r"flow-run/([0-9a-f-]{36})", said.replace("\n", ""))
    assert run

    def state() -> str:
        (seen,) = ask(server, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run[1]]}}})
        return seen["state_type"]

    until(lambda: state() == "RUNNING", 90, "the run did not begin")
    own = {"prefect.resource.id": f"prefect.flow-run.{run[1]}"}
    until(
        lambda: any(
            own.items() <= e["resource"].items() for e in events(server, "prefect.flow-run.heartbeat")
        ),
        60,
        "the run sent no heartbeat",
    )
    hands.kill()
    (home.folder / "layouts" / "stuck.toml").unlink()
    assert state() == "RUNNING"
    until(lambda: state() == "CRASHED", 90, "the dead run is still called running")
    hands.start()
    assert run_once(server) == "COMPLETED", hands.said()
    assert not waits.exists()


@pytest.mark.slow
def test_servers_that_are_started_again_go_on(
    home: Home, database: Postgres, server: PrefectServer, hands: Process
) -> None:
    database.restart()
    server.restart()
    path = home.folder / "inbox" / "north" / "after.csv"
    path.write_bytes(table({"sample": "S10"}))
    assert run_once(server) == "COMPLETED", hands.said()
    assert not path.exists()


@pytest.mark.slow
def test_no_name_and_no_value_reaches_the_database_or_a_log(
    folder: Path, home: Home, database: Postgres, server: PrefectServer, hands: Process
) -> None:
    dump = subprocess.run(
        ["pg_dump", "--dbname", database.url.replace("+asyncpg", "")], capture_output=True, check=True
    ).stdout
    assert b"unknown analyte" in dump
    for said in (dump, (folder / "server.log").read_bytes(), (folder / "worker.log").read_bytes()):
        assert b"CANARY" not in said
        assert b"canary" not in said


@pytest.mark.slow
def test_the_server_asks_for_its_password(server: PrefectServer) -> None:
    done = subprocess.run(
        [str(BIN / "prefect"), "work-pool", "ls"],
        env={k: v for k, v in server.reach().items() if k != "PREFECT_API_AUTH_STRING"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
