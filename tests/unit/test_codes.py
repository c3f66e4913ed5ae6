"""Codes say what the texts say: whatever stands in a column, and however it stands."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.codes import (
    by_text,
    coded,
    coded_frame,
    combinations,
    decoded,
    grouped,
    numbers_of,
    places,
    sorted_by,
    taken,
)

TEXTS = st.lists(
    st.one_of(st.none(), st.sampled_from(["", " a", "a", "b ", "ß", "Z", "10", "9"])), max_size=60
)
#: equal neighbours, as the rows of one sample are
RUNS = st.lists(st.tuples(st.sampled_from([None, "", "P1", "P2", "é"]), st.integers(1, 9)), max_size=20).map(
    lambda runs: [text for text, length in runs for _ in range(length)]
)
COLUMNS = st.one_of(TEXTS, RUNS).map(lambda texts: pl.Series("text", texts, pl.String))


@given(COLUMNS)
def test_codes_stand_for_the_texts_and_are_sorted_as_they_are(texts):
    codes = coded(texts)
    assert isinstance(codes.dtype, pl.Enum)
    assert codes.cast(pl.String).equals(texts, null_equal=True)
    assert codes.sort().cast(pl.String).equals(texts.sort(), null_equal=True)
    assert (codes.min(), codes.max()) == (texts.min(), texts.max())
    assert coded(codes) is codes


@given(COLUMNS)
def test_a_meaning_asked_of_each_text_once_is_that_of_each_row(texts):
    asked = []

    def meaning(some: pl.Series) -> pl.Series:
        asked.extend(some)
        return some.str.strip_chars().replace("", None)

    assert by_text(texts, meaning).cast(pl.String).equals(meaning(texts), null_equal=True)
    assert asked[: texts.drop_nulls().n_unique()] == sorted(set(texts.drop_nulls()))


@given(COLUMNS)
def test_where_there_is_no_text_the_meaning_is_what_is_said_of_none(texts):
    lengths = by_text(texts, lambda some: some.str.len_bytes().cast(pl.Int64), -1)
    assert lengths.to_list() == [-1 if text is None else len(text.encode()) for text in texts]


@given(st.lists(st.tuples(*[st.sampled_from([None, "", "a", "b"])] * 3), max_size=60))
def test_combinations_are_the_distinct_rows_and_each_row_is_one_of_them(rows):
    frame = pl.DataFrame(rows, schema=dict.fromkeys("xyz", pl.String), orient="row")
    codes = pl.DataFrame([coded(column) for column in frame])
    distinct, at = combinations(codes)
    assert len(distinct) == len(set(rows))
    assert taken(distinct, at).equals(frame, null_equal=True)


def test_combinations_of_more_texts_than_a_number_can_count():
    columns = [pl.Series(f"c{n}", [f"{n} {(row * (n + 1)) % 3000}" for row in range(6000)]) for n in range(7)]
    frame = pl.DataFrame([coded(column) for column in columns])
    distinct, at = combinations(frame)
    assert len(distinct) == pl.DataFrame(columns).n_unique()
    assert taken(distinct, at).equals(pl.DataFrame(columns))


def test_a_text_that_names_no_number_stands_for_none():
    texts = pl.Series(["LC-MS", "other", None])
    assert by_text(texts, lambda some: numbers_of({"LC-MS": 0, "ELISA": 1}, pl.Int32, some)).to_list() == [
        0,
        None,
        None,
    ]


@pytest.mark.parametrize("texts", [[], [None], [None, None]])
def test_a_column_that_says_nothing_has_no_codes(texts):
    codes = coded(pl.Series("text", texts, pl.String))
    assert codes.to_list() == texts
    assert decoded(codes.to_frame()).schema == {"text": pl.String}


ROWS = st.lists(
    st.tuples(st.sampled_from(["b", "a", "ß", None]), st.one_of(st.none(), st.integers(0, 5))), max_size=40
)


@given(ROWS)
def test_rows_are_sorted_by_codes_and_places_as_by_texts_and_numbers(rows):
    frame = pl.DataFrame(rows, schema={"text": pl.String, "place": pl.UInt32}, orient="row")
    ordered = sorted_by(coded_frame(frame, "text"), "text", "place")
    assert decoded(ordered).equals(frame.sort("text", "place", nulls_last=True), null_equal=True)


@given(ROWS)
def test_groups_hold_the_rows_that_say_the_same_in_the_order_of_the_texts(rows):
    frame = pl.DataFrame(rows, schema={"text": pl.String, "place": pl.UInt32}, orient="row").drop_nulls()
    found = {key: sorted(mine["place"]) for key, mine in grouped(coded_frame(frame, "text"), "text")}
    assert found == {
        (text,): sorted(place for other, place in frame.iter_rows() if other == text)
        for text in sorted(set(frame["text"]))
    }
    assert list(found) == sorted(found)


@given(COLUMNS, st.lists(st.sampled_from(["a", "b ", "P1", "é"]), unique=True))
def test_the_place_of_a_text_is_where_it_stands_among_the_keys(texts, keys):
    at = places(texts, pl.Series(keys, dtype=pl.String))
    assert at.to_list() == [keys.index(text) if text in keys else None for text in texts]
