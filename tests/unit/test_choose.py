"""Which exports a backfill reads again, told from their receipts alone."""

from datetime import UTC, datetime

import polars as pl
import pytest

from schemas.result import READ, RECEIPT_SCHEMA, WITHDRAWN
from tasks.choose import ARCHIVED_SCHEMA, Choice, WrongChoice, chosen, planned

NOW = "catalogue of now"
LAYOUTS = {"generic": "g2", "own": "o1"}
ARRIVED = datetime(2024, 6, 3, tzinfo=UTC)


def receipt(export: str, **said) -> dict:
    usual = {
        "lab": "north", "export": export, "edition": 1, "action": READ, "layout": "own", "layout_digest": "o1",
        "reading_catalogue": NOW, "reading_hash": f"reading of {export}", "months": ["2024-03"], "rows": 10,
        "accepted_rows": 10, "quarantined_rows": 0, "received_at": ARRIVED, "size": 1000,
    }  # fmt: skip
    return usual | said


RECEIPTS = [
    receipt("a"),
    receipt("b", lab="south", months=["2024-01", "2024-05"]),
    receipt("c", layout="generic", layout_digest="g1", months=["undated"]),
    receipt("d", reading_catalogue="an older one", quarantined_rows=3, accepted_rows=7),
    receipt(
        "e", layout=None, layout_digest=None, reason="no layout fits", months=[], rows=0, accepted_rows=0
    ),
    receipt("f", action=WITHDRAWN, rows=0, accepted_rows=0, months=["2024-03"]),
    receipt("gone"),
]


def names(**choice) -> str:
    """The exports that a choice means, in their order."""
    return "".join(frame(**choice)["export"])


def frame(**choice) -> pl.DataFrame:
    schema = {**RECEIPT_SCHEMA, "lab": pl.String, "edition": pl.Int32}
    archived = [(r["lab"], r["export"], r["size"], ARRIVED) for r in RECEIPTS if r["export"] != "gone"]
    archived.append(("north", "x", 500, datetime(2024, 2, 1, tzinfo=UTC)))  # archived, never committed
    return chosen(
        pl.DataFrame(archived, schema=ARCHIVED_SCHEMA, orient="row"),
        pl.DataFrame(RECEIPTS, schema=schema),
        Choice(**choice),
        NOW,
        LAYOUTS,
    )


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        ({}, "xacdeb"),
        ({"lab": "south"}, "b"),
        ({"layout": "own"}, "xadb"),
        ({"layout": "own", "lab": "north"}, "xad"),
        ({"from_month": "2024-05"}, "ceb"),  # two without any dated result came in June
        ({"to_month": "2024-02"}, "xb"),
        ({"from_month": "2024-02", "to_month": "2024-04"}, "xad"),
        ({"stale_catalogue": True}, "xcd"),
        ({"quarantined": True}, "xde"),
        ({"stale_catalogue": True, "quarantined": True}, "xcde"),
        ({"quarantined": True, "from_month": "2024-06"}, "e"),
        ({"exports": ("north/a", "north/b")}, "a"),
        ({"force": True}, "xacdeb"),
        ({"exports": ("north/f",)}, ""),
        ({"exports": ("north/f",), "force": True}, "f"),
    ],
)
def test_a_choice_means_what_meets_every_condition(choice, meant):
    assert names(**choice) == meant


@pytest.mark.parametrize("month", ["2024", "2024-00", "2024-13", "24-01", "2024-1", "2024-01-01", ""])
def test_a_month_that_is_none_is_refused(month):
    with pytest.raises(WrongChoice, match="2024-01"):
        Choice(from_month=month)


def test_a_plan_counts_what_is_read_anew_and_estimates_what_it_takes():
    plan = planned(frame(), {("north", "a"), ("north", "x"), ("south", "b")}).to_dicts()
    assert [(p["lab"], p["exports"], p["anew"], p["rows"]) for p in plan] == [
        ("north", 5, 2, 15),  # 10 rows of a, and about 5 in the 500 bytes of x
        ("south", 1, 1, 10),
    ]
    assert [(p["months"], p["first"], p["last"]) for p in plan] == [
        (1, "2024-03", "2024-03"),
        (2, "2024-01", "2024-05"),
    ]
    assert all(0 < p["seconds"] < 1 for p in plan)


def test_nothing_chosen_is_an_empty_plan():
    assert planned(frame(lab="nobody"), set()).is_empty()
