"""Values that are digits and a point are read at once: as they would be by the long way."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from schemas.layout import Layout
from tasks import numbers
from tasks.numbers import number_style, read_value

#: texts that are plain numbers, that look like some, and that are none
WRITTEN = st.one_of(
    st.from_regex(r"\A[+-]?[0-9]{1,6}(?:\.[0-9]{1,5})?\Z"),
    st.from_regex(r"\A[<>]?[0-9]{1,3}(?:[.,][0-9]{3}){0,2}(?:[.,][0-9]{1,3})?\Z"),
    st.sampled_from(["0", "0.0", "00.10", "nd", "< 0,5", "1e3", "9" * 400, "٣", "1.", ".5", " 7", "7\x0b", "-1", "999", "", None]),
)  # fmt: skip
RULES_OF_VALUES = st.sampled_from(
    [{}, {"zero_is_not_detected": True}, {"missing": ["999", "0"]}, {"decimal": ","}, {"decimal": "."},
     {"thousands": "."}, {"thousands": ","}, {"thousands": " "}, {"not_detected": ["0.0", "nd"]}]
)  # fmt: skip


@given(st.lists(WRITTEN, max_size=20), RULES_OF_VALUES)
def test_a_plain_number_is_read_as_it_would_be_if_it_were_thought_about(texts, rules):
    layout = Layout.model_validate({"name": "test", "values": rules})
    columns = {"value": texts, "id": ["dopamine"] * len(texts)}
    columns |= {name: [None] * len(texts) for name in ("dilution", "lloq", "uloq")}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    style = number_style(frame["value"], layout)
    slowly = numbers._thought_about(frame, layout, style)
    assert read_value(frame, layout, style).select(slowly.columns).equals(slowly, null_equal=True)
