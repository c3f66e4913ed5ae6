"""`neurobalance serve` as a real process: it takes in what comes, and leaves nothing behind when it is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.home import Home, table
from tests.reliability.servers import ROOT, descendants, environment, until

#: real servers take their time on a busy machine
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def serving(home: Home, tmp_path: Path):
    """The command, on a free port, with a run each minute."""
    log = (tmp_path / "serve.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "serve", "--cron", "* * * * *", "--port", "0"],
        env=environment(NEUROBALANCE_HOME=str(home.folder)), cwd=ROOT, stdout=log, stderr=log,
    )  # fmt: skip
    yield process
    for pid in (*descendants(process.pid), process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    log.close()


def alive(pids: list[int]) -> list[int]:
    """Those that run; what has ended and is only not yet collected does not."""
    there = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            there.append(pid)
    return there


@pytest.mark.slow
def test_what_comes_is_taken_in_on_schedule_and_sigterm_leaves_no_process(
    home: Home, tmp_path: Path, serving: subprocess.Popen
) -> None:
    path = home.folder / "inbox" / "north" / "new.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(table())
    published = home.outputs / "exports" / "north"
    until(lambda: published.is_dir() or serving.poll() is not None, 240, "nothing was published")
    said = (tmp_path / "serve.log").read_text("utf-8")
    assert serving.poll() is None, said
    assert "http://127.0.0.1:" in said
    until(lambda: not path.exists(), 30, "the file stayed in the inbox")
    started = descendants(serving.pid)
    assert len(started) >= 2
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(60) == 0
    until(lambda: not alive(started), 10, "processes stayed behind")
    assert "new.csv" not in (tmp_path / "serve.log").read_text("utf-8")


@pytest.mark.slow
def test_its_children_end_even_where_it_is_killed(serving: subprocess.Popen, tmp_path: Path) -> None:
    until(
        lambda: "Serving" in (tmp_path / "serve.log").read_text() or serving.poll() is not None,
        180,
        "no server",
    )
    started = descendants(serving.pid)
    assert started
    serving.kill()
    until(lambda: not alive(started), 60, "processes stayed behind")


def test_a_port_that_is_taken_is_said_with_what_to_do(home: Home) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "serve", "--port", str(taken.getsockname()[1])],
            env=environment(NEUROBALANCE_HOME=str(home.folder)), cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert "is taken: name another with --port" in done.stderr
    assert time.monotonic() - began < 60


def test_a_schedule_that_is_none_is_refused_before_anything_is_started(home: Home) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "flows.cli", "serve", "--cron", "every hour", "--port", "0"],
        env=environment(NEUROBALANCE_HOME=str(home.folder)), cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert "give five fields" in said.stderr
    assert "Traceback" not in said.stderr
    assert not list(home.folder.rglob("*.db")), "no server has been started"
