import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.layout import Layout
from tasks.numbers import number_style, read_number, read_value

INF = math.inf


def read(*values: str | None, style: str | None = None, rules: dict | None = None, **columns) -> list[dict]:
    """Read values under a layout with `rules`; other columns are given as one list per column."""
    layout = Layout.model_validate({"name": "test", "values": rules or {}})
    size = len(values)
    frame = pl.DataFrame(
        {"value": values, "id": ["dopamine"] * size}
        | {name: columns.get(name, [None] * size) for name in ("dilution", "lloq", "uloq")},
        schema=dict.fromkeys(("value", "id", "dilution", "lloq", "uloq"), pl.String),
    )
    return read_value(frame, layout, style or number_style(frame["value"], layout)).to_dicts()


def interval(value: str | None, **kwargs) -> tuple:
    (row,) = read(value, **{k: [v] if k in ("dilution", "lloq", "uloq") else v for k, v in kwargs.items()})
    return row["low"], row["high"]


def problem(value: str | None, **kwargs) -> str | None:
    (row,) = read(value, **kwargs)
    return row["number_problem"]


@pytest.mark.parametrize(
    ("text", "low", "high", "censoring"),
    [
        ("12.3", 12.3, 12.3, "none"),
        (" 12.3 ", 12.3, 12.3, "none"),
        ("=12.3", 12.3, 12.3, "none"),
        ("<0.5", 0.0, 0.5, "below"),
        ("< 0.5", 0.0, 0.5, "below"),
        ("<\u00a00.5", 0.0, 0.5, "below"),
        ("<=0.5", 0.0, 0.5, "below"),
        ("=<0.5", 0.0, 0.5, "below"),
        ("≤0.5", 0.0, 0.5, "below"),
        ("⩽ 0.5", 0.0, 0.5, "below"),
        (">500", 500.0, INF, "above"),
        (">=500", 500.0, INF, "above"),
        ("=>500", 500.0, INF, "above"),
        ("≥ 500", 500.0, INF, "above"),
        ("1e3", 1000.0, 1000.0, "none"),
        ("1.5E-2", 0.015, 0.015, "none"),
        ("+4.2", 4.2, 4.2, "none"),
        (".5", 0.5, 0.5, "none"),
        ("0", 0.0, 0.0, "none"),
    ],
)
def test_a_value_with_its_comparator_is_an_interval(text, low, high, censoring):
    (row,) = read(text)
    assert (row["low"], row["high"], row["censoring"], row["number_problem"]) == (low, high, censoring, None)


@pytest.mark.parametrize("text", ["<LLOQ", "< LLOQ", "<  loq"])
def test_a_limit_by_name_may_stand_apart_from_its_sign(text):
    assert interval(text) == (0.0, INF)
    assert interval(text, lloq="0.5") == (0.0, 0.5)


@pytest.mark.parametrize(
    "text", ["<<5", "<>5", "><5", "<", ">", "5<", "~5", "ca. 5", "5-6", "5 / 6", "0x10", "1_000", "--5"]
)
def test_what_is_not_one_comparator_and_one_number_is_unreadable(text):
    (row,) = read(text)
    assert row["number_problem"] == "unreadable value"
    assert row["low"] is None
    assert row["high"] is None
    assert row["censoring"] is None


@pytest.mark.parametrize("text", ["NaN", "nan", "inf", "-inf", "Infinity", "<inf", ">NaN", "1e400", "-1e400"])
def test_texts_for_no_number_or_no_finite_number_are_unreadable(text):
    assert problem(text) == "unreadable value"


@pytest.mark.parametrize("text", ["nd", "ND", " n.d. ", "Not Detected", "none detected"])
def test_not_detected_is_never_zero(text):
    assert interval(text) == (0.0, INF)
    assert read(text)[0]["censoring"] == "not detected"


@pytest.mark.parametrize("limit", ["0", "-1", "0.0", "nan", "abc"])
def test_a_limit_that_is_not_above_zero_is_not_known(limit):
    assert interval("nd", lloq=limit) == (0.0, INF)
    assert interval("<LLOQ", lloq=limit) == (0.0, INF)
    assert interval(">ULOQ", uloq=limit) == (0.0, INF)


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("end", ["lloq", "uloq"])
def test_a_layout_with_a_limit_that_is_not_above_zero_is_refused(end, limit):
    with pytest.raises(ValidationError, match=f"values.{end}.dopamine"):
        interval("nd", rules={end: {"dopamine": limit}})


