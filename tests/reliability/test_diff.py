"""What changed and why: every cause, alone and together, and nothing that did not change."""

from datetime import UTC, datetime

import polars as pl
import pytest

from schemas.catalogue import load_catalogue
from tasks import catalogues
from tasks.bench import Bench
from tasks.changes import CHANGE_SCHEMA, UnknownTime, changes, time_of
from tasks.erase import erase, search_of
from tasks.handout import save
from tasks.takeback import withdraw
from tasks.upkeep import maintain
from tests.home import Home, table

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")

PAIR = ({"analyte": "kynurenine", "value": "2", "unit": "umol/L"}, {"analyte": "tryptophan", "value": "50", "unit": "umol/L"})  # fmt: skip
OWN_METRIC = "id,name,formula,specimens\nown_ratio,Own ratio,{},plasma\n"


def plasma(**said: str) -> bytes:
    return table(*(row | {"specimen": "plasma"} | said for row in PAIR))


def mark() -> datetime:
    return datetime.now(UTC)


def since(home: Home, time: datetime, **only) -> pl.DataFrame:
    return changes(home.settings, Bench.of(home.settings).catalogue, time, **only).frame


def causes(found: pl.DataFrame, metric: str = "kyn_trp") -> list[str]:
    return found.filter(metric=metric)["causes"].to_list()


def test_nothing_changed_is_said_so_even_after_upkeep(home):
    home.ingest("north", plasma())
    time = mark()
    maintain(home.settings)
    found = since(home, time)
    assert found.is_empty()
    assert found.schema == CHANGE_SCHEMA


def test_a_new_export_a_correction_and_a_withdrawal_are_told_apart(home):
    start = mark()
    (first,) = home.ingest("north", plasma())
    new = since(home, start).filter(metric="kyn_trp").to_dicts()[0]
    assert (new["causes"], new["status_before"], new["status_after"]) == ("new export", None, "uncensored")
    assert (new["value_before"], new["exports"]) == (None, first.sha256[:12])
    published = home.metric("kyn_trp").to_dicts()[0]
    assert (new["sample"], new["sample_key"]) == (published["sample"], published["sample_key"])

    time = mark()
    corrected = table(PAIR[0] | {"specimen": "plasma", "value": "4", "status": "corrected", "reported_at": "2024-03-09 10:00"})  # fmt: skip
    (correction,) = home.ingest("north", corrected)
    (told,) = since(home, time).filter(metric="kyn_trp").to_dicts()
    assert told["causes"] == "correction"
    assert told["value_after"] == pytest.approx(2 * told["value_before"])

    time = mark()
    withdraw(home.settings, correction, "wrong tube")
    home.publish()
    (told,) = since(home, time).filter(metric="kyn_trp").to_dicts()
    assert told["causes"] == "withdrawal"
    assert told["value_before"] == pytest.approx(2 * told["value_after"])
    assert since(home, start).filter(metric="kyn_trp")["causes"].to_list() == ["new export"]


def test_a_synonym_of_a_layout_is_a_cause_and_several_causes_are_all_named(home):
    content = table(*(row | {"specimen": "plasma"} for row in (PAIR[0] | {"analyte": "geheim"}, PAIR[1])))
    (export,) = home.ingest("north", content)
    time = mark()
    home.put("layouts/own.toml", 'name = "own"\nextends = "generic"\nlabs = ["north"]\n[analytes]\ngeheim = "kynurenine"\n')  # fmt: skip
    assert home.commit(export) == {export: 2}
    home.publish()
    (told,) = since(home, time).filter(metric="kyn_trp").to_dicts()
    assert (told["status_before"], told["status_after"]) == ("absent", "uncensored")
    assert told["causes"] == "unit or synonym"
    home.ingest("north", table(PAIR[1] | {"specimen": "plasma", "value": "25", "status": "corrected", "reported_at": "2024-03-09 10:00"}))  # fmt: skip
    assert causes(since(home, time)) == ["correction; unit or synonym"]


