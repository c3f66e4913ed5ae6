"""Run a contestant in a fresh process and measure it: wall and CPU time, and the memory of all its processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: seconds between two looks at the memory: each takes milliseconds, of which the others have less
_EVERY = 0.1


@dataclass(frozen=True)
class Measured:
    """One run. Seconds and bytes; `said`: what the contestant knows of itself."""

    wall: float
    cpu: float
    peak: int
    said: dict = field(default_factory=dict)


class Failed(Exception):
    """A contestant ended with an error."""


def _resident(root: int) -> int:
    """Resident bytes of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        sizes[int(entry.name)] = int(fields[21]) * _PAGE
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        total += sizes.get(pid, 0)
        waiting += children.get(pid, [])
    return total


def measure(command: Sequence[str], environment: dict[str, str] | None = None) -> Measured:
    """Run `command` from the root of the repository. Raises Failed with the end of what it wrote."""
    peak = 0
    ended = threading.Event()
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | (environment or {}), stdout=printed, stderr=errors
        )

        def watch() -> None:
            nonlocal peak
            while not ended.wait(_EVERY):
                peak = max(peak, _resident(process.pid))

        watcher = threading.Thread(target=watch)
        if Path("/proc/self/stat").exists():
            watcher.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        finally:
            ended.set()
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if watcher.ident:
            watcher.join()
        printed.seek(0)
        errors.seek(0)
        if process.returncode:
            told = errors.read()[-2000:]
            raise Failed(f"{' '.join(command)}: exit status {process.returncode}\n{told}")
        last = (printed.read().strip().splitlines() or [""])[-1]
    said = json.loads(last) if last.startswith("{") else {}
    # ru_maxrss is in kilobytes on Linux, and of the largest single process
    return Measured(wall, used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss * 1024), said)


def module(name: str, inbox: Path, out: Path) -> list[str]:
    """The command that runs a contestant."""
    return [sys.executable, "-m", f"benchmarks.contestants.{name}", str(inbox), str(out)]


def contestant(name: str, inbox: Path, out: Path) -> Measured:
    """Run one contestant into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    return measure(module(name, inbox, out))


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """What a function gives, called in a process of its own: what is started from a process that has become large
    counts as large as that one, whatever it does itself. Raises what the function raises."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)


def machine() -> str:
    """What it ran on, in one line."""
    memory = os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30
    name = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        name = names[0] if names else name
    return f"{len(os.sched_getaffinity(0))} cores ({name}), {memory:.0f} GiB of memory, Python {sys.version.split()[0]}"
