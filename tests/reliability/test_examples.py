"""The examples, taken in for real: conservation, values, and every way of reading the outputs."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from datetime import UTC
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from schemas.outputs import datasets
from schemas.settings import Settings
from tasks.bench import Bench
from tasks.discover import archive_inbox
from tasks.ledger import Ledger
from tasks.prepare import prepare
from tasks.publish import Publisher

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home into which the examples were taken, without Prefect's server."""
    home = tmp_path_factory.mktemp("examples")
    shutil.copytree(EXAMPLES / "layouts", home / "layouts")
    shutil.copyfile(EXAMPLES / "labs.toml", home / "labs.toml")
    settings = Settings(home=home, inbox=EXAMPLES / "inbox", settle_seconds=0)
    bench = Bench.of(settings)
    ledger = Ledger(settings.store)
    found = list(archive_inbox(settings).files)
    for lab in sorted({export.lab for export in found}):
        ledger.commit(lab, *prepare(bench, [export for export in found if export.lab == lab], {}))
    Publisher(settings, bench.catalogue).publish()
    return settings


def read(settings: Settings, dataset: str) -> pl.DataFrame:
    return pl.read_parquet(Path(settings.home) / "outputs" / dataset / "**" / "*.parquet")


def test_the_generated_examples_are_what_their_script_makes() -> None:
    sys.path.insert(0, str(EXAMPLES))
    try:
        from make_examples import files
    finally:
        sys.path.remove(str(EXAMPLES))
    for name, content in files().items():
        assert (EXAMPLES / "inbox" / name).read_bytes() == content, name


def test_every_row_of_every_example_is_accepted_or_quarantined_with_reasons(settings: Settings) -> None:
    snapshot = Ledger(settings.store).open()
    for receipt in snapshot.receipts().to_dicts():
        rows = snapshot.rows(receipt["lab"]).filter(pl.col("export") == receipt["export"]).collect()
        assert len(rows) == receipt["rows"] == receipt["accepted_rows"] + receipt["quarantined_rows"]
        assert rows.select("row", "item").is_unique().all()
        refused = rows.filter(~pl.col("accepted"))
        assert len(refused) == receipt["quarantined_rows"]
        assert (refused["reasons"].list.len() > 0).all()
        assert (rows.filter("accepted")["reasons"].list.len() == 0).all()
        told = refused.filter(pl.col("sent_analyte").is_not_null() | pl.col("raw").is_not_null())
        assert len(told) == len(refused)


def test_the_bad_rows_get_the_reasons_they_deserve(settings: Settings) -> None:
    refused = read(settings, "quarantine").filter(pl.col("lab") == "harbour-hospital")
    assert sorted(refused["reason"]) == sorted([
        "impossible value", "unreadable value", "ambiguous analyte", "unknown analyte", "unknown unit", "no sample id",
        "unreadable time", "wrong number of fields",
    ])  # fmt: skip


def test_the_file_that_nobody_can_read_has_a_receipt_and_its_bytes_are_kept(settings: Settings) -> None:
    unread = read(settings, "exports").filter(pl.col("layout").is_null())
    assert unread["reason"].to_list() == ["no layout fits"]
    kept = Path(settings.home) / "archive" / "cedar-wellness" / unread["export"][0]
    assert kept.read_bytes() == (EXAMPLES / "inbox" / "cedar-wellness" / "report-scan.pdf").read_bytes()


def try_report() -> list[dict[str, str]]:
    """TRY.TXT cut by hand: one dictionary per line of results, with the compound's name."""
    out, compound, header = [], "", []
    for line in (EXAMPLES / "inbox" / "coeliac-cohort" / "TRY.TXT").read_text("ascii").splitlines():
        if line.startswith("Compound "):
            compound = line.split(":", 1)[1].strip()
        elif line.startswith("\t#"):
            header = line.split("\t")[1:]
        elif "\t" in line:
            out.append(dict(zip(header, line.split("\t")[1:], strict=True)) | {"compound": compound})
    return out


