import random
import shutil
from pathlib import Path

import polars as pl
import pytest

from schemas import outputs
from tasks.archive import Export
from tasks.bench import Bench
from tests.home import Home, often, same, table
from tests.reliability.forks import killed
from tests.reliability.test_failures import assert_readable

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")

ROOT = Path(__file__).parents[2]
SERUM = {"specimen": "serum", "unit": "umol/L"}
KYN, TRP = SERUM | {"analyte": "kynurenine", "value": "2"}, SERUM | {"analyte": "tryptophan", "value": "50"}


def assert_accounted(home: Home) -> None:
    """Rows = accepted + quarantined for every receipt, and the outputs hold just those quarantined rows."""
    receipts, refused = home.output("exports"), home.output("quarantine")
    assert (receipts["rows"] == receipts["accepted"] + receipts["quarantined"]).all()
    counted = refused.select("export", "row", "item").unique().group_by("export").len("found")
    both = receipts.join(counted, on="export", how="left").fill_null(0)
    assert both["quarantined"].to_list() == both["found"].to_list()
    for dataset in ("results", "metrics", "panels"):
        assert_sample_in_one_month(home, dataset)


def assert_sample_in_one_month(home: Home, dataset: str) -> None:
    months = (
        home.output(dataset).group_by("lab", "subject", "sample", "specimen").agg(pl.col("month").n_unique())
    )
    assert months["month"].to_list() == [1] * len(months)


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


# ---- in any order


def sent() -> list[bytes]:
    """Originals and corrections of one lab: moved samples, withdrawals, quarantined ones, a preliminary one."""

    def at(day: int, **row) -> dict:
        return {"reported_at": f"2024-06-{day:02} 12:00"} | row

    return [
        table(*(at(1, **row, sample=f"S{n}") for n in range(6) for row in (KYN, TRP))),
        table(at(2, **KYN | {"value": "3"}, sample="S0", status="corrected"), at(2, **KYN | {"value": "9"}, sample="S1", status="preliminary")),
        table(at(3, **KYN, sample="S1", status="corrected", collected_at="2024-05-01 09:00")),
        table(at(4, **KYN | {"value": "broken"}, sample="S2", status="corrected")),
        table(at(4, **KYN | {"value": ""}, sample="S3", status="withdrawn"), at(4, **TRP, sample="S9", collected_at="")),
        table(at(5, **KYN | {"value": "7"}, sample="S2", status="corrected"), at(5, **KYN | {"analyte": "unobtainium"}, sample="S5")),
        table(at(6, **TRP | {"value": "60"}, sample="S4", status="corrected", collected_at="2024-04-01 09:00")),
        table(at(7, **TRP | {"value": "70"}, sample="S4", status="corrected")),
    ]  # fmt: skip


def test_originals_and_corrections_in_any_order_give_identical_outputs(tmp_path):
    shuffler = random.Random(7)
    expected = None
    for number in range(often(20, 50)):
        home = Home(tmp_path / str(number))
        shutil.copytree(tmp_path / "0/secrets", home.folder / "secrets") if number else None
        contents = sent()
        if number:
            shuffler.shuffle(contents)
        while contents:
            # some arrive together, some alone; some runs do not come to publishing
            batch = [
                home.archive("north", contents.pop())
                for _ in range(min(len(contents), shuffler.randint(1, 5)))
            ]
            home.commit(*batch)
            if shuffler.random() < 0.2:
                home.publish()
        home.publish()
        found = home.comparable()
        if expected is None:
            expected = found
            assert_accounted(home)
            kyn_trp = home.metric("kyn_trp").filter(pl.col("status") == "uncensored")
            assert len(kyn_trp) == 5
        assert same(expected, found) == []
        shutil.rmtree(home.folder) if number else None


# ---- killed


def test_what_was_committed_and_not_published_is_published_by_the_next_run(home):
    home.ingest("north", table(KYN, TRP))
    home.commit(
        home.archive(
            "north", table(KYN | {"value": "4", "status": "corrected", "reported_at": "2024-03-09 12:00"})
        )
    )
    assert home.values("kynurenine") == [2]
    home.publish()
    assert home.values("kynurenine") == [4]
    assert home.publish() == {}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("dataset", ["results", "metrics", "panels", "quarantine", "exports"])
def test_a_published_file_that_is_lost_or_torn_is_made_again(home, dataset):
    home.ingest("north", table(KYN, TRP, KYN | {"sample": "S2", "value": "x"}))
    before = home.comparable()
    path = next((home.outputs / dataset / "north").glob("*.parquet"))
    path.unlink()
    assert home.publish()[dataset] == 1
    assert same(before, home.comparable()) == []


