import math
from datetime import UTC, datetime

import polars as pl
import pytest

from schemas.result import RESULT_SCHEMA
from tasks.codes import decoded
from tests.unit.rows import standardised, text_rows


def one(layout: dict | None = None, **row) -> dict:
    return standardised(row, layout=layout).row(0, named=True)


def test_amounts_are_converted_to_the_canonical_unit_of_their_basis():
    assert one(value="150", unit="nmol/L")["low"] == pytest.approx(0.15)
    row = one(value="153.18", unit="ug/L")
    assert (row["unit"], row["basis"]) == ("umol/L", "per_volume")
    assert row["low"] == pytest.approx(1.0, rel=1e-4)
    row = one(value="<15.3", unit="ug/g Cr", rel_sd="5")
    assert (row["unit"], row["basis"], row["low"]) == ("umol/mmol{creat}", "per_creatinine", 0.0)
    assert row["high"] == pytest.approx(15.3 / 153.181 * 113.12 / 1000, rel=1e-3)
    assert row["rel_sd"] == 0.05


def test_rounding_and_reference_limits_are_in_the_unit_of_the_result():
    row = one(value="1.50", unit="mg/L", ref_low="1.0", ref_high="2.0")
    assert row["rounding"] / row["low"] == pytest.approx(0.005 / 1.5)
    assert row["ref_high"] / row["low"] == pytest.approx(2 / 1.5)
    assert row["ref_low"] / row["low"] == pytest.approx(1 / 1.5)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ("65-400", None, (65, 400)),
        ("65 – 400", None, (65, 400)),
        ("6.5 to 40.0", None, (6.5, 40)),
        ("6.5..40", None, (6.5, 40)),
        ("<7.2", None, (None, 7.2)),
        ("≤ 7.2", None, (None, 7.2)),
        (">7.2", None, (7.2, None)),
        ("65", "400", (65, 400)),
        (None, "400", (None, 400)),
        ("see comment", None, (None, None)),
        ("", "", (None, None)),
    ],
)
def test_reference_limits_from_one_column_or_two(low, high, expected):
    row = one(value="0.5", unit="umol/L", ref_low=low, ref_high=high)
    assert (row["ref_low"], row["ref_high"]) == expected


def test_the_text_as_sent_is_kept_to_the_letter():
    row = one(value=" <0,5 ", unit=" nmol/L", analyte="  DOPAMINE ", specimen="Urine ", status=" F ")
    assert (row["sent_value"], row["sent_unit"], row["sent_analyte"]) == (" <0,5 ", " nmol/L", "  DOPAMINE ")
    assert (row["sent_specimen"], row["sent_status"]) == ("Urine ", " F ")
    assert (row["analyte"], row["specimen"], row["status"]) == ("dopamine", "urine", "final")


def test_ids_stay_text_and_empty_ones_say_nothing():
    row = one(sample=" 007 ", subject="  ", visit="")
    assert (row["sample"], row["subject"], row["visit"]) == ("007", None, None)


def test_rows_come_back_in_their_order_with_every_column_of_a_result():
    frame = standardised(*({"value": str(n), "sample": f"S{n % 3}"} for n in range(50)))
    assert frame["row"].to_list() == list(range(1, 51))
    made_later = {"accepted", "reasons"}
    assert set(RESULT_SCHEMA) - made_later <= set(frame.columns)
    schema = decoded(frame).schema  # texts that repeat are coded
    wrong = {n for n, t in RESULT_SCHEMA.items() if n not in made_later and schema[n] != t}
    assert wrong == set()


def keys(*rows: dict, unique: str = "subject") -> list:
    return standardised(*rows, layout={"samples": {"unique": unique}})["sample_key"].to_list()


def test_a_sample_is_subject_sample_specimen_site_visit_and_timepoint():
    variants = [
        {},
        {"subject": "P2"},
        {"sample": "S2"},
        {"specimen": "plasma"},
        {"site": "V1"},
        {"visit": "1"},
        {"timepoint": "1"},
    ]
    found = keys(*variants)
    assert len(set(found)) == len(variants)
    assert keys({"analyte": "serotonin", "method": "LC-MS", "value": "1"}) == keys({})


def test_null_never_equals_a_text_and_texts_do_not_run_into_each_other():
    assert len(set(keys({"subject": "export:x"}, {"subject": None}, {"subject": "null"}))) == 3
    assert len(set(keys({"site": "1", "visit": None}, {"site": None, "visit": "1"}))) == 2
    assert keys({"sample": None}) == [None]
    assert keys({"specimen": "moon rock"}) == [None]


