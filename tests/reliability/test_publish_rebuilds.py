"""What else outputs are built from: catalogues, keys, settings of labs and other readings rebuild them."""

from pathlib import Path

import pytest

from tasks.archive import Export
from tests.home import table
from tests.reliability.published import KYN, TRP

#: the tests run on both kinds of home
HOMES = ("folder", "bucket")
ROOT = Path(__file__).parents[2]


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