def test_a_changed_formula_is_a_metric_definition_for_every_sample_and_for_no_other_metric(home):
    home.put("catalogue/metrics.csv", OWN_METRIC.format("kynurenine/tryptophan"))
    home.ingest("north", plasma(), plasma(sample="S2"))
    time = mark()
    home.put("catalogue/metrics.csv", OWN_METRIC.format("tryptophan/kynurenine"))
    home.publish()
    found = since(home, time)
    assert found["metric"].to_list() == ["own_ratio", "own_ratio"]
    assert set(found["causes"]) == {"metric definition"}
    one = found.filter(pl.col("value_before") < 1).to_dicts()[0]
    assert one["value_after"] == pytest.approx(1 / one["value_before"])
    assert since(home, mark()).is_empty()


def test_lab_and_metric_narrow_it_down(home):
    start = mark()
    for lab in ("north", "south"):
        home.ingest(lab, plasma(collected_at="2024-03-01", reported_at=""))
    assert set(since(home, start)["lab"]) == {"north", "south"}
    found = since(home, start, lab="south", metric="kyn_trp")
    assert found.select("lab", "metric").rows() == [("south", "kyn_trp")]


def test_of_a_series_the_newer_export_is_the_cause_for_samples_it_leaves_out(home):
    home.put("layouts/whole.toml", 'name = "whole"\nextends = "generic"\nlabs = ["north"]\nsnapshot = true\n')
    home.ingest("north", plasma())
    time = mark()
    (newer,) = home.ingest("north", plasma(sample="S2"))
    found = since(home, time).filter(metric="kyn_trp")
    assert found["causes"].to_list() == ["new export", "new export"]
    assert set(found["exports"]) == {newer.sha256[:12]}


def test_of_an_erased_subject_there_is_no_value_before_either(home):
    home.ingest("north", plasma(), plasma(sample="S2", subject="Other-1"))
    time = mark()
    erase(home.settings, search_of(home.settings, "north", "Other-1"))
    home.publish()
    assert since(home, time).is_empty()


def test_a_version_is_the_time_of_its_commit(home):
    home.ingest("north", plasma())
    version = home.ledger.open().version
    home.ingest("north", plasma(sample="S2"))
    time = time_of(home.settings, str(version))
    assert len(since(home, time).filter(metric="kyn_trp")) == 1
    for wrong in ("999", "yesterday"):
        with pytest.raises(UnknownTime):
            time_of(home.settings, wrong)
    assert time_of(home.settings, "2024-03-01T08:30+02:00") == datetime(2024, 3, 1, 6, 30, tzinfo=UTC)


def test_a_catalogue_is_kept_once_and_can_be_built_again(home):
    home.ingest("north", plasma())
    home.publish()
    catalogue = Bench.of(home.settings).catalogue
    assert not catalogues.keep(home.settings, catalogue)
    assert len(list(home.settings.store.items("catalogues"))) == 1
    kept = catalogues.at(home.settings, mark())
    assert kept is not None
    assert (kept.metric_hash, kept.reading_hash) == (catalogue.metric_hash, load_catalogue().reading_hash)
    assert catalogues.at(home.settings, datetime(2020, 1, 1, tzinfo=UTC)) is None


def test_a_csv_holds_no_text_that_a_spreadsheet_would_run(tmp_path):
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "plain", "a=b", None]
    frame = pl.DataFrame({"lab": texts, "value": [-1.5] * len(texts)})
    save(frame, tmp_path / "x.csv")
    read = pl.read_csv(tmp_path / "x.csv")
    assert read["lab"].to_list()[:6] == [f"'{text}" for text in texts[:6]]
    assert read["lab"].to_list()[6:] == texts[6:]
    assert set(read["value"]) == {-1.5}
    save(frame, tmp_path / "x.parquet")
    assert pl.read_parquet(tmp_path / "x.parquet").equals(frame)
