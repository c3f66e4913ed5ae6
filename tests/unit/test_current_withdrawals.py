"""What a withdrawal takes out of what stands, and what a correction that is quarantined takes out."""

import pytest

from tasks.current import QUARANTINED, SUPERSEDED, WITHDRAWN, current
from tests.unit.rows import day, ledger_rows
from tests.unit.standing import arrived, problem, reported, value


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
