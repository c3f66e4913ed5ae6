import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from schemas.result import RESULT_SCHEMA
from tasks.validate import LONGEST_TEXT, RULES, judge, model
from tests.unit.rows import standardised

LAYOUT = {"samples": {"unique": "subject"}}
BY_RUN = {"samples": {"unique": "run"}}

#: rule -> a row that triggers it; where other rules must hold as well, they are listed
TRIGGERS: dict[str, tuple[dict, ...]] = {
    "wrong number of fields": ({"defect": "wrong number of fields", "analyte": None},),
    "unreadable record": ({"defect": "quote never closed", "value": None},),
    "unknown analyte": ({"analyte": "unobtainium"}, {"analyte": None, "code": None}),
    "ambiguous analyte": ({"analyte": "Glu", "specimen": "serum"},),
    "name and code disagree": ({"analyte": "Norepinephrine", "code": "15058-1"},),
    "not defined in this specimen": ({"analyte": "kyn/trp", "unit": "umol/mmol", "specimen": "urine"},),
    "no value": ({"value": ""}, {"value": None}, {"value": "NA"}),
    "unreadable value": ({"value": "NaN"}, {"value": "inf"}, {"value": "see comment"}, {"value": "<<3"}),
    "ambiguous number": ({"value": "1,234"},),
    "impossible value": ({"value": "-3"}, {"value": "<0"}, {"value": "<-1"}, {"value": ">-1"}, {"value": "1e20"},
                         {"value": "1e305", "unit": "g/L"}, {"value": "1e300", "unit": "ug/g{creat}"}),
    "no unit": ({"unit": ""}, {"unit": None}),
    "unknown unit": ({"unit": "furlongs"},),
    "unit without its basis": ({"unit": "ug/g"},),
    "unit cannot be converted": ({"unit": "mL"},),
    "unit does not fit the specimen": ({"unit": "ug/g{creat}", "specimen": "serum"},),
    "unknown specimen": ({"specimen": "moon rock"},),
    "no specimen": ({"specimen": None},),
    "specimen and code disagree": ({"analyte": "serum copper", "unit": "umol/L", "specimen": "urine"},),
    "no sample id": ({"sample": None}, {"sample": "  "}),
    "no run": ({"run": None},),
    "no collection time": ({"collected_at": None}, {"collected_at": " "}),
    "unreadable time": ({"collected_at": "yesterday"}, {"collected_at": "2024-02-30"}),
    "no time zone": ({"collected_at": "2024-03-01 08:30", "reported_at": None},),
    "clock time does not exist or is twice": ({"collected_at": "2024-03-31 02:30"}, {"reported_at": "2023-10-29 02:30"}),
    "unreadable report time": ({"reported_at": "soon"},),
    "collected in the future": ({"collected_at": "2024-07-01"}, {"collected_at": "9999-12-31"}),
    "reported in the future": ({"reported_at": "2024-07-01"}, {"reported_at": "9999-12-31 23:59"}),
    "unknown status": ({"status": "dubious"},),
    "unknown role": ({"role": "dubious"},),
    "control character": ({"sample": "S\x00"}, {"subject": "P\x1f"}, {"value": "1\x00"}, {"sample": "S\x7f"}),
    "text too long": ({"sample": "x" * (LONGEST_TEXT + 1)}, {"analyte": "dopamine", "subject": "é" * LONGEST_TEXT}),
}  # fmt: skip

#: what a trigger cannot do without: a value with a NUL in it is no number either
ALSO = {("control character", "value"): {"unreadable value"}}


def reasons_of(rule: str, row: dict) -> set[str]:
    layout = BY_RUN if rule == "no run" else LAYOUT
    zone = None if rule == "no time zone" else "Europe/Berlin"
    return set(judge(standardised(row, layout=layout, zone=zone))["reasons"][0].to_list())


def test_every_rule_has_a_row_that_triggers_it():
    assert set(TRIGGERS) == set(RULES)


@pytest.mark.parametrize(
    ("rule", "row"), [(rule, row) for rule, rows in TRIGGERS.items() for row in rows], ids=str
)
def test_a_rule_refuses_the_rows_it_is_meant_for_and_no_other_rule_does(rule, row):
    also = set().union(*(names for (r, column), names in ALSO.items() if r == rule and column in row))
    assert reasons_of(rule, row) == {rule} | also


def test_a_plain_row_is_accepted():
    judged = judge(standardised({}, {"value": "<3"}, {"value": "nd"}, {"value": ">5"}, {"value": "0"}))
    assert judged["accepted"].all()
    assert judged["reasons"].list.len().sum() == 0


def test_every_rule_says_how_to_mend_it():
    assert all(len(rule.mend) > 15 for rule in RULES.values())


def test_a_row_has_all_its_reasons_in_the_order_of_the_table():
    bad = {
        "analyte": "unobtainium",
        "value": "x",
        "specimen": None,
        "sample": None,
        "collected_at": None,
        "status": "?",
    }
    (reasons,) = judge(standardised(bad))["reasons"].to_list()
    assert reasons == [
        "unknown analyte",
        "unreadable value",
        "no specimen",
        "no sample id",
        "no collection time",
        "unknown status",
    ]


