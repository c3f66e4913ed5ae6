import math
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.current import CONFLICT, QUARANTINED, SUBJECTS, SUPERSEDED, WITHDRAWN, current
from tests.unit.rows import day, ledger_rows

INF = math.inf


def stands(*rows: dict) -> dict[tuple[str, str], tuple[float, float]]:
    """(sample, analyte) -> the interval that stands."""
    results = current(ledger_rows(*rows)).results
    assert not results.select("sample_key", "analyte", "unit").is_duplicated().any()
    return {(r["sample_key"], r["analyte"]): (r["low"], r["high"]) for r in results.to_dicts()}


def value(*rows: dict) -> float | None:
    """The one value that stands for dopamine in sample `s`."""
    return stands(*rows).get(("s", "dopamine"), (None,))[0]


def problem(*rows: dict) -> str | None:
    found = current(ledger_rows(*rows))
    assert found.results.filter(pl.col("analyte") == "dopamine").is_empty()
    named = found.problems.filter(pl.col("analyte") == "dopamine")["problem"].to_list()
    return named[0] if named else None


def reported(number: float) -> dict:
    return {"reported_at": day(number)}


def arrived(number: float, export: str) -> dict:
    return {"received_at": day(number), "export": export}


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


# ---- corrections that are quarantined, and withdrawals


def test_a_quarantined_correction_takes_the_older_value_out():
    original = {"value": 1} | reported(1) | arrived(1, "a")
    bad = {"refused": "unreadable value"} | arrived(2, "b")
    assert problem(original, bad | {"status": "corrected"} | reported(2)) == SUPERSEDED
    assert problem(original, bad | {"status": "final"} | reported(2)) == SUPERSEDED
    # also where its own report time cannot be read
    assert problem(original, bad | {"status": "corrected", "refused": "unreadable report time"}) == SUPERSEDED
    # and where its unit is not known
    assert problem(original, bad | {"status": "corrected", "unit": None} | reported(2)) == SUPERSEDED
    assert value(original, bad | reported(2), {"value": 3} | reported(3)) == 3


def test_a_quarantined_row_beside_a_value_or_before_it_takes_nothing_out():
    assert value({"value": 1}, {"refused": "unreadable value"}) == 1
    assert value({"value": 1} | reported(2), {"refused": "unreadable value"} | reported(1)) == 1
    assert value({"value": 1} | reported(1), {"refused": "no value"} | reported(2)) == 1
    assert (
        problem({"value": 1} | reported(1), {"refused": "no value", "status": "corrected"} | reported(2))
        == SUPERSEDED
    )
    assert (
        value({"value": 1} | reported(1), {"refused": "no value", "status": "preliminary"} | reported(2)) == 1
    )
    preliminary = {"refused": "unreadable value", "status": "preliminary"} | reported(2)
    assert value({"value": 1} | reported(1), preliminary) == 1


def test_a_quarantined_row_alone_is_named():
    now = current(ledger_rows({"value": 1, "analyte": "serotonin"}, {"refused": "unreadable value"}))
    assert now.problems.rows() == [("s", "dopamine", QUARANTINED)]


@pytest.mark.parametrize("extra", [{}, {"value": 1}, {"unit": None, "value": 1}, {"unit": None}])
def test_a_withdrawal_takes_out_what_is_not_later_with_or_without_value_and_unit(extra):
    gone = {"status": "withdrawn"} | reported(2) | extra
    assert problem({"value": 1} | reported(1), gone) == WITHDRAWN
    assert problem({"value": 1} | reported(2), gone) == WITHDRAWN
    assert (
        problem({"value": 1} | reported(1), {"value": 2, "status": "corrected"} | reported(2), gone)
        == WITHDRAWN
    )
    assert value({"value": 1} | reported(3), gone) == 1


def test_a_withdrawal_in_one_unit_leaves_the_other():
    other = {"value": 2, "unit": "umol/mmol{creat}", "basis": "per_creatinine"}
    gone = {"status": "withdrawn", "reported_at": day(2)}
    assert current(ledger_rows({"value": 1}, other, gone)).results["unit"].to_list() == ["umol/mmol{creat}"]
    assert current(ledger_rows({"value": 1}, other, gone | {"unit": None})).results.is_empty()


def test_a_withdrawal_of_another_sample_or_analyte_changes_nothing():
    assert value({"value": 1}, {"status": "withdrawn", "sample_key": "t"}) == 1
    assert value({"value": 1}, {"status": "withdrawn", "analyte": "serotonin"}) == 1


