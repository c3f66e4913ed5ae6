"""Times as labs write them: UTC, lab-local, and how exactly they are known. Pure Polars.

ISO 8601 needs no layout; everything else is read by the layout's formats, because `03/04/2024`
is two days. A clock time without an offset needs the lab's time zone; a bare date does not.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache

import polars as pl

from schemas.layout import Layout, Times
from schemas.layout_checks import has_clock
from tasks.codes import by_text, coded_frame, places, taken, texts_of

_ISO = (
    r"^(?P<day>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<clock>\d{2}:\d{2})(?P<second>:\d{2})?(?P<fraction>[.,]\d+)?\s*(?P<offset>Z|z|[+-]\d{2}:?\d{2}|[+-]\d{2})?)?$"
)
_LOCAL = pl.Datetime("us")
_UTC = pl.Datetime("us", "UTC")


@cache
def _month_names(locale: str) -> dict[str, str]:
    """Month names of a language -> the English abbreviations that strptime's %b reads."""
    from babel.dates import get_month_names

    english = get_month_names("abbreviated", locale="en_US")
    names = {"sept": "Sep"}
    for width in ("wide", "abbreviated"):
        for context in ("format", "stand-alone"):
            for number, name in get_month_names(width, context=context, locale=locale).items():
                names[name.strip(".").lower()] = english[number]
    return names


def _parsed(texts: pl.Series, times: Times) -> pl.DataFrame:
    """Distinct texts -> `local` (as written), `offset_minutes` (null: not written), `has_clock`."""
    # an offset of more than 14 hours is no offset: no clock on earth has it
    iso = texts.str.extract_groups(_ISO).struct.unnest().with_columns(texts.alias("text"))
    written = pl.concat_str("day", pl.lit("T"), pl.col("clock").fill_null("00:00"), pl.col("second").fill_null(":00"),
                            pl.col("fraction").fill_null("").str.replace(",", "."))  # fmt: skip
    offset = pl.col("offset").str.to_uppercase().str.replace("Z", "+00:00").str.replace(":", "")
    hours, minutes = (
        offset.str.slice(1, 2).cast(pl.Int32),
        offset.str.slice(3, 2).replace("", "0").cast(pl.Int32),
    )
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    out = iso.select(
        "text",
        written.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us").alias("local"),
        (sign * (hours * 60 + minutes)).alias("offset_minutes"),
        pl.col("clock").is_not_null().alias("has_clock"),
    ).with_columns(
        pl.when((pl.col("offset_minutes").abs() <= 14 * 60).fill_null(True)).then("local").alias("local")
    )
    for form in times.formats:
        out = _by_format(out, form, times.locale)
    return out


_DIGITS = {"%Y": r"\d{4}", "%m": r"\d{2}", "%d": r"\d{2}", "%H": r"\d{2}", "%M": r"\d{2}", "%S": r"\d{2}",
           "%y": r"\d{2}", "%j": r"\d{3}", "%.f": r"(?:\.\d+)?", "%z": r"(?:[+-]\d{2}:?\d{2}|Z)"}  # fmt: skip


@cache
def _exact(form: str) -> str | None:
    """A regular expression for a format whose marks touch, such as `%Y%m%d%H%M`; None for others.

    strptime takes one digit where two belong, so that `20241015123` would be three minutes past twelve."""
    if not re.search(r"%[YmdHMSyj]%[mdHMSyj]", form):
        return None
    parts = re.findall(r"%[-_0]?\.?[A-Za-z]|[\s\S]", form)
    return "^" + "".join(_DIGITS.get(p, ".+" if p[0] == "%" else re.escape(p)) for p in parts) + "$"


def _by_format(out: pl.DataFrame, form: str, locale: str) -> pl.DataFrame:
    """Fill what is still unread with the texts that `form` reads."""
    todo = out.filter(pl.col("local").is_null())["text"].drop_nulls()
    if exact := _exact(form):
        todo = todo.filter(todo.str.contains(exact))
    if todo.is_empty():
        return out
    plain = todo
    if "%b" in form or "%B" in form:
        names = sorted(_month_names(locale).items(), key=lambda item: -len(item[0]))
        plain = todo.str.to_lowercase().str.replace_many(
            [n for n, _ in names], [e for _, e in names], leftmost=True
        )
        # the texts are in small letters now, so what stands between the marks of the format is too
        form = re.sub(r"%[-_0]?.|.", lambda part: part[0] if part[0][0] == "%" else part[0].lower(), form)
        form = form.replace("%B", "%b")
    clocked = has_clock(form)
    offset = pl.Series([None] * len(todo), dtype=pl.Int32)
    if "%z" in form:
        utc = plain.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC").dt.replace_time_zone(
            None
        )
        parts = plain.str.extract_groups(r"([+-])(\d{2}):?(\d{2})(?:\D*)$").struct.unnest()
        minutes = parts.to_series(1).cast(pl.Int32) * 60 + parts.to_series(2).cast(pl.Int32)
        offset = (
            minutes * parts.to_series(0).replace_strict({"-": -1, "+": 1}, return_dtype=pl.Int32)
        ).fill_null(0)
        local = utc + pl.Series([timedelta(minutes=m) for m in offset], dtype=pl.Duration("us"))
    elif clocked:
        local = plain.str.to_datetime(form, strict=False, time_unit="us")
    else:
        local = plain.str.to_date(form, strict=False).cast(_LOCAL)
    read = pl.DataFrame({"text": todo, "_local": local, "_offset": offset})
    filled = out.join(read, on="text", how="left", maintain_order="left")
    new = pl.col("local").is_null() & pl.col("_local").is_not_null()
    return filled.select(
        "text",
        pl.coalesce("local", "_local").alias("local"),
        pl.when(new).then("_offset").otherwise("offset_minutes").alias("offset_minutes"),
        pl.when(new).then(pl.lit(clocked)).otherwise("has_clock").alias("has_clock"),
    )