def test_what_is_wrong_with_the_record_is_the_only_reason():
    bad = {
        "defect": "wrong number of fields",
        "analyte": None,
        "value": None,
        "unit": None,
        "sample": None,
        "collected_at": None,
    }
    assert judge(standardised(bad))["reasons"].to_list() == [["wrong number of fields"]]


def test_a_withdrawal_needs_neither_value_nor_unit_but_all_that_names_the_result():
    assert judge(standardised({"status": "withdrawn", "value": None, "unit": None}))["accepted"].all()
    judged = judge(
        standardised({"status": "withdrawn", "value": None, "unit": None, "sample": None, "analyte": "x"})
    )
    assert judged["reasons"].to_list() == [["unknown analyte", "no sample id"]]


def test_controls_need_no_sample_specimen_or_time_and_internal_standards_no_analyte():
    bare = {"sample": None, "specimen": None, "collected_at": None}
    assert judge(standardised(*(bare | {"role": role} for role in ("qc", "blank", "calibrator"))))[
        "accepted"
    ].all()
    assert judge(
        standardised(bare | {"role": "internal standard", "analyte": "d4-dopamine", "value": "1,234"})
    )["accepted"].all()


# ---- the split is that of Pandera

TEXTS = {
    "analyte": ["dopamine", "Glu", "unobtainium", None, "kyn/trp", "creatinine"],
    "code": [None, "15058-1", "xyz"],
    "value": ["150", "<3", "-3", "nd", "NaN", "", None, "1,234", "1e20", "<0", "12,5", "5\x00"],
    "unit": ["nmol/L", "ug/g Cr", "ug/g", "furlongs", None, "mL", "1"],
    "specimen": ["urine", "serum", "moon rock", None],
    "subject": ["P1", None, "P\x1f"],
    "sample": ["S1", None, " "],
    "run": ["R1", None],
    "collected_at": ["2024-03-01 08:30", "2024-03-31 02:30", "2024-03-01", "soon", None, "2031-01-01"],
    "reported_at": ["2024-03-03", "soon", None, "2024-03-03 10:00", "2024-03-31 02:30"],
    "status": ["final", "withdrawn", "?", None, "preliminary"],
    "role": ["sample", "QC", "?", None, "internal standard"],
    "defect": [None, None, None, "wrong number of fields", "quote never closed"],
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(texts) for name, texts in TEXTS.items()}),
    min_size=1,
    max_size=25,
)


def rows_that_pandera_refuses(frame: pl.DataFrame) -> dict[str, set[int]]:
    """Rule -> row indices, from the output of each of the model's checks."""
    try:
        model().validate(frame, lazy=True)
    except SchemaErrors as errors:
        refused = errors.schema_errors
    else:
        refused = []
    return {
        error.check.name: set(
            error.check_output.select(~pl.col("check_output")).to_series().arg_true().to_list()
        )
        for error in refused
    }


@given(
    rows=ROWS,
    unique=st.sampled_from(["subject", "run", "lab"]),
    zone=st.sampled_from([None, "Europe/Berlin"]),
)
def test_the_split_equals_panderas_lazy_validation_rule_by_rule(rows, unique, zone):
    frame = standardised(*rows, layout={"samples": {"unique": unique}}, zone=zone)
    judged = judge(frame)
    ours = {
        rule: {at for at, reasons in enumerate(judged["reasons"].to_list()) if rule in reasons}
        for rule in RULES
    }
    assert {rule: found for rule, found in ours.items() if found} == rows_that_pandera_refuses(frame)
    assert judged["accepted"].to_list() == [
        not any(at in found for found in ours.values()) for at in range(len(rows))
    ]
    assert judged.drop("accepted", "reasons").equals(frame)


@given(rows=ROWS)
def test_what_is_accepted_can_be_used_and_passes_the_model(rows):
    accepted = judge(standardised(*rows)).filter("accepted")
    assert model().validate(accepted, lazy=True).equals(accepted)
    values = accepted.filter((pl.col("role") == "sample") & (pl.col("status") != "withdrawn"))
    needed = [
        "analyte",
        "low",
        "high",
        "unit",
        "basis",
        "censoring",
        "specimen",
        "sample",
        "sample_key",
        "month",
        "status",
    ]
    assert values.select(pl.all_horizontal(pl.col(needed).is_not_null()).all()).item()
    assert (values["low"] >= 0).all()
    assert (values["low"] <= values["high"]).all()
    assert values["low"].is_finite().all()


def test_the_split_needs_no_order_and_keeps_every_row():
    rows = [row for rows in TRIGGERS.values() for row in rows]
    judged = judge(standardised(*rows))
    assert len(judged) == len(rows) == int(judged["accepted"].sum()) + int((~judged["accepted"]).sum())
    assert judged.select(list(RESULT_SCHEMA)).height == len(rows)
