"""Which result of an analyte stands in a sample: the latest one, or none where results conflict."""

import math
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.codes import decoded
from tasks.current import CONFLICT, SUBJECTS, WITHDRAWN, current
from tests.unit.rows import day, ledger_rows
from tests.unit.standing import arrived, problem, reported, stands, value

INF = math.inf


def test_preliminary_never_beats_final_however_late_it_is():
    late = {"value": 2, "status": "preliminary"} | reported(9) | arrived(9, "b")
    for status in ("final", "corrected"):
        assert value({"value": 1, "status": status} | reported(1), late) == 1
    assert value({"value": 1, "status": "preliminary"} | reported(1), late) == 2


def test_the_later_report_counts_whatever_arrived_last():
    assert (
        value({"value": 1} | reported(5) | arrived(1, "a"), {"value": 2} | reported(2) | arrived(9, "b")) == 1
    )
    assert value({"value": 1, "status": "corrected"} | reported(2), {"value": 2} | reported(5)) == 2


def test_of_one_report_time_the_correction_counts():
    assert value({"value": 1, "status": "corrected"} | arrived(1, "a"), {"value": 2} | arrived(9, "b")) == 1


def test_arrival_decides_last_and_only_between_exports():
    assert value({"value": 1} | arrived(1, "a"), {"value": 2} | arrived(2, "b")) == 2
    assert problem({"value": 1}, {"value": 2}) == CONFLICT


def test_a_correction_that_does_not_say_when_counts_as_reported_on_arrival():
    original = {"value": 1} | reported(5) | arrived(6, "a")
    assert value(original, {"value": 2, "status": "corrected"} | arrived(8, "b")) == 2
    assert problem(original, {"status": "withdrawn"} | arrived(8, "b")) == WITHDRAWN
    # a later report still stands over it
    assert (
        value(
            {"value": 1} | reported(9) | arrived(9, "a"),
            {"value": 2, "status": "corrected"} | arrived(8, "b"),
        )
        == 1
    )


def test_ties_with_different_values_conflict_and_those_with_equal_ones_do_not():
    assert problem({"value": 1}, {"value": 1}, {"value": 2}) == CONFLICT
    assert value({"value": 1}, {"value": 1}) == 1
    assert value({"value": 0.3}, {"value": 0.1 + 0.2}) == pytest.approx(0.3)
    assert problem({"low": 0, "high": 5, "censoring": "below"}, {"value": 3}) == CONFLICT
    assert problem({"low": 5, "high": INF}, {"low": 5, "high": 7}) == CONFLICT
    assert stands({"low": 5, "high": INF}, {"low": 5, "high": INF}) == {("s", "dopamine"): (5, INF)}


def test_a_conflict_of_one_analyte_leaves_the_others():
    found = stands({"value": 1}, {"value": 2}, {"value": 3, "analyte": "serotonin"})
    assert found == {("s", "serotonin"): (3, 3)}


def test_units_of_different_bases_stand_side_by_side():
    now = current(
        ledger_rows({"value": 1}, {"value": 2, "unit": "umol/mmol{creat}", "basis": "per_creatinine"})
    )
    assert sorted(now.results["low"].to_list()) == [1, 2]
    assert now.problems.is_empty()


# ---- samples


def test_subjects_that_disagree_leave_no_result_and_no_subject():
    rows = {"value": 1, "subject": "P1"}, {"value": 2, "subject": "P2", "analyte": "serotonin"}
    now = current(ledger_rows(*rows))
    assert now.results.is_empty()
    assert set(now.problems["problem"]) == {SUBJECTS}
    assert now.samples["subject"].to_list() == [None]
    assert stands(rows[0], rows[1] | {"subject": None}) != {}


def test_a_corrected_subject_is_the_subject():
    now = current(
        ledger_rows({"value": 1, "subject": "P1"}, {"value": 1, "subject": "P2", "status": "corrected"})
    )
    assert now.results["low"].to_list() == [1]
    assert now.samples["subject"].to_list() == ["P2"]


