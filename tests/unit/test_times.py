from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.layout import Layout
from tasks.times import read_times


def read(text: str | None = None, *, zone: str | None = None, **kwargs) -> dict:
    """Read one row; `times` are the layout's rules, other keywords the row's times."""
    layout = Layout.model_validate({"name": "test", "times": kwargs.pop("times", {})})
    row = {"collected_at": text, "collected_until": None, "acquired_at": None, "reported_at": None} | kwargs
    return read_times(pl.DataFrame([row], schema=dict.fromkeys(row, pl.String)), layout, zone).row(
        0, named=True
    )


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "at", "local"),
    [
        ("2024-03-01T08:30:00Z", None, utc(2024, 3, 1, 8, 30), datetime(2024, 3, 1, 8, 30)),
        ("2024-03-01T08:30Z", "Europe/Berlin", utc(2024, 3, 1, 8, 30), datetime(2024, 3, 1, 9, 30)),
        ("2024-03-01 08:30:15.5+01:00", None, utc(2024, 3, 1, 7, 30, 15, 500_000), datetime(2024, 3, 1, 8, 30, 15, 500_000)),
        ("2024-03-01T08:30-0330", None, utc(2024, 3, 1, 12, 0), datetime(2024, 3, 1, 8, 30)),
        ("2024-03-01T08:30+13", None, utc(2024, 2, 29, 19, 30), datetime(2024, 3, 1, 8, 30)),
        ("2024-03-01 08:30", "Europe/Berlin", utc(2024, 3, 1, 7, 30), datetime(2024, 3, 1, 8, 30)),
        ("2024-07-01 08:30", "Europe/Berlin", utc(2024, 7, 1, 6, 30), datetime(2024, 7, 1, 8, 30)),
    ],
)  # fmt: skip
def test_an_iso_clock_time_is_known_in_utc_and_by_the_labs_clock(text, zone, at, local):
    row = read(text, zone=zone)
    assert (row["collected_at"], row["collected_local"], row["time_precision"]) == (at, local, "clock")
    assert row["time_problem"] is None


def test_a_bare_date_needs_no_time_zone_and_has_no_utc():
    row = read("2024-03-01")
    assert row["collected_at"] is None
    assert row["collected_local"] == datetime(2024, 3, 1)
    assert (row["time_precision"], row["month"], row["time_problem"]) == ("day", "2024-03", None)


def test_a_clock_time_without_offset_needs_the_time_zone():
    row = read("2024-03-01 08:30")
    assert row["time_problem"] == "no time zone"
    assert row["collected_at"] is None


def test_the_layouts_time_zone_goes_before_the_labs():
    row = read("2024-03-01 08:30", zone="Europe/Berlin", times={"timezone": "Asia/Tokyo"})
    assert row["collected_at"] == utc(2024, 2, 29, 23, 30)


@pytest.mark.parametrize("text", ["2024-03-31 02:30", "2024-10-27 02:30"])
def test_a_clock_time_that_does_not_exist_or_is_twice_is_refused(text):
    assert read(text, zone="Europe/Berlin")["time_problem"] == "clock time does not exist or is twice"
    assert read(text + "+02:00", zone="Europe/Berlin")["time_problem"] is None
    row = read("2024-03-01", zone="Europe/Berlin", reported_at=text)
    assert row["report_problem"] == "clock time does not exist or is twice"


@pytest.mark.parametrize(
    ("text", "zone", "month"),
    [
        ("2024-03-31T23:30Z", "Pacific/Auckland", "2024-04"),
        ("2024-04-01T02:00Z", "America/Los_Angeles", "2024-03"),
        ("2024-12-31T23:30Z", "Europe/Berlin", "2025-01"),
        ("2024-03-31T23:30Z", None, "2024-03"),
        ("2024-04-01T00:30+13:00", None, "2024-04"),
        ("2024-03-31", "Pacific/Auckland", "2024-03"),
    ],
)
def test_the_month_is_that_of_the_labs_clock(text, zone, month):
    assert read(text, zone=zone)["month"] == month


@pytest.mark.parametrize(
    ("text", "form", "locale", "local"),
    [
        ("17.09.2019", "%d.%m.%Y", "en", datetime(2019, 9, 17)),
        ("17-sept-19", "%d-%b-%y", "en", datetime(2019, 9, 17)),
        ("17-SEP-2019", "%d-%b-%Y", "en", datetime(2019, 9, 17)),
        ("17 September 2019", "%d %B %Y", "en", datetime(2019, 9, 17)),
        ("4. März 2019", "%d. %B %Y", "de", datetime(2019, 3, 4)),
        ("04. MÄRZ 2019", "%d. %B %Y", "de", datetime(2019, 3, 4)),
        ("31-Dez-19", "%d-%b-%y", "de", datetime(2019, 12, 31)),
        ("1 Mai 2019", "%d %b %Y", "de", datetime(2019, 5, 1)),
        ("3 févr. 2019", "%d %b. %Y", "fr", datetime(2019, 2, 3)),
        ("3 août 2019", "%d %B %Y", "fr", datetime(2019, 8, 3)),
        ("14 juillet 2019", "%d %B %Y", "fr", datetime(2019, 7, 14)),
        ("14 juin 2019", "%d %B %Y", "fr", datetime(2019, 6, 14)),
        ("20240301", "%Y%m%d", "en", datetime(2024, 3, 1)),
    ],
)
def test_dates_in_the_layouts_format_and_language(text, form, locale, local):
    row = read(text, times={"formats": [form], "locale": locale})
    assert (row["collected_local"], row["time_precision"], row["time_problem"]) == (local, "day", None)
    assert read(text)["time_problem"] == "unreadable time"