def test_sample_ids_that_are_unique_in_the_lab_need_no_subject():
    assert len(set(keys({"subject": "P1"}, {"subject": None}, {"subject": "P2"}, unique="lab"))) == 1
    assert len(set(keys({"run": "1"}, {"run": "2"}, {"run": "1", "subject": "P9"}, unique="run"))) == 2
    assert keys({"run": None}, unique="run") == [None]


def test_without_a_subject_the_export_stands_in():
    (key,) = keys({"subject": None})
    assert "e" * 64 in key


def test_an_absent_status_is_final_an_absent_role_is_sample_and_unknown_texts_are_neither():
    row = one(status=None, role=None)
    assert (row["status"], row["role"]) == ("final", "sample")
    row = one(status="dubious", role="dubious")
    assert (row["status"], row["role"]) == (None, None)


def test_roles_by_layout_go_before_what_the_export_says_and_the_first_rule_wins():
    rules = [
        {"column": "sample", "matches": "^qc", "role": "qc"},
        {"column": "sample", "matches": "blank|qc", "role": "blank"},
    ]
    layout = {"roles": rules}
    found = standardised(
        {"sample": "QC 1"}, {"sample": "a blank"}, {"sample": "S1"}, {"sample": None}, layout=layout
    )
    assert found["role"].to_list() == ["qc", "blank", "sample", "sample"]


def test_methods_are_ranked_as_the_layout_lists_them():
    layout = {"samples": {"methods": ["LC-MS", "ELISA"]}}
    found = standardised(
        {"method": "ELISA"}, {"method": "LC-MS"}, {"method": "RIA"}, {"method": None}, layout=layout
    )
    assert found["method_rank"].to_list() == [1, 0, None, None]
    assert standardised({"method": None}, layout=layout)["method_rank"].to_list() == [None]


@pytest.mark.parametrize(("rel_sd", "unit"), [("999", "percent"), ("9.99", "fraction"), ("1000", "percent")])
def test_what_could_not_be_fitted_is_not_known(rel_sd, unit):
    row = one({"values": {"rel_sd": unit}}, value="2.5", rel_sd=rel_sd)
    assert (row["low"], row["high"], row["censoring"]) == (0.0, math.inf, "not detected")
    assert one(value="2500", rel_sd="20")["low"] == pytest.approx(2.5)


def test_a_printed_ratio_is_read_as_the_metric():
    row = one(analyte="Kynurenine/Tryptophan", specimen="serum", value="26.4", unit="umol/mmol")
    assert (row["analyte"], row["is_ratio"], row["low"], row["basis"]) == ("kyn_trp", True, 26.4, "ratio")


def test_times_and_provenance_stand_in_every_row():
    row = one()
    assert row["collected_at"] == datetime(2024, 3, 1, 7, 30, tzinfo=UTC)
    assert row["month"] == "2024-03"
    assert (row["export"], row["reading_hash"], row["layout"]) == ("e" * 64, "hash", "test")


def test_the_second_batch_is_read_in_the_style_that_the_first_one_proved():
    from schemas.catalogue import load_catalogue
    from schemas.layout import Layout
    from tasks.meanings import Context
    from tasks.standardise import standardise

    context = Context("h", Layout(name="test"), load_catalogue(), "Europe/Berlin")
    standardise(text_rows({"value": "0,5"}), context)
    assert standardise(text_rows({"value": "1,234"}), context)["low"][0] == pytest.approx(1.234e-3)


@pytest.mark.parametrize(
    "column",
    [
        "subject",
        "sample",
        "specimen",
        "analyte",
        "value",
        "unit",
        "collected_at",
        "status",
        "role",
        "method",
        "dilution",
        "rel_sd",
        "ref_low",
        "code",
        "run",
        "reported_at",
    ],
)
def test_a_column_that_says_nothing_at_all_breaks_nothing(column):
    for nothing in (None, "", " "):
        frame = standardised(*[{column: nothing}] * 3, layout={"samples": {"methods": ["LC-MS"]}})
        assert len(frame) == 3


def test_a_batch_without_rows_gives_one_without_rows():
    empty = text_rows({}).clear()
    from schemas.catalogue import load_catalogue
    from schemas.layout import Layout
    from tasks.meanings import Context
    from tasks.standardise import standardise
    from tasks.validate import judge

    context = Context("h", Layout(name="test"), load_catalogue(), None)
    assert judge(standardise(empty, context)).select(list(RESULT_SCHEMA)).shape == (0, len(RESULT_SCHEMA))


def test_thousands_of_distinct_texts_are_each_looked_up_once():
    rows = [{"analyte": f"analyte {n}", "unit": f"unit {n}", "sample": str(n)} for n in range(3000)]
    frame = standardised(*rows)
    assert frame["analyte_problem"].unique().to_list() == ["unknown analyte"]
    assert frame["low"].null_count() + frame["low"].is_not_null().sum() == 3000
    assert isinstance(frame, pl.DataFrame)