@pytest.mark.parametrize(
    ("metric", "scale", "numerator", "denominators"),
    [
        ("kyn_trp", 1000.0, "kynurenine", "tryptophan"),
        ("kyna_quin", 1.0, "kynurenic acid", "quinolinic acid"),
        ("kyna_kyn", 1.0, "kynurenic acid", "kynurenine"),
        ("hk3_kyn", 1.0, "3-hydroxykynurenine", "kynurenine"),
        ("hk_xa", 1.0, "3-hydroxykynurenine", "xanthurenic acid"),
    ],
)
def test_targetlynx_metrics_equal_the_files_own_concentrations(
    settings: Settings, metric: str, scale: float, numerator: str, denominators: str
) -> None:
    """For every serum sample: the ratio of the report's own numbers, to 1e-9."""
    amounts: dict[tuple[str, str], str] = {}
    for row in try_report():
        if row["Type"] == "Sample" and row["Sample Text"] != "LTR_SER":
            amounts[row["Sample Text"], row["compound"]] = row["Conc."]
    samples = {sample for sample, _ in amounts}
    expected = {
        sample: scale * float(amounts[sample, numerator]) / float(amounts[sample, denominators])
        for sample in samples
        if amounts[sample, numerator] and amounts[sample, denominators]
    }
    metrics = read(settings, "metrics").filter(
        (pl.col("lab") == "coeliac-cohort") & (pl.col("metric") == metric)
    )
    assert len(samples) == 76
    assert set(metrics["sample"]) == samples
    found = dict(metrics.drop_nulls("value").select("sample", "value").iter_rows())
    assert found.keys() == expected.keys()
    assert len(found) > 50
    for sample, value in found.items():
        assert value == pytest.approx(expected[sample], rel=1e-9), sample


def test_standards_blanks_and_controls_reach_the_ledger_and_never_the_outputs(settings: Settings) -> None:
    snapshot = Ledger(settings.store).open()
    roles = dict(snapshot.rows("coeliac-cohort").group_by("role").len().collect().iter_rows())
    assert roles.keys() == {"sample", "qc", "calibrator", "blank", "internal standard"}
    results = read(settings, "results").filter(pl.col("lab") == "coeliac-cohort")
    assert results["sample"].str.starts_with("COE").all()
    assert not results["sample"].str.contains("LTR_SER|QC|Cal|Blank").any()
    assert results["sample"].n_unique() == 76


def test_a_correction_supersedes_and_moves_its_sample_to_its_own_month(settings: Settings) -> None:
    lab = pl.col("lab") == "cedar-wellness"
    results = read(settings, "results").filter(lab)
    with (EXAMPLES / "inbox" / "cedar-wellness" / "urine-2024-q1.csv").open() as file:
        first = list(csv.DictReader(file))
    assert results["sample"].n_unique() == len({row["Sample ID"] for row in first})
    months = results.group_by("sample").agg(pl.col("month").n_unique())
    assert (months["month"] == 1).all()
    corrected = results.filter(pl.col("status") == "corrected")
    assert corrected.filter(pl.col("analyte") != "dopamine")["month"].unique().to_list() == ["2024-02"]
    dopamine = corrected.filter((pl.col("analyte") == "dopamine") & (pl.col("month") != "2024-02"))
    molar_per_mmol = 212 / 153.181 / (1000 / 113.12)
    assert dopamine["value"].to_list() == [pytest.approx(molar_per_mmol, rel=1e-9)]


def test_a_printed_ratio_that_its_components_contradict_is_published_as_such(settings: Settings) -> None:
    printed = read(settings, "metrics").filter(
        pl.col("reported_low").is_not_null() & (pl.col("metric") == "phe_tyr")
    )
    assert len(printed) == 10
    wrong = printed.filter(~pl.col("reported_agrees"))
    assert wrong["reported_low"].to_list() == [0.75]


def test_every_absent_metric_says_why_and_no_other_does(settings: Settings) -> None:
    metrics = read(settings, "metrics")
    assert (metrics.filter(pl.col("status") == "absent")["reason"].str.len_bytes() > 0).all()
    assert metrics.filter(pl.col("status") == "absent")["low"].null_count() == len(
        metrics.filter(pl.col("status") == "absent")
    )
    assert metrics.filter(pl.col("status") != "absent")["reason"].null_count() == len(
        metrics.filter(pl.col("status") != "absent")
    )
    refused = metrics.filter(pl.col("reason") == "not valid in platelet-poor plasma")
    assert refused["specimen"].unique().to_list() == ["plasma"]
    assert (
        metrics.filter(pl.col("specimen").str.contains("urine|serum|plasma"))["label"]
        .str.starts_with("peripheral")
        .all()
    )


