"""What stands of several methods, and of repeated measurements: a refusal, their mean, or the diluted one."""

import math

from tasks.current import CONFLICT, current
from tests.unit.rows import ledger_rows
from tests.unit.standing import arrived, problem, reported, stands, value

INF = math.inf


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
