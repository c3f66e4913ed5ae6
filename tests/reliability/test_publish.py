"""What stands in the outputs after originals, corrections and withdrawals, and which files are written for it."""

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import outputs
from tasks.bench import Bench
from tests.home import table
from tests.reliability.published import KYN, TRP, assert_accounted

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")


def test_metrics_results_and_panels_say_the_same(home):
    home.ingest("north", table(KYN, TRP))
    (metric,) = home.metric("kyn_trp").to_dicts()
    assert metric["value"] == pytest.approx(40)
    assert (metric["status"], metric["reason"], metric["label"]) == ("uncensored", None, "peripheral")
    panels = home.output("panels")
    assert panels["kyn_trp"].to_list() == [pytest.approx(40)]
    assert panels.columns == [c.name for c in outputs.datasets(Bench.of(home.settings).catalogue)["panels"]]
    assert home.values("kynurenine") == [2]
    assert_accounted(home)


def test_polars_pyarrow_and_duckdb_read_texts_and_what_is_said_of_each_column(home, tmp_path):
    home.ingest("north", table(KYN, TRP))
    home.ingest("north", table(KYN | {"value": "x"}))
    files = {name.split("/")[0]: content for name, (_, content) in home.files().items()}
    for dataset, columns in outputs.datasets(Bench.of(home.settings).catalogue).items():
        copy = tmp_path / f"{dataset}.parquet"
        copy.write_bytes(files[dataset])
        assert len(pl.read_parquet(copy))
        assert dict(pl.read_parquet_schema(copy)) == outputs.polars_schema(columns)
        fields = {field.name: field for field in pq.read_schema(copy)}
        described = {name: field.metadata[b"description"].decode() for name, field in fields.items()}
        assert described == {column.name: column.description for column in columns}
        kinds = dict(duckdb.sql(f"select column_name, column_type from (describe from '{copy}')").fetchall())
        for column in columns:
            if column.dtype == pl.String:
                assert pa.types.is_large_string(fields[column.name].type)
                assert kinds[column.name] == "VARCHAR"


def test_the_same_file_again_touches_no_published_file(home):
    home.ingest("north", table(KYN, TRP, KYN | {"sample": "S2", "value": "x"}))
    before = home.files()
    export = home.archive("north", table(KYN, TRP, KYN | {"sample": "S2", "value": "x"}), "renamed.csv")
    assert home.commit(export) == {}
    assert home.publish() == {}
    assert home.files() == before


def test_only_the_months_that_a_commit_touches_are_written(home):
    home.ingest("north", table(KYN, TRP))
    before = home.files()
    home.ingest("north", table(KYN | {"collected_at": "2024-05-01", "sample": "S2"}))
    home.ingest("south", table(KYN | {"collected_at": "2024-03-01", "sample": "S2", "reported_at": ""}))
    after = home.files()
    assert {name for name in before if before[name] != after[name]} == {
        name for name in before if name.startswith("exports/north/")
    }


def test_a_correction_replaces_the_value_and_its_metric(home):
    home.ingest("north", table(KYN, TRP))
    home.ingest(
        "north", table(KYN | {"value": "4", "status": "corrected", "reported_at": "2024-03-09 12:00"})
    )
    assert home.metric("kyn_trp")["value"].to_list() == [pytest.approx(80)]
    assert home.values("kynurenine") == [4]


def test_a_correction_that_moves_a_sample_leaves_it_in_one_month_only(home):
    home.ingest("north", table(KYN, TRP))
    moved = {"collected_at": "2024-05-02 08:00", "status": "corrected", "reported_at": "2024-05-09 12:00"}
    home.ingest("north", table(KYN | moved))
    assert home.metric("kyn_trp")["month"].to_list() == ["2024-05"]
    assert home.output("results")["month"].unique().to_list() == ["2024-05"]
    assert home.settings.store.item("outputs/metrics/north/2024-03.parquet")
    assert_accounted(home)


@pytest.mark.in_a_folder
def test_a_month_that_was_emptied_can_be_read_and_has_the_same_columns(home):
    home.ingest("north", table(KYN, TRP))
    home.ingest(
        "north",
        table(
            KYN | {"collected_at": "2024-05-02", "status": "corrected"},
            TRP | {"collected_at": "2024-05-02", "status": "corrected"},
        ),
    )
    for dataset, columns in outputs.datasets(Bench.of(home.settings).catalogue).items():
        if dataset in ("results", "metrics", "panels"):
            empty = pl.read_parquet(home.outputs / dataset / "north/2024-03.parquet")
            assert len(empty) == 0
            assert dict(empty.schema) == outputs.polars_schema(columns)
            whole = pl.read_parquet(f"{home.outputs}/{dataset}/**/*.parquet")
            assert set(whole["month"]) == {"2024-05"}


def test_a_quarantined_correction_takes_the_value_out_and_says_so(home):
    home.ingest("north", table(KYN, TRP))
    home.ingest(
        "north",
        table(KYN | {"value": "see letter", "status": "corrected", "reported_at": "2024-03-09 12:00"}),
    )
    assert home.values("kynurenine") == []
    (metric,) = home.metric("kyn_trp").to_dicts()
    assert (metric["value"], metric["reason"]) == (None, "superseded by a quarantined correction: kynurenine")
    assert home.reasons() == {"unreadable value": 1}


def test_a_withdrawal_without_value_and_unit_takes_the_value_out(home):
    home.ingest("north", table(KYN, TRP))
    home.ingest(
        "north",
        table(KYN | {"value": "", "unit": "", "status": "withdrawn", "reported_at": "2024-03-09 12:00"}),
    )
    assert home.metric("kyn_trp")["reason"].to_list() == ["withdrawn: kynurenine"]
    assert home.output("quarantine").is_empty()


def test_a_sample_of_which_nothing_stands_keeps_its_rows_and_their_reasons(home):
    home.ingest("north", table(KYN, KYN | {"value": "3"}))
    assert home.output("results").is_empty()
    assert home.metric("kyn_trp")["reason"].to_list() == [
        "conflicting results: kynurenine; missing component: tryptophan"
    ]


def test_controls_and_internal_standards_reach_no_output_but_the_counts(home):
    controls = [
        KYN | {"sample": "QC1", "role": "QC"},
        KYN | {"sample": "B", "role": "blank"},
        {"analyte": "d5-Kynurenine", "role": "internal standard"},
    ]
    home.ingest("north", table(KYN, TRP, *controls))
    assert home.output("results")["sample"].n_unique() == 1
    assert home.output("exports")["accepted"].to_list() == [5]