@pytest.mark.parametrize(
    ("text", "form", "local"),
    [
        ("17.09.2019 08:30", "%d.%m.%Y %H:%M", datetime(2019, 9, 17, 8, 30)),
        ("09/17/2019 08:30 PM", "%m/%d/%Y %I:%M %p", datetime(2019, 9, 17, 20, 30)),
        ("17-Sep-2019T08:30 Uhr", "%d-%b-%YT%H:%M Uhr", datetime(2019, 9, 17, 8, 30)),
    ],
)
def test_clock_times_in_the_layouts_format(text, form, local):
    row = read(text, zone="Europe/Berlin", times={"formats": [form]})
    assert (row["collected_local"], row["time_precision"]) == (local, "clock")
    assert row["collected_at"] is not None
    assert read(text, times={"formats": [form]})["time_problem"] == "no time zone"


def test_an_offset_in_the_layouts_format_keeps_the_clock_as_written():
    row = read("01/04/2024 00:30 +1300", times={"formats": ["%d/%m/%Y %H:%M %z"]})
    assert row["collected_at"] == utc(2024, 3, 31, 11, 30)
    assert row["collected_local"] == datetime(2024, 4, 1, 0, 30)
    assert row["month"] == "2024-04"


@pytest.mark.parametrize(
    "text",
    [
        "03/04/2024",
        "yesterday",
        "2024-13-01",
        "2024-02-30",
        "2024-03-01 25:00",
        "2024-03-01T08:30+99:00",
        "20240301",
        "2024-3-1",
    ],
)
def test_what_can_be_read_in_two_ways_or_in_none_is_unreadable(text):
    assert read(text, zone="Europe/Berlin")["time_problem"] == "unreadable time"


def test_formats_are_tried_in_order():
    assert read("03/04/2024", times={"formats": ["%d/%m/%Y", "%m/%d/%Y"]})["collected_local"] == datetime(
        2024, 4, 3
    )
    assert read("03/14/2024", times={"formats": ["%d/%m/%Y", "%m/%d/%Y"]})["collected_local"] == datetime(
        2024, 3, 14
    )


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_collection_time_is_said(text):
    assert read(text, reported_at="2024-03-03")["time_problem"] == "no collection time"


def test_another_time_stands_for_the_collection_only_where_the_layout_allows_it():
    times = {"source": ["collected", "acquired"]}
    row = read(None, acquired_at="2024-03-02", reported_at="2024-03-03", times=times)
    assert (row["time_source"], row["collected_local"]) == ("acquired", datetime(2024, 3, 2))
    row = read("2024-03-01", acquired_at="2024-03-02", times=times)
    assert (row["time_source"], row["collected_local"]) == ("collected", datetime(2024, 3, 1))
    assert read(None, reported_at="2024-03-03", times=times)["time_problem"] == "no collection time"


def test_a_bare_report_date_is_the_labs_midnight():
    assert read("2024-03-01", reported_at="2024-03-03")["reported_at"] == utc(2024, 3, 3)
    assert read("2024-03-01", reported_at="2024-03-03", zone="Pacific/Auckland")["reported_at"] == utc(
        2024, 3, 2, 11
    )
    assert read("2024-03-01", reported_at="soon")["report_problem"] == "unreadable report time"


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_any_iso_time_with_an_offset_is_that_instant(moment, minutes):
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    row = read(f"{moment.isoformat()}{sign}{hours:02}:{rest:02}")
    assert (row["collected_local"] - row["collected_at"].replace(tzinfo=None)).total_seconds() == minutes * 60
    assert row["collected_local"] == moment


@given(st.lists(st.text(max_size=30) | st.none(), min_size=1, max_size=10))
def test_any_text_is_a_time_or_a_problem(texts):
    layout = Layout(name="test")
    frame = pl.DataFrame({"collected_at": texts}, schema={"collected_at": pl.String}).with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in ("collected_until", "acquired_at", "reported_at"))
    )
    out = read_times(frame, layout, "Europe/Berlin")
    assert len(out) == len(texts)
    assert (out["time_problem"].is_null() == out["month"].is_not_null()).all()
