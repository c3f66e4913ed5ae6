"""Real servers for tests: PostgreSQL, a Prefect server on it, a worker; each can be stopped and started again.

    with postgres(folder) as database, prefect_server(folder, database.url) as server:
        with worker(server, "lab", NEUROBALANCE_HOME=home) as hands:
            hands.kill(); hands.start()

Every server listens on a free port of 127.0.0.1 and keeps it when it is started again.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
_TO_START = 180
_TO_STOP = 60


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more: str) -> dict[str, str]:
    """The environment without any setting of Prefect's and ours, and with `more`."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PREFECT_", "NEUROBALANCE_"))}
    quiet = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "NEUROBALANCE_SETTLE_SECONDS": "0",
    }
    return kept | quiet | more


def run(*command: str, env: dict[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one of the installed commands."""
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], env=env, cwd=ROOT, capture_output=True, text=True
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something to become true; the test fails with `what` where it does not."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"within {seconds:.0f} seconds: {what}")
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """What a process started, and what those started (Linux), whatever session they are in."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended meanwhile
            parent = int(entry.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.parent.name))
    found, look = [], [pid]
    while look:
        children = parents.get(look.pop(), [])
        found += children
        look += children
    return found


@dataclass
class Process:
    """A process that can be stopped, killed and started again; its output is appended to a log."""

    command: list[str]
    env: dict[str, str]
    log: Path
    ready: Callable[[], bool] = lambda: True
    user: str | None = None
    to_stop: signal.Signals = signal.SIGTERM
    process: subprocess.Popen | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command, env=self.env, cwd=ROOT if self.user is None else "/", stdout=log, stderr=log,
                start_new_session=True, user=self.user,
            )  # fmt: skip
        until(
            lambda: self.ended() or self.ready(), _TO_START, f"{self.command[0]} is not ready\n{self.said()}"
        )
        if self.ended():
            pytest.fail(f"{self.command[0]} ended while it started\n{self.said()}")

    def ended(self) -> bool:
        """Whether it is not there, or no longer."""
        return self.process is None or self.process.poll() is not None

    @property
    def started(self) -> list[int]:
        """The processes that it started, and theirs."""
        assert self.process
        return descendants(self.process.pid)

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        if self.process is None:
            return
        started = self.started
        self.process.send_signal(self.to_stop)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_TO_STOP)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kill()

    def kill(self) -> None:
        """kill -9 for it and all that it started, in whatever session: what a power cut does."""
        if self.process is None:
            return
        for pid in (*self.started, self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Stop and start again."""
        self.stop()
        self.start()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-3000:] if self.log.exists() else ""


Started = TypeVar("Started", bound=Process)


@contextmanager
def running(process: Started) -> Iterator[Started]:
    """Start a process, and stop it in the end."""
    process.start()
    try:
        yield process
    finally:
        process.stop()


@dataclass
class Postgres(Process):
    """A PostgreSQL server with one empty database."""

    url: str = ""


@dataclass
class PrefectServer(Process):
    """A Prefect server; `reach` is the environment of whoever talks to it."""

    api: str = ""

    def reach(self, **more: str) -> dict[str, str]:
        """An environment that reaches this server."""
        own = {
            name: self.env[name] for name in ("PREFECT_HOME", "PREFECT_API_AUTH_STRING") if name in self.env
        }
        return environment(PREFECT_API_URL=self.api, **own, **more)

    def prefect(self, *arguments: str, check: bool = True) -> str:
        """Run a command of Prefect's against this server; gives what it prints."""
        done = subprocess.run(
            [str(BIN / "prefect"), *arguments], env=self.reach(), cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout + done.stderr


def postgres_programs() -> Path:
    """The folder of initdb and postgres. Where there are none, the test is skipped and says what to install."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    pytest.skip("PostgreSQL is not installed, so nothing of it was tested: install the package postgresql")


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL server with its files in a folder of its own; root hands it to the account `postgres`."""
    programs = postgres_programs()
    user = None
    if os.geteuid() == 0:
        user = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
    # a short path, which the account that runs it can reach: those of the test framework are the tester's own
    with tempfile.TemporaryDirectory(prefix="pg") as data:
        if user:
            shutil.chown(data, user)
        subprocess.run(
            [str(programs / "initdb"), "-D", f"{data}/data", "-U", "prefect", "--auth=trust", "--no-sync", "-E", "UTF8"],
            check=True, capture_output=True, user=user, cwd="/",
        )  # fmt: skip
        port = free_port()
        ask = [
            str(programs / "pg_isready"),
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-U",
            "prefect",
            "-d",
            "postgres",
        ]
        server = Postgres(
            command=[str(programs / "postgres"), "-D", f"{data}/data", "-p", str(port), "-h", "127.0.0.1",
                     "-k", data, "-c", "fsync=off"],
            env=environment(), log=folder / "postgres.log", user=user, to_stop=signal.SIGINT,
            ready=lambda: subprocess.run(ask, capture_output=True).returncode == 0,
            url=f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres",
        )  # fmt: skip
        with running(server):
            yield server


def with_tables(prefect_home: Path) -> None:
    """Make a home of Prefect's with an empty database that has its tables: to make them takes ten seconds, so it
    is done once, for all processes of one run of the tests."""
    made = Path(os.environ["SHARED_BY_THE_TESTS"]) / "prefect"
    made.mkdir(exist_ok=True)
    with (made / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "done").exists():
            command = [str(BIN / "prefect"), "server", "database", "upgrade", "--yes"]
            subprocess.run(command, env=environment(PREFECT_HOME=str(made)), check=True, capture_output=True)
            (made / "done").touch()
    prefect_home.mkdir(parents=True, exist_ok=True)
    for path in made.glob("prefect.db*"):
        shutil.copy(path, prefect_home)


@contextmanager
def prefect_server(folder: Path, database_url: str | None = None, **settings: str) -> Iterator[PrefectServer]:
    """A Prefect server on a database (default: SQLite in `folder`)."""
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    own = {"PREFECT_HOME": str(folder / "prefect")}
    if database_url is None:
        with_tables(folder / "prefect")
    if database_url:
        own["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database_url

    def answers() -> bool:
        try:
            urllib.request.urlopen(f"{api}/health", timeout=2).close()
        except OSError:
            return False
        return True

    server = PrefectServer(
        command=[str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment(**own, **settings), log=folder / "server.log", ready=answers, api=api,
    )  # fmt: skip
    with running(server):
        yield server


@contextmanager
def worker(server: PrefectServer, pool: str, folder: Path, **settings: str) -> Iterator[Process]:
    """A worker of a pool; the pool is made where there is none. `settings` reach the runs."""
    server.prefect("work-pool", "create", "--type", "process", pool, check=False)
    hands = Process(
        command=[str(BIN / "prefect"), "worker", "start", "--pool", pool],
        env=server.reach(**settings), log=folder / "worker.log",
    )  # fmt: skip
    with running(hands):
        yield hands
