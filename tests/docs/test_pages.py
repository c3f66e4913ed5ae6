"""Whoever follows a page of the documentation gets what the page says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.runner import ROOT, Reader, blocks, pages

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]
#: pages that begin with what `neurobalance demo` leaves behind; the others begin with no home at all
AFTER_THE_DEMO = {"README.md", "commands.md"}
WITH_CODE = [param for param in PAGES if blocks(param.values[0])]


@pytest.mark.parametrize("page", WITH_CODE)
def test_every_block_does_what_the_page_says(page: Path, reader: Reader, examples_home: Path) -> None:
    if page.name in AFTER_THE_DEMO:
        shutil.copytree(examples_home, reader.folder / "data")
    assert reader.follow(page) > 0
