"""One module per contestant, each run in a process of its own: `python -m benchmarks.contestants.NAME INBOX OUT`.

INBOX holds one folder per lab with its CSV exports; OUT is an empty folder. The last line printed is JSON with what
the contestant knows of itself (`stages`: name -> seconds of wall and CPU time).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: what all contestants call the lab, and the key of the pseudonyms, so that the outputs can be compared
LAB = "north"
ID_KEY = "key of the benchmark"


def arguments() -> tuple[Path, Path]:
    """Inbox and folder of outputs, from the command line."""
    options = argparse.ArgumentParser()
    options.add_argument("inbox", type=Path)
    options.add_argument("out", type=Path)
    said = options.parse_args()
    said.out.mkdir(parents=True, exist_ok=True)
    return said.inbox, said.out


def exports_of(inbox: Path) -> list[Path]:
    """The CSV exports of the lab, in the order of their names."""
    return sorted((inbox / LAB).glob("*.csv"))


class Stages:
    """Wall and CPU seconds (all threads of this process) by stage."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside as part of `name`."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] += time.perf_counter() - wall
        self.cpu[name] += time.process_time() - cpu

    def report(self, **more: object) -> None:
        """Print the line that the harness reads."""
        print(json.dumps({"stages": {n: [self.wall[n], self.cpu[n]] for n in self.wall}} | more))
