"""Whoever follows a page of the documentation gets what the page says."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from schemas import outputs
from schemas.catalogue import load_catalogue
from tests.docs import plain
from tests.docs.runner import ROOT, Reader, blocks, neurobalance, pages
from tests.home import without_lineage

#: pages that begin with what `neurobalance demo` leaves behind; the others begin with no home at all
AFTER_THE_DEMO = {"README.md", "commands.md"}
WITH_CODE = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages() if blocks(page)]
#: what a block may do and be left alone for it: it builds the environment, or does not end
LEFT_ALONE = (
    "make ",
    "prefect ",
    "docker compose ",
    "NEUROBALANCE_HOME=/srv/neurobalance prefect ",
    "NEUROBALANCE_HOME=/srv/neurobalance neurobalance serve ",
    "dask ",
    "NEUROBALANCE_DASK_ADDRESS=tcp://scheduler:8786 neurobalance ",
)


@pytest.mark.parametrize("page", WITH_CODE)
def test_every_block_does_what_the_page_says(page: Path, reader: Reader, examples_home: Path) -> None:
    if page.name in AFTER_THE_DEMO:
        shutil.copytree(examples_home, reader.folder / "data")
    done = reader.follow(page)
    runnable = [b for b in blocks(page) if b.language in ("python", "sql", "console") and not b.not_run]
    assert done >= len(runnable)


def test_only_blocks_that_cannot_run_here_are_left_alone() -> None:
    left = [block for page in pages() for block in blocks(page) if block.not_run]
    commands = [line[2:] for block in left for line in block.text.splitlines() if line.startswith("$ ")]
    assert commands
    assert all(block.language == "console" for block in left)
    assert [command for command in commands if not command.startswith(LEFT_ALONE)] == []


@pytest.mark.slow
def test_the_real_flow_leaves_what_the_stages_leave_that_the_pages_run_on(
    folder: Path, examples_home: Path
) -> None:
    home = folder / "real"
    shutil.copytree(examples_home / "layouts", home / "layouts")
    for name in ("labs.toml", "secrets"):  # the same key, so that the pseudonyms are the same
        source = examples_home / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, home / name)
    shutil.copytree(ROOT / "examples" / "inbox", home / "inbox")
    done = subprocess.run(
        [Path(sys.executable).with_name("neurobalance"), "ingest"],
        env=os.environ | {"NEUROBALANCE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [path for path in (home / "inbox").rglob("*") if path.is_file()]
    catalogue = load_catalogue()
    for dataset in outputs.datasets(catalogue):
        real, staged = (
            pl.read_parquet(sorted((where / "outputs" / dataset).rglob("*.parquet")), missing_columns="raise")
            for where in (home, examples_home)
        )
        assert len(real) > 0
        assert without_lineage(dataset, real, catalogue).equals(
            without_lineage(dataset, staged, catalogue)
        ), dataset


def test_the_metrics_of_the_recipe_are_those_that_paper_and_pencil_give(reader: Reader) -> None:
    reader.follow(ROOT / "docs" / "add-a-metric.md")
    own = pl.read_parquet("data/outputs/metrics/south-lab/*.parquet").filter(pl.col("status") == "uncensored")
    values = dict(own.select("metric", "value").iter_rows())
    assert values["da_ne_own"] == pytest.approx(1000 * 1.2 / 0.25, rel=1e-12)
    balance = math.sqrt(2 * 1 / 3) * math.log(math.sqrt(1.2 * 0.25) / 0.4)
    assert values["catechols_own"] == pytest.approx(balance, rel=1e-12)


def test_the_layout_of_the_recipe_keeps_controls_and_standards_out_of_the_results(reader: Reader) -> None:
    reader.follow(ROOT / "docs" / "add-a-layout.md")
    results = pl.read_parquet("data/outputs/results/nord/*.parquet")
    assert results["sample"].n_unique() == 2
    assert sorted(results["analyte"]) == ["kynurenine", "kynurenine", "tryptophan", "tryptophan"]
    assert sorted(results.filter(pl.col("analyte") == "tryptophan")["value"]) == [58.0, 61.4]


def test_the_reader_of_the_recipe_accounts_for_every_line_of_its_source(reader: Reader) -> None:
    reader.follow(ROOT / "docs" / "add-a-reader.md")
    receipt = pl.read_parquet("data/outputs/exports/tiny/*.parquet").to_dicts()[0]
    skipped = sum(map(int, re.findall(r": (\d+)", receipt["skipped"])))
    assert receipt["rows"] + skipped == len(Path("export.tl").read_text("utf-8").splitlines())


def test_exit_statuses_are_those_of_the_pages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import flows.cli

    assert neurobalance("status")[0] == 0
    assert neurobalance("ingest", "nowhere.csv", "--lab", "north")[0] == 2
    assert neurobalance("show", "zz")[0] == 2
    assert neurobalance("catalogue", "nothing")[0] == 2
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "labs.toml").write_text('[north]\ntimezone = "Nowhere/Land"\n', "utf-8")
    monkeypatch.setattr(flows.cli, "_run_flow", plain.ingest)
    status, printed = neurobalance("ingest")
    assert status == 1
    assert "labs.toml" in printed
    assert "Nowhere/Land" in printed

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(flows.cli, "_run_flow", interrupted)
    assert neurobalance("ingest")[0] == 130


@pytest.mark.parametrize("name", ["data-dictionary.md", "quarantine-reasons.md", "metrics.md"])
def test_a_generated_page_is_what_its_source_makes(name: str) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    made = generate.pages()[name]
    same = (ROOT / "docs" / name).read_text("utf-8") == made
    assert same, f"docs/{name} is not what its source makes: run .venv/bin/python docs/generate.py"