def take_in(folder: str) -> None:
    home = Home(Path(folder))
    for content in sent()[2:]:
        home.commit(home.archive("north", content))
        home.publish()


def test_killed_at_any_moment_the_next_run_heals(tmp_path):
    whole = Home(tmp_path / "whole")
    whole.ingest("north", *sent())
    expected = whole.comparable()
    before = Home(tmp_path / "before")  # something is published already, which a kill may tear
    shutil.copytree(whole.folder / "secrets", before.folder / "secrets")
    before.ingest("north", *sent()[:2])
    shuffler = random.Random(11)
    at_work = 0
    for number in range(count := often(3, 40)):
        home = Home(tmp_path / str(number))
        shutil.copytree(before.folder, home.folder, dirs_exist_ok=True)
        at_work += killed(shuffler.uniform(0.05, 1.2), take_in, str(home.folder))
        assert assert_readable(home) >= 6
        home.ingest("north", *sent())
        assert same(expected, home.comparable()) == []
        rows = home.ledger.open().all_rows("north").collect()
        assert not rows.select("export", "row", "item").is_duplicated().any()
        shutil.rmtree(home.folder)
    assert 2 * at_work >= count


# ---- what else outputs are built from


def test_another_metric_catalogue_rebuilds_without_another_edition(home):
    home.ingest("north", table(KYN, TRP))
    before = home.output("exports")
    metrics = (ROOT / "schemas/catalogue/metrics.csv").read_text("utf-8").splitlines()
    own = next(line for line in metrics if line.startswith("kyn_trp,")).replace("kyn_trp,", "own_trp_kyn,", 1)
    own = (
        own.replace("Kynurenine:tryptophan (KTR)", "Own inverse")
        .replace("1000*kynurenine/tryptophan", "tryptophan/kynurenine")
        .replace(",ratio,umol/mmol,", ",ratio,1,")
    )
    home.put("catalogue/metrics.csv", f"{metrics[0]}\n{own}\n")
    assert home.publish()["metrics"] == 1
    assert home.metric("own_trp_kyn")["value"].to_list() == [pytest.approx(25)]
    assert home.output("panels")["own_trp_kyn"].to_list() == [pytest.approx(25)]
    assert home.output("exports")["edition"].to_list() == before["edition"].to_list() == [1]
    assert home.publish() == {}


def test_another_key_or_study_codes_rebuild(home):
    home.ingest("north", table(KYN, TRP))
    made = home.output("results")["sample"].to_list()
    home.options["id_key"] = "another"
    assert home.publish()["results"] == 1
    other = home.output("results")["sample"].to_list()
    assert set(made).isdisjoint(other)
    home.put("labs.toml", '[north]\ntimezone = "Europe/Berlin"\nids_are_study_codes = true\n')
    assert home.publish()["results"] == 1
    assert home.output("results").select("subject", "sample").unique().rows() == [("P1", "S1")]


def test_pseudonyms_differ_by_lab_and_by_kind_and_never_show_the_id(home):
    row = KYN | {"subject": "0815", "sample": "0815", "collected_at": "2024-03-01", "reported_at": ""}
    home.ingest("north", table(row))
    home.ingest("south", table(row))
    ids = [name for pair in home.output("results").select("subject", "sample").rows() for name in pair]
    assert len(set(ids)) == 4
    assert all(len(name) == 32 and "0815" not in name for name in ids)
    for name, (_, content) in home.files().items():
        assert b"0815" not in content, name


def test_another_reading_takes_out_what_the_older_one_said_of_samples_in_other_months(home):
    home.ingest("north", table(KYN, TRP | {"method": "X9"}))
    moved = {"collected_at": "2024-05-02 08:00", "status": "corrected", "reported_at": "2024-05-09 12:00"}
    home.ingest("north", table(KYN | moved))
    assert home.metric("kyn_trp")["value"].to_list() == [pytest.approx(40)]
    # the first export, alone in having methods, is now read with other sample ids
    home.put(
        "layouts/own.toml",
        'name = "own"\nextends = "generic"\nlabs = ["north"]\n[detect]\nheaders = ["Method"]\n[columns]\nsample = ["Method"]\n',
    )
    editions = [
        home.commit(Export("north", export), force=True) for export in home.output("exports")["export"]
    ]
    assert sorted(list(edition.values()) for edition in editions) == [[], [2]]
    home.publish()
    by_month = home.metric("kyn_trp").sort("month").select("month", "reason").rows()
    assert by_month == [
        ("2024-03", "missing component: kynurenine"),
        ("2024-05", "missing component: tryptophan"),
    ]


def test_nothing_in_the_ledger_gives_outputs_without_rows(home):
    assert home.publish() == {"catalogue": 1}
    assert home.publish() == {}
