"""Runs of the real flows that can be killed: a process that has imported everything forks one for each.

As a program it reads lines `FLOW HOME` and runs that flow over that home in a fork of itself, which says when it
begins, which of its stages begin and end, and when it is done. What the parent says of it: how it ended. After
`code FILE` the fork runs the Python of that file, and what that says stands beside it.
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.servers import ROOT


@dataclass
class Told:
    """What one run said: seconds, since it began, to the end of its last stage; the stages at work when it ended."""

    at_work: list[str] = field(default_factory=list)
    stages: int = 0
    last: float = 0.0
    done: bool = False
    #: what the operating system says of its end: 9 if it was killed
    status: int = -1


class Killable:
    """The process that forks."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.reliability.killable"], env=env, cwd=ROOT, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self._ask, self._said = self._process.stdin, self._process.stdout

    def run(self, flow: str, home: Path, kill_after: float | None = None) -> Told:
        """Run a flow over a home; kill -9 it so many seconds after it began."""
        print(flow, home, file=self._ask, flush=True)
        word, pid = self._said.readline().split()
        assert word == "began"
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(int(pid), signal.SIGKILL)
        told = Told()
        while True:
            word, _, what = self._said.readline().strip().partition(" ")
            if word == "begins":
                told.at_work.append(what)
                told.stages += 1
            elif word == "ends":
                stage, _, seconds = what.rpartition(" ")
                told.at_work.remove(stage)
                told.last = float(seconds)
            elif word == "done":
                told.done = True
            elif word == "ended":
                print(file=self._ask, flush=True)
            else:
                assert word == "status", f"the process that forks said {word!r}"
                told.status = int(what)
                return told

    def code(self, path: Path, text: str) -> str:
        """Run Python in a fork, as a program of its own would; gives all that it says."""
        path.write_text(text, "utf-8")
        self.run("code", path)
        return path.with_suffix(".said").read_text("utf-8", "replace")

    def end(self) -> None:
        """No process stays."""
        with self._process as process:
            process.kill()


def _say(*words: object) -> None:
    # one write, so that what two threads say, or two processes, stays whole
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


def _announced(name: str, work: Callable, began: Callable[[], float]) -> Callable:
    @functools.wraps(work)
    def stage(*given: Any, **named: Any) -> Any:
        _say("begins", name)
        try:
            return work(*given, **named)
        finally:
            _say("ends", name, f"{time.monotonic() - began():.3f}")

    return stage


def _code(path: Path) -> None:
    with path.with_suffix(".said").open("wb") as said:
        for standard in (1, 2):
            os.dup2(said.fileno(), standard)
    exec(compile(path.read_text("utf-8"), path.name, "exec"), {"__name__": "code"})


def _main() -> None:
    from prefect import Task

    from flows import backfill, ingest, stages
    from tasks import batches

    importlib.import_module("tests.reliability.imported")
    # threads of Polars or delta-rs, once started, would not survive a fork
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    assert not [name for name in names if name.startswith(("polars-0", "tokio"))], names
    gc.freeze()
    batches.EXPORTS_PER_BATCH = 2
    start = 0.0
    modules = (stages, ingest, backfill)
    tasks = {id(it): it for module in modules for it in vars(module).values() if isinstance(it, Task)}
    for task in tasks.values():
        task.fn = _announced(task.name, task.fn, lambda: start)
    ingest.leave_inbox = _announced("leave the inbox", ingest.leave_inbox, lambda: start)
    runs: dict[str, Callable] = {"ingest": ingest.ingest, "backfill": backfill.backfill}
    while line := sys.stdin.readline():
        flow, home = line.rstrip("\n").split(" ", 1)
        pid = os.fork()
        if not pid:
            start = time.monotonic()
            _say("began", os.getpid())
            if flow == "code":
                _code(Path(home))
                sys.exit()  # as any process ends, with all that waits until then
            runs[flow](home=home)
            _say("done")
            os._exit(0)
        # until whoever may kill it knows that it has ended, it is not collected, and its id stays its own
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        _say("ended")
        sys.stdin.readline()
        _, status = os.waitpid(pid, 0)
        _say("status", status)


if __name__ == "__main__":
    _main()