@pytest.mark.parametrize("token", ["<LLOQ", "<lloq", "BLQ", "blq", "<LOD", "BQL"])
def test_a_token_below_the_limit_takes_the_limit_from_row_or_layout(token):
    assert interval(token) == (0.0, INF)
    assert interval(token, lloq="0.5") == (0.0, 0.5)
    assert interval(token, rules={"lloq": {"dopamine": 2.0}}) == (0.0, 2.0)
    assert interval(token, rules={"lloq": {"serotonin": 2.0}}) == (0.0, INF)
    assert interval(token, lloq="0.5", rules={"lloq": {"dopamine": 2.0}}) == (0.0, 0.5)
    assert read(token)[0]["censoring"] == "below"


@pytest.mark.parametrize("token", [">ULOQ", "alq", "AQL"])
def test_a_token_above_the_limit_takes_the_limit_from_row_or_layout(token):
    assert interval(token) == (0.0, INF)
    assert interval(token, uloq="500") == (500.0, INF)
    assert interval(token, rules={"uloq": {"dopamine": 400}}) == (400.0, INF)
    assert read(token)[0]["censoring"] == "above"


def test_limits_of_the_layout_are_scaled_by_the_dilution():
    rules = {"lloq": {"dopamine": 2.0}, "uloq": {"dopamine": 400}}
    assert interval("BLQ", dilution="10", rules=rules) == (0.0, 20.0)
    assert interval("nd", dilution="10", rules=rules) == (0.0, 20.0)
    assert interval(">ULOQ", dilution="10", rules=rules) == (4000.0, INF)
    assert interval("BLQ", dilution=" ", rules=rules) == (0.0, 2.0)
    # limits that the row states are those of the diluted sample already
    assert interval("BLQ", dilution="10", lloq="3", rules=rules) == (0.0, 3.0)


@pytest.mark.parametrize("dilution", ["1:10", "x10", "?", "0", "-2"])
def test_a_limit_whose_dilution_cannot_be_read_is_not_known(dilution):
    assert interval("BLQ", dilution=dilution, rules={"lloq": {"dopamine": 2.0}}) == (0.0, INF)
    assert interval(">ULOQ", dilution=dilution, rules={"uloq": {"dopamine": 400}}) == (0.0, INF)


def test_zero_is_not_detected_only_where_the_layout_says_so():
    assert interval("0") == (0.0, 0.0)
    assert interval("0.00", rules={"zero_is_not_detected": True}) == (0.0, INF)
    assert interval("0", rules={"zero_is_not_detected": True, "lloq": {"dopamine": 2}}) == (0.0, 2.0)
    assert interval("0.1", rules={"zero_is_not_detected": True}) == (0.1, 0.1)


@pytest.mark.parametrize("text", [None, "", "  ", "NA", "n/a", "null", "-", "."])
def test_a_missing_value_is_said_to_be_missing(text):
    assert problem(text) == "no value"


@pytest.mark.parametrize(
    ("text", "rounding"),
    [("12", 0.5), ("12.", 0.5), ("12.3", 0.05), ("12.30", 0.005), (".5", 0.05), ("<0.50", 0.005), (">500", 0.5),
     ("1e3", None), ("nd", None)],
)  # fmt: skip
def test_rounding_is_half_a_unit_in_the_last_place(text, rounding):
    found = read(text)[0]["rounding"]
    assert found == (None if rounding is None else pytest.approx(rounding))


def test_rounding_counts_decimals_behind_a_comma_and_no_thousands():
    assert read("1,234.50")[0]["rounding"] == pytest.approx(0.005)
    assert read("1.234,5")[0]["rounding"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("values", "style"),
    [
        (["1,234", "12"], "unproven"),
        (["1,234.5"], "point"),
        (["1.234,5"], "comma"),
        (["12,5", "1,234"], "comma"),
        (["12.5", "1,234"], "point"),
        (["12.5", "12,5"], "mixed"),
        (["0,125"], "comma"),
        (["<0,5"], "comma"),
        (["1234.567"], "point"),
        (["1.234.567,8"], "comma"),
        ([None, ""], "unproven"),
    ],
)
def test_the_decimal_mark_is_what_the_values_prove(values, style):
    assert number_style(pl.Series(values, dtype=pl.String), Layout(name="test")) == style


def test_both_marks_in_one_number_leave_no_doubt():
    assert interval("1,234.5") == (1234.5, 1234.5)
    assert interval("1.234,5") == (1234.5, 1234.5)
    assert interval("<1.234,5") == (0.0, 1234.5)


