"""Values as labs write them, as intervals: pure Polars.

`12.3` is 12.3..12.3, `<0.5` is 0..0.5, `>500` is 500..infinity; not detected without a known
limit is 0..infinity (nothing is known but that it is not negative). Nothing is substituted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import polars as pl

from schemas.layout import Layout
from tasks.codes import by_text, numbers_of, taken

NumberStyle = Literal["point", "comma", "mixed", "unproven", "fixed-point", "fixed-comma"]

_COMPARATOR = r"^(<=|=<|>=|=>|[<>≤≥⩽⩾=])\s*"
_COMPARES = list("<>≤≥⩽⩾=")
_LESS, _MORE = "^(?:=?<|[≤⩽])", "^(?:=?>|[≥⩾])"
# A mark with other than three digits after it, or after a leading zero, can only be decimal.
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_SURELY = r"^[+-]?(?:\d+{d}(?:\d{{1,2}}|\d{{4,}}){e}|0+{d}\d+{e}|\d{{4,}}{d}\d+{e}|\d{{1,3}}(?:{t}\d{{3}})+{d}\d+|\d*{d}\d+[eE][+-]?\d+)$"
SURELY_POINT = _SURELY.format(d=r"\.", t=",", e=_EXPONENT)
SURELY_COMMA = _SURELY.format(d=",", t=r"\.", e=_EXPONENT)
_GROUPED = r"^[+-]?[1-9]\d{{0,2}}(?:{t}\d{{3}})+{end}$"

_CORE = pl.col("value").str.strip_chars().str.replace(_COMPARATOR, "")
_PROOFS = [_CORE.str.contains(sure).any().alias(sure) for sure in (SURELY_POINT, SURELY_COMMA)]


def number_style(values: pl.Series, layout: Layout) -> NumberStyle:
    """Which decimal mark the values prove, unless the layout says it.

    Evidence is a text that can be read in one way only: `12,5` proves a comma, `1,234.5` a point;
    `1,234` proves nothing.
    """
    if layout.values.decimal != "auto":
        return "fixed-comma" if layout.values.decimal == "," else "fixed-point"
    if layout.values.thousands in (",", "."):
        return "fixed-point" if layout.values.thousands == "," else "fixed-comma"
    point, comma = values.to_frame("value").select(*_PROOFS).row(0)
    return "mixed" if point and comma else "comma" if comma else "point" if point else "unproven"


def _changed(texts: pl.Series, where: pl.Series, change: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """`texts`, changed where `where` is true: what is dear is asked of few texts only."""
    if not where.any():
        return texts
    some = texts.filter(where).to_frame().select(change(pl.col(texts.name))).to_series()
    return texts.clone().scatter(where.arg_true(), some)


def _plain(core: pl.Series, style: NumberStyle, thousands: str) -> pl.Series:
    """The number texts with a decimal point and no thousands marks; null where it is not clear.

    A text without any mark that has to be thought about is clear, and so are nearly all.
    """
    points = "." if style in ("comma", "mixed", "fixed-comma") else ""
    blanks = "'’ \u00a0\u2009\u202f" if thousands else ""
    doubtful = core.str.contains_any([",", *thousands, *points, *blanks])
    return _changed(core, doubtful, lambda text: _weighed(text, style, thousands))


def _weighed(core: pl.Expr, style: NumberStyle, thousands: str) -> pl.Expr:
    if thousands:
        t = {".": r"\.", "'": "['’]", ",": ",", " ": r"[ \u00a0\u2009\u202f]"}[thousands]
        d = {"fixed-point": r"\.", "fixed-comma": ","}.get(style, "[.,]")
        grouped = core.str.contains(_GROUPED.format(t=t, end=rf"(?:{d}\d+)?"))
        core = pl.when(grouped).then(core.str.replace_all(t, "")).otherwise(core)
    if style == "fixed-point":
        return core
    if style == "fixed-comma":
        return pl.when(~core.str.contains(".", literal=True)).then(core.str.replace(",", ".", literal=True))
    point, comma = core.str.contains(SURELY_POINT), core.str.contains(SURELY_COMMA)
    as_point = core.str.replace_all(",", "", literal=True)
    as_comma = core.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    has_comma, has_point = core.str.contains(",", literal=True), core.str.contains(".", literal=True)
    groups_of_commas = core.str.contains(_GROUPED.format(t=",", end=""))
    groups_of_points = core.str.contains(_GROUPED.format(t=r"\.", end=""))
    clear = pl.when(point).then(as_point).when(comma).then(as_comma).when(~has_comma & ~has_point).then(core)
    if style == "point":  # the file proves the point, so a comma can only stand between thousands
        return clear.when(~has_comma).then(core).when(groups_of_commas).then(as_point)
    if style == "comma":
        return clear.when(has_comma & ~has_point).then(as_comma).when(groups_of_points).then(as_comma)
    if style == "unproven":  # without evidence a point is decimal, as ISO and every instrument writes it
        return clear.when(~has_comma).then(core)
    return clear


def _numbers(plain: pl.Series) -> pl.Series:
    """The numbers of texts with a decimal point; null where unreadable or not finite."""
    numbers = plain.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)


def read_number(texts: pl.Series, style: NumberStyle, thousands: str = "") -> pl.Series:
    """Numbers of a column of plain numbers; null where there is none."""
    if texts.null_count() == len(texts):
        return pl.Series(texts.name, [None], pl.Float64).new_from_index(0, len(texts))
    return _numbers(_plain(texts.str.strip_chars(), style, thousands))


def _tokens(names: tuple[str, ...]) -> list[str]:
    return [name.strip().lower() for name in names]


#: a text that means the same in every style but those of a comma
_PLAIN = r"^[0-9]+(?:\.[0-9]+)?$"
CENSORING = pl.Enum(["above", "below", "none", "not detected"])
#: what `_thought_about` needs of a row
_ASKED = ("value", "dilution", "lloq", "uloq", "id")
_PROBLEMS = pl.Enum(["ambiguous number", "no value", "unreadable value"])


def read_value(frame: pl.DataFrame, layout: Layout, style: NumberStyle) -> pl.DataFrame:
    """`frame` with `low`, `high` and `rounding` in the unit as sent, `censoring`, `dilution`, `number_problem`.

    rounding: half a unit in the last place printed (null for tokens and exponents).
    censoring: `none`, `below`, `above`, `not detected`; null where there is no readable value.
    number_problem: `no value`, `unreadable value`, `ambiguous number`, or null.
    Limits that the layout names are undiluted and are multiplied by the dilution; a limit that is not
    above zero, or whose dilution cannot be read, is not known.
    """
    # nearly every value is digits and a point, and only the others have to be thought about
    text = frame["value"]
    number = text.cast(pl.Float64, strict=False)
    plain = _is_plain(text, number, layout, style)
    others = _thought_about(frame.select(_ASKED).filter(~plain), layout, style)
    others = taken(others, pl.select(pl.when(~plain).then((~plain).cum_sum() - 1)).to_series())
    dilution = partial(read_number, style=style, thousands=layout.values.thousands)
    return frame.with_columns(
        number.zip_with(plain, others["low"]).alias("low"),
        number.zip_with(plain, others["high"]).alias("high"),
        _rounding_of(text).zip_with(plain, others["rounding"]).alias("rounding"),
        pl.Series("censoring", ["none"], CENSORING).zip_with(plain, others["censoring"]),
        others["number_problem"],
        by_text(frame["dilution"], dilution),
    )


def _is_plain(text: pl.Series, number: pl.Series, layout: Layout, style: NumberStyle) -> pl.Series:
    """Which texts are the number that they look like, whatever else the layout says."""
    rules = layout.values
    if style not in ("point", "unproven", "fixed-point") or rules.thousands == ".":
        return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(text))
    plain = text.str.contains(_PLAIN) & number.is_finite()
    if rules.zero_is_not_detected:
        plain &= number != 0
    tokens = _tokens((*rules.below, *rules.above, *rules.missing, *rules.not_detected))
    if any(token[0].isdigit() for token in tokens if token):
        plain &= ~text.is_in(tokens)
    return plain.fill_null(False)


def _rounding_of(plain: pl.Series) -> pl.Series:
    """Half a unit in the last place of numbers with a decimal point; what it gives for other texts is void."""
    decimals = (
        plain.str.len_bytes().cast(pl.Int64) - plain.str.find(".", literal=True).cast(pl.Int64) - 1
    ).fill_null(0)
    if not len(decimals):
        return decimals.cast(pl.Float64)
    most = int(decimals.max())  # type: ignore[arg-type]
    halves = pl.select(0.5 * pl.lit(10.0).pow(-pl.int_range(most + 1).cast(pl.Float64))).to_series()
    return halves.gather(decimals)


def _thought_about(frame: pl.DataFrame, layout: Layout, style: NumberStyle) -> pl.DataFrame:
    """low, high, rounding, censoring and number_problem of values of any kind, as `read_value` gives them."""
    rules = layout.values
    text = frame["value"].str.strip_chars().fill_null("")
    compared = text.str.contains_any(_COMPARES)
    bare = _changed(text, compared, lambda t: t.str.replace(_COMPARATOR, ""))
    folded = text.str.to_lowercase()
    folded = _changed(folded, compared, lambda t: t.str.replace(r"^([<>]=?)\s+", "${1}"))  # `< LLOQ`
    below, above, missing = (
        folded.is_in(_tokens(names)) for names in (rules.below, rules.above, rules.missing)
    )
    absent = folded.is_in(_tokens(rules.not_detected))
    less, more = text.str.contains(_LESS), text.str.contains(_MORE)
    core = bare.set(below | above | missing | absent, None)
    plain = _plain(core, style, rules.thousands)
    numbers = partial(read_number, style=style, thousands=rules.thousands)
    frame = frame.with_columns(
        core.alias("_core"),
        plain.alias("_plain"),
        _numbers(plain).alias("_number"),
        pl.when(below).then(pl.lit("below")).when(above).then(pl.lit("above")).when(absent).then(pl.lit("not detected"))
        .when(less).then(pl.lit("below")).when(more).then(pl.lit("above")).otherwise(pl.lit("none")).alias("censoring"),
        missing.alias("_missing"),
        (below | absent).alias("_low_token"),
        above.alias("_high_token"),
        by_text(frame["dilution"], lambda texts: texts.str.strip_chars() != "", False).alias("_diluted"),
        *(by_text(frame[name], numbers) for name in ("dilution", "lloq", "uloq")),
    )  # fmt: skip
    times_dilution = pl.when("_diluted").then(pl.col("dilution")).otherwise(1.0)

    def limit(column: str, named: dict[str, float]) -> pl.Expr:
        known = pl.col(column)
        if named:
            undiluted = by_text(frame["id"], partial(numbers_of, named, pl.Float64))
            known = pl.coalesce(known, undiluted * times_dilution)
        return pl.when(known > 0).then(known)

    frame = frame.with_columns(
        pl.when("_low_token").then(limit("lloq", rules.lloq)).when("_high_token").then(limit("uloq", rules.uloq))
        .otherwise("_number").alias("_number")
    )  # fmt: skip
    n, kind = pl.col("_number"), pl.col("censoring")
    if rules.zero_is_not_detected:
        zero = (kind == "none") & (n == 0)
        frame = frame.with_columns(pl.when(zero).then(pl.lit("not detected")).otherwise(kind).alias("censoring"),
                                   pl.when(zero).then(limit("lloq", rules.lloq)).otherwise(n).alias("_number"))  # fmt: skip
    infinite = float("inf")
    token = pl.col("_low_token") | pl.col("_high_token") | (kind == "not detected")
    unclear = n.is_null() & ~token & ~pl.col("_missing")
    ambiguous = unclear & pl.col("_core").str.contains(r"^[+-]?\d{1,3}(?:[.,]\d{3})+$")
    decimals = (
        pl.col("_plain").str.len_bytes().cast(pl.Float64) - pl.col("_plain").str.find(".", literal=True) - 1
    )
    frame = frame.with_columns(
        pl.when("_missing").then(pl.lit("no value")).when(ambiguous).then(pl.lit("ambiguous number"))
        .when(unclear).then(pl.lit("unreadable value")).alias("number_problem"),
        # a comparator with a limit that nobody states leaves 0..infinity
        pl.when((kind == "none") | (kind == "above")).then(n.fill_null(pl.when(token).then(0.0)))
        .when(n < 0).then(n).otherwise(0.0).alias("low"),
        pl.when(kind == "none").then(n).when(kind == "above").then(infinite)
        .otherwise(n.fill_null(pl.when(token).then(infinite))).alias("high"),
        pl.when(~pl.col("_plain").str.contains_any(["e", "E"]))
        .then(0.5 * pl.lit(10.0).pow(-decimals.fill_null(0.0))).alias("rounding"),
    )  # fmt: skip
    bad = pl.col("number_problem").is_not_null()
    return frame.select(
        *(pl.when(~bad).then(name).alias(name) for name in ("low", "high", "rounding")),
        pl.when(~bad).then("censoring").cast(CENSORING).alias("censoring"),
        pl.col("number_problem").cast(_PROBLEMS),
    )
