"""What the values of a layout may be: each check gives back what it may be, and says with a ValueError what it may not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from schemas.export import TEXT_COLUMNS, is_codec


def has_clock(form: str) -> bool:
    """Whether a strptime format reads a time of day."""
    return any(mark in form for mark in ("%H", "%k", "%I", "%l", "%T", "%R", "%X", "%r", "%c"))


def known_timezone(name: str | None) -> str | None:
    """`name` where it is an IANA time zone; raises ValueError."""
    if name is not None:
        try:
            ZoneInfo(name)
        except Exception:
            raise ValueError(f"{name!r} is no IANA time zone such as Europe/Berlin") from None
    return name


def known_column(name: str) -> str:
    """`name` where it is a column that a layout can fill; raises ValueError."""
    if name not in TEXT_COLUMNS or name in ("raw", "defect"):
        there = [column for column in TEXT_COLUMNS if column not in ("raw", "defect")]
        raise ValueError(f"there is no column {name!r}; there are {', '.join(there)}")
    return name


def known_codec(name: str | None) -> str | None:
    """`name` where Python knows an encoding of text that is called so; raises ValueError."""
    if name is not None and not is_codec(name):
        raise ValueError(f"{name!r} is no encoding that Python knows, such as utf-8, cp1252 or utf-16")
    return name


def known_language(name: str) -> str:
    """`name` where the names of its months are known; raises ValueError."""
    from babel import Locale, UnknownLocaleError

    try:
        Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        raise ValueError(f"{name!r} is no language such as de or fr") from None
    return name


def readable_formats(forms: tuple[str, ...]) -> tuple[str, ...]:
    """`forms` where Polars reads a day by each of them; raises ValueError."""
    import polars as pl

    for form in forms:
        tried = pl.Series(["x"]).str
        try:
            tried.to_datetime(form, strict=False) if has_clock(form) else tried.to_date(form, strict=False)
        except pl.exceptions.PolarsError:
            raise ValueError(f"{form!r} is no format that gives a day, such as %d.%m.%Y %H:%M") from None
    return forms


def polars_pattern(pattern: str) -> str:
    """`pattern` where Polars, which asks cells, can read it; raises ValueError."""
    import polars as pl

    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError:
        raise ValueError("no regular expression of the kind that Polars reads (no look-around)") from None
    return pattern


def _with_groups(*groups: str) -> Callable[[str | None], str | None]:
    def check(pattern: str | None) -> str | None:
        """`pattern` where Python, which asks headers and heads, can read it, and it has the groups."""
        if pattern is None:
            return None
        try:
            has = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        if not set(groups) <= set(has):
            raise ValueError(f"it needs the group{'s' if len(groups) > 1 else ''} {', '.join(groups)}")
        return pattern

    return check


def cell_pattern(pattern: str | None) -> str | None:
    """`pattern` where Polars can read it, and it has the group value; raises ValueError."""
    if pattern is not None and "(?P<value>" not in polars_pattern(pattern):
        raise ValueError("it needs the group value")
    return pattern


OurColumn = Annotated[str, AfterValidator(known_column)]
Timezone = Annotated[str | None, AfterValidator(known_timezone)]
Codec = Annotated[str | None, AfterValidator(known_codec)]
HeadPattern = Annotated[str | None, AfterValidator(_with_groups())]
UnitHeader = Annotated[str | None, AfterValidator(_with_groups("analyte", "unit"))]
AnalyteHeader = Annotated[str | None, AfterValidator(_with_groups("analyte"))]
CellPattern = Annotated[str | None, AfterValidator(cell_pattern)]
#: analyte id -> a limit of quantification
Limits = dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
