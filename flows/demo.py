"""The demo: the example exports of several labs through the real flow, and what comes out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from flows import views
from schemas.settings import Settings
from schemas.store import write
from tasks.ledger import Ledger

EXAMPLES = Path(__file__).parents[1] / "examples"


def prepare_home(settings: Settings) -> None:
    """Give the home the examples' labs and layouts, unless it has its own."""
    for source in (EXAMPLES / "labs.toml", *(EXAMPLES / "layouts").glob("*.toml")):
        name = source.relative_to(EXAMPLES).as_posix()
        if settings.store.item(name) is None:
            write(settings.store, name, partial(shutil.copyfile, source))


def run_demo(settings: Settings, run: Callable[[], dict[str, int]]) -> None:
    """Run the flow over the examples and print receipts, a look at the metrics, and lines to paste."""
    prepare_home(settings)
    views.console.print("Taking in the examples (the flow runs on Prefect's embedded server) ...")
    counts = run()
    views.console.print(views.receipts_table(Ledger(settings.store).open().receipts()))
    views.console.print()
    views.print_run(counts)
    views.console.print(
        "steroid-core is a real table that says neither unit nor specimen nor time: its rows wait in quarantine until "
        "a layout says them. `neurobalance layout new FILE --lab LAB` drafts one."
    )
    views.console.print()
    print_metrics(settings)
    print_lines(settings)


def print_metrics(settings: Settings) -> None:
    """A few rows of the tidy metrics: values, bounds, and reasons."""
    metrics = pl.scan_parquet(
        settings.store.url("outputs/metrics/**/*.parquet"), storage_options=settings.store.options
    )
    wanted = [
        "kyn_trp",
        "phe_tyr",
        "csf_hva_hiaa",
        "dhpg_ne",
        "ne_epi",
        "glu_gaba_urine",
        "cortisol_dheas",
        "ne_da",
        "hiaa_serotonin",
    ]
    some = (
        metrics.filter(pl.col("metric").is_in(wanted))
        .sort("metric", "status", "lab", "sample")
        .group_by("metric", "status", "lab", maintain_order=True).first()
        .sort("metric", "lab", "status").collect()
    )  # fmt: skip
    made = views.table("A look at the metrics (one sample for each metric, lab and status)",
                       "metric", "lab", "specimen", "low", "high", "unit", "status", "label, or why it is absent",
                       numbers=("low", "high"))  # fmt: skip
    for row in some.to_dicts():
        ends = [f"{row[end]:.4g}" if row[end] is not None else "" for end in ("low", "high")]
        label = row["reason"] or row["label"]
        if row["reported_agrees"] is False:
            label += "; the lab printed another ratio"
        made.add_row(row["metric"], row["lab"], row["specimen"], *ends, row["unit"], row["status"], label)
    views.console.print(made)
    disagree = metrics.filter(~pl.col("reported_agrees")).select(pl.len()).collect().item()
    views.console.print(f"\nRatios that a lab printed and its own components contradict: {disagree}.")
    views.console.print(
        "Urine, plasma and serum metrics are peripheral: they say nothing about levels in the brain."
    )


def print_lines(settings: Settings) -> None:
    """The lines to paste, for each way of reading."""
    where = settings.store.url("outputs").removeprefix(f"{Path.cwd()}/")
    views.console.print(
        f"""
Read them with Polars, DuckDB or pandas:

  import polars as pl
  pl.read_parquet("{where}/metrics/**/*.parquet").filter(pl.col("metric") == "kyn_trp")

  import duckdb
  duckdb.sql("select metric, status, count(*) from '{where}/metrics/**/*.parquet' group by all").show()

  import pandas as pd
  pd.read_parquet("{where}/panels")

What the columns mean: docs/data-dictionary.md. What the metrics do not mean: README.md.""",
        markup=False,
        soft_wrap=True,
    )