@pytest.mark.parametrize("dataset", ["results", "metrics", "panels", "quarantine", "exports", "catalogue"])
def test_polars_duckdb_pandas_and_pyarrow_read_the_same(settings: Settings, dataset: str) -> None:
    folder = Path(settings.home) / "outputs" / dataset
    by_polars = read(settings, dataset)
    by_duckdb = duckdb.sql(f"select count(*) from '{folder}/**/*.parquet'").fetchall()[0][0]
    by_pandas = pd.read_parquet(folder)
    by_pyarrow = ds.dataset(folder, format="parquet")
    assert len(by_polars) == by_duckdb == len(by_pandas) == by_pyarrow.count_rows()
    assert by_polars.columns == list(by_pandas.columns) == by_pyarrow.schema.names
    if dataset in ("results", "metrics"):
        total = by_polars["value"].sum()
        assert by_pandas["value"].sum() == pytest.approx(total, rel=1e-12)
        assert duckdb.sql(f"select sum(value) from '{folder}/**/*.parquet'").fetchall()[0][
            0
        ] == pytest.approx(total, rel=1e-9)
    if dataset == "metrics":
        there = by_polars["collected_at"].drop_nulls()
        assert by_pandas["collected_at"].dropna().iloc[0].tzinfo is not None
        assert there[0].tzinfo is not None
        assert by_pandas["collected_at"].max().to_pydatetime().astimezone(UTC) == there.max()


def test_every_file_says_what_its_columns_mean_in_which_unit_and_whether_they_are_phi(
    settings: Settings,
) -> None:
    from schemas.catalogue import load_catalogue

    package = json.loads((Path(settings.home) / "outputs" / "datapackage.json").read_text())
    described = {
        resource["name"]: {f["name"]: f for f in resource["schema"]["fields"]}
        for resource in package["resources"]
    }
    for dataset, columns in datasets(load_catalogue()).items():
        assert described[dataset].keys() == {column.name for column in columns}
        for path in (Path(settings.home) / "outputs" / dataset).rglob("*.parquet"):
            schema = pq.read_schema(path)
            assert schema.names == [column.name for column in columns]
            for column in columns:
                said = schema.field(column.name).metadata
                assert (
                    said[b"description"].decode()
                    == column.description
                    == described[dataset][column.name]["description"]
                )
                assert said[b"unit"].decode() == column.unit
                assert said[b"phi"].decode() == str(column.phi).lower()


def test_files_are_compressed_sorted_and_carry_statistics_that_prune(settings: Settings) -> None:
    (path,) = (Path(settings.home) / "outputs" / "metrics" / "coeliac-cohort").glob("2021-07.parquet")
    file = pq.ParquetFile(path)
    metric = file.schema_arrow.names.index("metric")
    for group in range(file.metadata.num_row_groups):
        column = file.metadata.row_group(group).column(metric)
        assert column.compression == "ZSTD"
        assert column.statistics.has_min_max
    assert pl.read_parquet(path)["metric"].is_sorted()


def test_ledger_archive_and_key_are_for_their_owner_only(settings: Settings) -> None:
    for folder in (
        Path(settings.home) / "ledger",
        Path(settings.home) / "archive",
        Path(settings.home) / "secrets",
    ):
        assert folder.stat().st_mode & 0o077 == 0, folder
    assert (Path(settings.home) / "secrets" / "id.key").stat().st_mode & 0o077 == 0


def test_published_ids_are_pseudonyms_unless_the_lab_says_they_are_study_codes(settings: Settings) -> None:
    results = read(settings, "results")
    codes = results.filter(pl.col("lab") == "coeliac-cohort")
    assert codes["sample"].str.starts_with("COE").all()
    others = results.filter(pl.col("lab") != "coeliac-cohort")
    assert others["sample"].str.contains("^[0-9a-f]{32}$").all()
    assert others["subject"].str.contains("^[0-9a-f]{32}$").all()
    published = b"".join(path.read_bytes() for path in (Path(settings.home) / "outputs").rglob("*.parquet"))
    assert b"U2003" not in published
    assert b"W-003" not in published
