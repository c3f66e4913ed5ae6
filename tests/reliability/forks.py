"""Processes for tests that run beside the test: forks of one process that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from typing import Any
from unittest import mock

from tests.reliability.servers import environment

#: makes barriers, events and values
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.reliability.imported"])


def begun(target: Callable[..., None], *given: Any) -> BaseProcess:
    """A process that does `target(*given)`; its environment is that of `servers.environment`."""
    with mock.patch.dict(os.environ, environment(), clear=True):
        forkserver.ensure_running()  # the first process starts the one that forks, which keeps its environment
    process = FORKS.Process(target=target, args=given)
    process.start()
    return process


def ended(processes: list[BaseProcess], seconds: float = 200) -> list[int | None]:
    """Wait for processes to end; how each did."""
    for process in processes:
        process.join(seconds)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes


def said(target: Callable[..., None], *given: Any) -> tuple[int | None, str]:
    """Do `target(*given)` in a process; how it ended, and all that it said, whatever library said it."""
    reading, writing = FORKS.Pipe(duplex=False)
    process = begun(_aloud, writing, target, *given)
    writing.close()
    text = b"".join(iter(lambda: os.read(reading.fileno(), 65_536), b""))
    (code,) = ended([process])
    return code, text.decode("utf-8", "replace")


def _aloud(pipe: Any, target: Callable[..., None], *given: Any) -> None:
    for standard in (1, 2):
        os.dup2(pipe.fileno(), standard)
    pipe.close()
    target(*given)


def killed(seconds: float, target: Callable[..., None], *given: Any) -> bool:
    """Begin `target(*given)` in a process and kill -9 it so many seconds later; whether it was at work yet."""
    ready = FORKS.Event()
    process = begun(_when_ready, ready, target, *given)
    assert ready.wait(60)
    time.sleep(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _when_ready(ready: Any, target: Callable[..., None], *given: Any) -> None:
    ready.set()
    target(*given)