def test_a_withdrawal_that_names_a_method_leaves_the_other_method():
    rows = {"value": 1, "method": "ELISA"}, {"value": 2, "method": "LC-MS"}
    assert value(*rows, {"status": "withdrawn", "method": "ELISA"} | reported(2)) == 2
    assert problem(*rows, {"status": "withdrawn"} | reported(2)) == WITHDRAWN
    assert value(*rows[:1], {"refused": "unreadable value", "method": "LC-MS"} | reported(2)) == 1
    assert problem(*rows[:1], {"refused": "unreadable value"} | reported(2)) == SUPERSEDED


# ---- methods and replicates


def test_two_methods_conflict_unless_the_layout_ranks_them():
    elisa, lcms = {"value": 1, "method": "ELISA"}, {"value": 2, "method": "LC-MS"}
    assert problem(elisa, lcms) == CONFLICT
    assert problem(elisa | reported(9), lcms) == CONFLICT
    assert value(elisa | {"method_rank": 1}, lcms | {"method_rank": 0}) == 2
    assert problem(elisa, lcms | {"method_rank": 0}) == CONFLICT
    assert problem(elisa, {"value": 2}) == CONFLICT
    assert value(elisa, lcms | {"value": 1}) == 1


def test_repeated_measurements_are_refused_averaged_or_chosen_by_dilution_as_the_layout_says():
    def both(rule: str) -> list[dict]:
        return [{"low": 500, "high": INF, "censoring": "above", "dilution": 1, "replicates": rule},
                {"value": 900, "dilution": 10, "replicates": rule}, {"value": 950, "dilution": 50, "replicates": rule}]  # fmt: skip

    assert problem(*both("refuse")) == CONFLICT
    assert stands(*both("diluted if above uloq")) == {("s", "dopamine"): (900, 900)}
    assert stands(*both("mean")[1:]) == {("s", "dopamine"): (925, 925)}
    assert stands({"low": 0, "high": 4, "replicates": "mean"}, {"value": 6, "replicates": "mean"}) == {
        ("s", "dopamine"): (3, 5)
    }
    undiluted = [{"value": 100, "replicates": "diluted if above uloq"}, both("diluted if above uloq")[1]]
    assert value(*undiluted) == 100
    assert problem(*(row | {"dilution": 1} for row in both("diluted if above uloq")[1:])) == CONFLICT
    above = [
        {"low": low, "high": INF, "dilution": low / 500, "replicates": "diluted if above uloq"}
        for low in (500, 5000)
    ]
    assert problem(*above) == CONFLICT


def test_the_mean_of_a_censored_and_a_plain_value_says_that_it_is_censored():
    rows = [
        {"value": 6, "replicates": "mean"},
        {"low": 0, "high": 4, "censoring": "below", "replicates": "mean"},
    ]
    assert current(ledger_rows(*rows)).results["censoring"].to_list() == ["below"]
    assert current(ledger_rows(*rows[::-1])).results["censoring"].to_list() == ["below"]


def test_named_replicates_of_two_exports_are_replicates_and_arrival_does_not_choose():
    def pair(rule: str) -> list[dict]:
        return [{"value": 1, "replicate": "1", "replicates": rule} | arrived(1, "a"),
                {"value": 3, "replicate": "2", "replicates": rule} | arrived(2, "b")]  # fmt: skip

    assert value(*pair("mean")) == 2
    assert problem(*pair("refuse")) == CONFLICT
    # a later export of one of them replaces that one
    assert value(*pair("mean"), {"value": 5, "replicate": "1", "replicates": "mean"} | arrived(3, "c")) == 4
    # a result that names no replicate replaces all of them
    assert (
        value(*pair("mean"), {"value": 9, "status": "corrected", "replicates": "mean"} | arrived(3, "c")) == 9
    )
    # one that is withdrawn no longer counts, and a preliminary one never beside a final one
    assert value(*pair("mean"), {"status": "withdrawn", "replicate": "1"} | arrived(3, "c")) == 3
    assert value(pair("mean")[0] | {"status": "preliminary"}, pair("mean")[1]) == 3


def test_unnamed_repeats_of_two_exports_are_never_averaged():
    assert (
        value(
            {"value": 1, "replicates": "mean"} | arrived(1, "a"),
            {"value": 3, "replicates": "mean"} | arrived(2, "b"),
        )
        == 3
    )
    same_arrival = {"value": 3, "replicates": "mean", "export": "b"}
    assert problem({"value": 1, "replicates": "mean"}, same_arrival) == CONFLICT


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
        [now.results.select("sample_key", "analyte"), now.problems.select("sample_key", "analyte")]
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
