"""A home filled with the examples, made once, and a copy of it for each page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.settings import Settings
from tests.docs import plain
from tests.docs.runner import ROOT, Reader


@pytest.fixture(scope="session")
def examples_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after `neurobalance demo`; nothing may be changed in it."""
    home = tmp_path_factory.mktemp("examples") / "data"
    home.mkdir()
    shutil.copy(ROOT / "examples" / "labs.toml", home)
    shutil.copytree(ROOT / "examples" / "layouts", home / "layouts")
    plain.ingest(Settings(home=home, inbox=ROOT / "examples" / "inbox"))
    return home


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory beside the examples, with no settings in the environment."""
    for name in [name for name in os.environ if name.startswith("NEUROBALANCE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Somebody who follows a page; what a page registers is forgotten afterwards."""
    import flows.cli
    import flows.replay
    from tasks.readers import READERS

    monkeypatch.setattr(flows.cli, "_run_flow", plain.ingest)
    monkeypatch.setattr(flows.replay, "_run_backfill", plain.backfill)
    monkeypatch.syspath_prepend(folder)
    registered = dict(READERS)
    yield Reader(folder)
    READERS.clear()
    READERS.update(registered)