def test_one_comma_before_three_digits_is_ambiguous_without_evidence():
    assert problem("1,234") == "ambiguous number"
    assert [r["low"] for r in read("1,234", "0.5")] == [1234.0, 0.5]
    assert [r["low"] for r in read("1,234", "0,5")] == [1.234, 0.5]
    assert [r["low"] for r in read("1.234", "0,5")] == [1234.0, 0.5]
    mixed = read("1,234", "1.234", "0,5", "0.5")
    assert [r["number_problem"] for r in mixed] == ["ambiguous number", "ambiguous number", None, None]


def test_the_layout_decides_the_decimal_mark():
    assert interval("1,234", rules={"decimal": ","}) == (1.234, 1.234)
    assert problem("1,234", rules={"decimal": "."}) == "ambiguous number"
    assert problem("1.234", rules={"decimal": ","}) == "ambiguous number"
    assert problem("1.234,5", rules={"decimal": ","}) == "unreadable value"


@pytest.mark.parametrize(
    ("text", "rules", "number"),
    [
        ("1,234", {"decimal": ".", "thousands": ","}, 1234.0),
        ("1,234,567.5", {"decimal": ".", "thousands": ","}, 1234567.5),
        ("1.234", {"decimal": ",", "thousands": "."}, 1234.0),
        ("1.234,5", {"decimal": ",", "thousands": "."}, 1234.5),
        ("1 234,5", {"decimal": ",", "thousands": " "}, 1234.5),
        ("1\u00a0234,5", {"decimal": ",", "thousands": " "}, 1234.5),
        ("1\u202f234.5", {"decimal": ".", "thousands": " "}, 1234.5),
        ("1'234.5", {"decimal": ".", "thousands": "'"}, 1234.5),
        ("1’234.5", {"decimal": ".", "thousands": "'"}, 1234.5),
        ("1,234", {"thousands": ","}, 1234.0),
        ("1.234", {"thousands": "."}, 1234.0),
        ("1 234,5", {"thousands": " "}, 1234.5),
        ("<1,234", {"thousands": ","}, 1234.0),
    ],
)
def test_thousands_marks_by_layout(text, rules, number):
    assert interval(text, rules=rules)[1] == number


@pytest.mark.parametrize("text", ["12,34", "1,2345", "1,23,456", "0,123", ",123"])
def test_a_thousands_mark_stands_before_groups_of_three_only(text):
    assert problem(text, rules={"decimal": ".", "thousands": ","}) is not None


def test_a_negative_number_stays_negative_so_that_the_rules_can_refuse_it():
    assert interval("-3") == (-3.0, -3.0)
    assert interval("<-3")[0] == -3.0
    assert interval(">-3")[0] == -3.0


def test_plain_number_columns_are_read_in_the_style_of_the_values():
    assert read_number(pl.Series(["1,5", None, "x"]), "comma").to_list() == [1.5, None, None]
    assert read_number(pl.Series([None, None], dtype=pl.String), "comma").to_list() == [None, None]
    assert read_number(pl.Series(["1,000"]), "fixed-point", ",").to_list() == [1000.0]


NUMBERS = st.decimals(min_value=0, max_value=10**9, places=3, allow_nan=False)


@given(
    st.lists(NUMBERS, min_size=1, max_size=20),
    st.sampled_from([".", ","]),
    st.sampled_from(["", "<", ">", "≤"]),
)
def test_what_a_layout_writes_it_reads(numbers, mark, comparator):
    texts = [comparator + f"{number:.3f}".replace(".", mark) for number in numbers]
    for number, row in zip(numbers, read(*texts, rules={"decimal": mark}), strict=True):
        assert row["high" if comparator in ("", "<", "≤") else "low"] == pytest.approx(
            float(number), rel=1e-15
        )


@given(
    st.lists(
        st.text(max_size=12) | st.from_regex(r"[<>=≤≥]{0,2} ?[-+]?[0-9]{0,4}[.,]?[0-9]{0,4}", fullmatch=True),
        min_size=1,
        max_size=20,
    )
)
def test_any_text_is_an_interval_or_a_problem_never_both_and_never_nan(texts):
    for row in read(*texts):
        if row["number_problem"] is None:
            assert row["low"] <= row["high"]
            assert row["censoring"] in ("none", "below", "above", "not detected")
            assert (row["low"] == row["high"]) or row["censoring"] != "none"
            assert not math.isinf(row["low"])
        else:
            assert row["low"] is row["high"] is row["censoring"] is row["rounding"] is None
