"""Which labs are silent, and what a run says of its labs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from flows import events
from flows.report import quarantine_rows
from schemas.settings import Lab, Settings
from tasks.silence import Silent, silent_labs

NOW = datetime(2024, 3, 10, 12, tzinfo=UTC)


def arrivals(**hours_ago: float) -> pl.DataFrame:
    rows = [(lab, NOW - timedelta(hours=hours)) for lab, hours in hours_ago.items()]
    return pl.DataFrame(
        rows, schema={"lab": pl.String, "received_at": pl.Datetime("us", "UTC")}, orient="row"
    )


def test_a_lab_is_silent_after_the_hours_that_it_says_and_not_before() -> None:
    labs = {"a": Lab(silent_after_hours=24), "b": Lab(silent_after_hours=24), "c": Lab()}
    found = silent_labs(labs, arrivals(a=24.01, b=23.99, c=9999), NOW)
    assert [lab.lab for lab in found] == ["a"]


def test_a_lab_that_never_sent_anything_is_silent() -> None:
    assert silent_labs({"a": Lab(silent_after_hours=1)}, arrivals(), NOW) == [Silent("a", None, 1)]


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Lab(silent_after_hours=0)


def receipt(
    lab: str, rows: int, quarantined: int, reason: str | None = None, export: str = "ab" * 32
) -> dict:
    counts = [{"reason": "unknown analyte", "count": quarantined}] if quarantined else []
    return {"lab": lab, "export": export, "rows": rows, "quarantined_rows": quarantined, "reason": reason,
            "reason_counts": counts}  # fmt: skip


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict, dict]]:
    """What is handed to Prefect."""
    sent: list[tuple[str, dict, dict]] = []
    monkeypatch.setattr(
        events, "emit_event", lambda event, resource, payload: sent.append((event, resource, payload))
    )
    return sent


def frame(*receipts: dict) -> pl.DataFrame:
    schema = {"lab": pl.String, "export": pl.String, "rows": pl.Int64, "quarantined_rows": pl.Int64, "reason": pl.String,
              "reason_counts": pl.List(pl.Struct({"reason": pl.String, "count": pl.Int64}))}  # fmt: skip
    return pl.DataFrame(list(receipts), schema=schema)


def test_a_bad_lab_is_told_though_good_ones_beside_it_are_larger(told: list) -> None:
    events.quarantined(
        Settings(), frame(receipt("bad", 10, 3), receipt("good", 10_000, 1), receipt("best", 9, 0))
    )
    assert [(event, resource["prefect.resource.id"]) for event, resource, _ in told] == [
        (events.QUARANTINED, "neurobalance.lab.bad"),
        (events.QUARANTINE_HIGH, "neurobalance.lab.bad"),
        (events.QUARANTINED, "neurobalance.lab.good"),
    ]
    assert told[1][2]["ratio"] == pytest.approx(0.3)
    assert told[1][2]["reasons"] == {"unknown analyte": 3}


def test_a_file_that_nobody_can_read_counts_though_it_has_no_rows(told: list) -> None:
    events.quarantined(Settings(), frame(receipt("bad", 0, 0, "no layout fits")))
    assert [event for event, _, _ in told] == [events.QUARANTINED, events.QUARANTINE_HIGH]


def test_the_threshold_is_the_setting(told: list) -> None:
    events.quarantined(Settings(quarantine_alert=0.3), frame(receipt("bad", 10, 3)))
    assert [event for event, _, _ in told] == [events.QUARANTINED]


def test_however_many_exports_a_lab_has_it_is_one_event_with_few_hashes(told: list) -> None:
    from tasks.archive import Export

    events.received([Export("a b/ü", f"{number:064x}") for number in range(5000)])
    ((event, resource, payload),) = told
    assert event == events.RECEIVED
    assert resource["prefect.resource.id"] == "neurobalance.lab.a b%2F%C3%BC"
    assert payload["exports"] == 5000
    assert len(payload["hashes"]) == events.NAMED_AT_MOST
    assert all(len(text) == 12 for text in payload["hashes"])


def test_the_table_of_reasons_says_how_to_mend_each() -> None:
    rows = quarantine_rows(
        frame(receipt("a", 10, 3), receipt("a", 10, 2), receipt("a", 0, 0, "no layout fits"))
    )
    assert [(row["reason"], row["rows"], row["exports"]) for row in rows] == [
        ("unknown analyte", 5, 2),
        ("no layout fits", 0, 1),
    ]
    assert all(row["how to mend it"] for row in rows)