def _resolved(texts: pl.Series, layout: Layout, timezone: str | None) -> pl.DataFrame:
    """Distinct texts -> `text`, `utc`, `local`, `precision` (clock or day), `problem`."""
    out = _parsed(texts.unique().drop_nulls(), layout.times)
    zone = layout.times.timezone or timezone
    shifted = pl.col("local") - pl.duration(minutes=pl.col("offset_minutes"))
    utc = shifted.dt.replace_time_zone("UTC")
    if zone:
        in_zone = (
            pl.col("local")
            .dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
            .dt.convert_time_zone("UTC")
        )
        utc = pl.when(pl.col("offset_minutes").is_not_null()).then(utc).otherwise(in_zone)
    out = out.with_columns(utc.cast(_UTC).alias("utc"))
    clock = pl.col("has_clock")
    lab_local = (
        pl.col("utc").dt.convert_time_zone(zone).dt.replace_time_zone(None) if zone else pl.col("local")
    )
    no_zone = pl.lit("clock time does not exist or is twice" if zone else "no time zone")
    return out.select(
        "text",
        pl.when(clock).then("utc").alias("utc"),
        pl.when(clock & pl.col("utc").is_not_null()).then(lab_local).otherwise("local").cast(_LOCAL).alias("local"),
        pl.when(clock).then(pl.lit("clock")).otherwise(pl.lit("day")).alias("precision"),
        pl.when(pl.col("local").is_null()).then(pl.lit("unreadable time"))
        .when(clock & pl.col("utc").is_null()).then(no_zone).alias("problem"),
    )  # fmt: skip


def read_times(frame: pl.DataFrame, layout: Layout, timezone: str | None) -> pl.DataFrame:
    """`frame` with the collection and report times typed.

    Adds collected_at (UTC, null for a bare date), collected_local (lab-local), time_precision
    (`clock` or `day`), time_source (`collected`, `acquired` or `reported`), month (`YYYY-MM`,
    lab-local), reported_at (UTC; the lab's midnight of a bare date), `time_problem`, `report_problem`.
    """
    texts = {name: by_text(frame[name], _said) for name in ("collected_at", "acquired_at", "reported_at")}
    times = _resolved(pl.concat([texts_of(codes) for codes in texts.values()]), layout, timezone)
    # which of the times each text is
    at = pl.DataFrame([places(codes, times["text"]).alias(name) for name, codes in texts.items()])
    sources = pl.Enum(sorted(layout.times.source))
    # the first source that the layout allows and the row has stands for the collection
    standing = at.select(
        pl.coalesce(f"{name}_at" for name in layout.times.source).alias("at"),
        pl.coalesce(
            pl.when(pl.col(f"{name}_at").is_not_null()).then(pl.lit(name, sources))
            for name in layout.times.source
        ).alias("time_source"),
    )
    zone = layout.times.timezone or timezone or "UTC"
    midnight = pl.col("local").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    meant = times.with_columns(
        pl.coalesce(
            "utc", midnight.dt.convert_time_zone("UTC"), pl.col("local").dt.replace_time_zone("UTC")
        ).alias("reported_at"),
        pl.col("problem").replace({"unreadable time": "unreadable report time"}).alias("report_problem"),
        pl.col("local").dt.strftime("%Y-%m").alias("month"),
    )
    collected = meant.select(
        pl.col("utc").alias("collected_at"),
        pl.col("local").alias("collected_local"),
        pl.col("precision").alias("time_precision"),
        "month",
        pl.col("problem").alias("time_problem"),
    )
    none = pl.DataFrame({"time_problem": ["no collection time"]})
    collected = pl.concat([collected, none], how="diagonal").pipe(
        coded_frame, "time_precision", "month", "time_problem"
    )
    reported = meant.select("reported_at", "report_problem").pipe(coded_frame, "report_problem")
    return frame.drop("acquired_at", "collected_until").with_columns(
        standing["time_source"],
        *taken(collected, standing["at"].fill_null(len(times))),
        *taken(reported, at["reported_at"]),
    )


def _said(texts: pl.Series) -> pl.Series:
    return texts.str.strip_chars().replace("", None)
