"""Backfills as the tests run them, and what a clean rebuild from the archive gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from flows.backfill import Outcome, run_backfill
from flows.runner import Plainly
from flows.stages import Run
from tasks.choose import Choice
from tests.home import Home, table

OWN = 'name = "own"\nextends = "generic"\nlabs = ["north"]\n'
MENDED = f'{OWN}[analytes]\ngeheim = "dopamine"\n'
MIXED = table({}, {"analyte": "geheim", "sample": "S2", "value": "80", "collected_at": "2024-05-02 08:00"})


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.plan = pl.DataFrame()
        self.heard: list[str] = []
        self.held: list[dict] = []

    def planned(self, plan):
        self.plan = plan

    def went_on(self, stage, done, total):
        assert 0 < done <= total
        self.heard.append(f"{stage} {done}")

    def ended(self, counts, held):
        self.held = held


def backfill(home: Home, dry_run: bool = False, ear: Ear | None = None, **choice) -> Outcome:
    """The backfill of the flow, without its server."""
    return run_backfill(Run.of(str(home.place)), Choice(**choice), dry_run, Plainly(), [ear] if ear else [])


def everything(home: Home) -> dict[str, str]:
    """All that stands in a home: name -> what tells one writing from the next."""
    return {item.name: item.tag for item in home.settings.store.items("")}


def rebuilt(home: Home, folder: Path) -> dict[str, pl.DataFrame]:
    """The outputs of a home that takes in the same archive for the first time, with the layouts of now."""
    fresh = Home(folder)
    for name in ("archive", "layouts", "catalogue", "secrets"):
        if (home.folder / name).exists():
            shutil.copytree(home.folder / name, fresh.folder / name)
    backfill(fresh)
    return fresh.comparable()