def test_a_sample_of_which_nothing_stands_is_still_there_with_its_problem():
    now = current(ledger_rows({"value": 1}, {"status": "withdrawn"} | reported(2)))
    assert now.samples["sample_key"].to_list() == ["s"]
    assert now.samples["month"].to_list() == ["2024-03"]
    assert current(ledger_rows({"refused": "no collection time"})).samples.is_empty()


def test_the_collection_time_is_that_of_the_latest_result():
    moved = {"value": 2, "status": "corrected", "month": "2024-04", "collected_at": day(100)}
    assert current(ledger_rows({"value": 1}, moved)).samples["month"].to_list() == ["2024-04"]
    now = current(ledger_rows({"value": 1}, {"analyte": "serotonin", "value": 1}, moved))
    assert now.samples["month"].to_list() == ["2024-04"]


def test_controls_and_rows_without_a_sample_are_no_results():
    for row in ({"role": "qc"}, {"role": "blank"}, {"role": None}, {"sample_key": None}):
        now = current(ledger_rows({"value": 1} | row))
        assert now.results.is_empty()
        assert now.samples.is_empty()


def test_no_rows_give_no_results():
    now = current(ledger_rows({"value": 1}).clear())
    assert (len(now.results), len(now.problems), len(now.samples)) == (0, 0, 0)


# ---- any rows

ANY = st.lists(
    st.fixed_dictionaries(
        {"value": st.integers(1, 3)},
        optional={
            "status": st.sampled_from(["preliminary", "corrected", "withdrawn"]),
            "reported_at": st.integers(1, 3).map(day),
            "received_at": st.integers(4, 6).map(day),
            "export": st.sampled_from("abc"),
            "method": st.sampled_from(["ELISA", "LC-MS"]),
            "method_rank": st.integers(0, 1),
            "replicate": st.sampled_from("12"),
            "replicates": st.sampled_from(["mean", "diluted if above uloq"]),
            "dilution": st.sampled_from([1.0, 10.0]),
            "subject": st.sampled_from([None, "P"]),
            "sample_key": st.sampled_from("st"),
            "analyte": st.sampled_from(["dopamine", "serotonin"]),
            "refused": st.sampled_from(["no value", "unreadable value"]),
            "unit": st.sampled_from(["umol/L", "umol/mmol{creat}"]),
            "month": st.sampled_from(["2024-03", "2024-04"]),
        },
    ),
    max_size=12,
)


@given(ANY, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows, shuffler: random.Random):
    frame = ledger_rows(*rows)
    shuffled = frame[shuffler.sample(range(len(frame)), len(frame))] if rows else frame
    one, other = current(frame), current(shuffled)
    assert one.results.sort("sample_key", "analyte", "unit").equals(
        other.results.sort("sample_key", "analyte", "unit")
    )
    assert one.problems.sort("sample_key", "analyte").equals(other.problems.sort("sample_key", "analyte"))
    assert one.samples.sort("sample_key").equals(other.samples.sort("sample_key"))


@given(ANY)
def test_every_accepted_analyte_has_one_result_per_unit_or_a_problem(rows):
    frame = ledger_rows(*rows)
    now = current(frame)
    assert not now.results.select("sample_key", "analyte", "unit").is_duplicated().any()
    named = frame.select("sample_key", "analyte").unique()
    said = pl.concat(
        [decoded(now.results.select("sample_key", "analyte")), now.problems.select("sample_key", "analyte")]
    )
    assert named.join(said, on=["sample_key", "analyte"], how="anti").is_empty()
    # nothing that was ever withdrawn or refused is a result
    assert now.results["accepted"].all()
    assert "withdrawn" not in now.results["status"].to_list()


def test_thousands_of_repeated_rows_are_judged_in_a_moment():
    rows = (
        [{"value": 1}] * 3000
        + [{"refused": "unreadable value"} | reported(2)] * 3000
        + [{"value": 2} | reported(3)]
    )
    assert value(*rows) == 2
