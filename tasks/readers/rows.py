"""From the fields of a table to our rows of text: long tables, wide tables, and what is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from schemas.export import TEXT_COLUMNS, Reading, as_rows
from schemas.layout import Layout
from tasks.readers.headers import key
from tasks.readers.table import Plan

#: rows of one batch at most
ROWS = 200_000
#: where an empty cell takes the constant of the layout: an empty unit cell means the usual unit,
#: while an empty value, time or id is information
FILLED = ("unit", "specimen")
WRONG_LENGTH = "wrong number of fields"


def fields(width: int) -> list[str]:
    """Names of the fields of a record: f0, f1, ..."""
    return [f"f{index}" for index in range(width)]


def behind(frame: pl.DataFrame, row: int) -> pl.DataFrame:
    """The records of `frame` (its `row` ascends) whose `row` is greater."""
    if not frame.height or frame["row"][0] > row:
        return frame
    return frame.slice(int((frame["row"] <= row).sum()))


def _empty(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars().fill_null("") == ""


def _all(frame: pl.DataFrame, test: Callable[[str], pl.Expr], columns: list[str]) -> pl.Series | None:
    """In which rows all columns pass the test; None: in none. The first column alone rules out nearly every row,
    so the others are asked only in the rows in which it passes."""
    mask = frame.select(test(columns[0]).fill_null(False)).to_series()
    if mask.any() and len(columns) > 1:
        some = frame.with_row_index("_at").filter(mask).filter(*map(test, columns[1:]))
        mask = pl.int_range(0, frame.height, eager=True).is_in(some["_at"].cast(pl.Int64).implode())
    return mask if mask.any() else None


def _set_aside(frame: pl.DataFrame, plan: Plan, layout: Layout, reading: Reading) -> pl.DataFrame:
    """`frame` without the records that are no data; each is counted in `reading` by its name."""
    columns = fields(len(plan.names))
    blank = _all(frame, _empty, [*columns, "raw"])
    if blank is not None:
        reading.skip("blank line", int(blank.sum()))
        frame = frame.filter(~blank)
    units = int(layout.wide is not None and layout.wide.unit_row)
    for last, name in (
        (plan.header - 1, "title line"),
        (plan.header, "header"),
        (plan.header + units, "unit row"),
    ):
        data = behind(frame, last)
        reading.skip(name, frame.height - data.height)
        frame = data
    named = {c: name for c, name in zip(columns, plan.names, strict=True) if name.strip()}
    again = _all(frame, lambda column: pl.col(column) == named[column], list(named))
    if again is None:
        return frame
    reading.skip("repeated header", int(again.sum()))
    return frame.filter(~again)


def _is_blank(text: pl.Expr, layout: Layout) -> pl.Expr:
    return text.str.strip_chars().fill_null("").is_in(["", *layout.blank])


def _joined(indexes: tuple[int, ...], layout: Layout) -> pl.Expr:
    """The text of one field as sent, or of several joined: a date and its time in two columns are one text; no
    more is made of them here."""
    parts = [pl.col(f"f{index}") for index in indexes]
    if len(parts) == 1:
        return parts[0]
    if layout.blank:
        blanks = [_is_blank(part, layout) & part.is_not_null() for part in parts]
        parts = [
            pl.when(empty).then(pl.lit("")).otherwise(part) for empty, part in zip(blanks, parts, strict=True)
        ]
    return pl.concat_str(parts, separator=" ").str.strip_chars()


def _column(ours: str, plan: Plan, layout: Layout) -> pl.Expr | None:
    """The text of one of our columns; None where neither the export nor the layout tells it."""
    constant = layout.constants.get(ours)
    if ours == "unit" and plan.value_unit is not None:
        constant = plan.value_unit
    if ours not in plan.columns:
        return None if constant is None else pl.lit(constant)
    text = _joined(plan.columns[ours], layout)
    if ours in plan.fallbacks:
        text = pl.when(_is_blank(text, layout)).then(_joined(plan.fallbacks[ours], layout)).otherwise(text)
    if ours in FILLED and constant is not None:
        return pl.when(text.str.strip_chars().fill_null("") == "").then(pl.lit(constant)).otherwise(text)
    return text


def in_parts(rows: pl.DataFrame, pattern: str) -> pl.DataFrame:
    """`rows` with value and unit of cells that hold both; a cell that the pattern does not fit stays as it is."""
    names = [name for name in ("unit", "before") if f"(?P<{name}>" in pattern]
    groups = pl.col("value").str.strip_chars().str.extract_groups(pattern)
    told = [groups.struct.field(name) for name in names]
    return rows.with_columns(
        value=pl.coalesce(groups.struct.field("value"), "value"), unit=pl.coalesce(*told, "unit")
    )


def _long(frame: pl.DataFrame, plan: Plan, layout: Layout, prefix: str) -> pl.DataFrame:
    """One result for each record."""
    texts = {ours: _column(ours, plan, layout) for ours in TEXT_COLUMNS}
    return as_rows(
        frame.select(
            pl.col("row"),
            pl.lit(prefix + "1").alias("item"),
            *(text.alias(ours) for ours, text in texts.items() if text is not None),
            *(pl.col(c) for c in ("raw", "defect")),
        )
    )


def _wide(
    frame: pl.DataFrame, plan: Plan, layout: Layout, reading: Reading, prefix: str, start: int
) -> pl.DataFrame:
    """One result for each filled analyte cell of each record, in the order of the source."""
    texts = {ours: _column(ours, plan, layout) for ours in TEXT_COLUMNS if ours != "value"}
    beside = any(cell.rel_sd is not None for cell in plan.cells)
    apart = ("unit", "analyte", "rel_sd") if beside else ("unit", "analyte")
    ids = [text.alias(ours) for ours, text in texts.items() if text is not None and ours not in apart]
    none = pl.lit(None, pl.String)
    other, what = (none if (text := texts[ours]) is None else text for ours in ("unit", "analyte"))
    wanted = [f"f{cell.index}" for cell in plan.cells]
    kept = ["row", *(column.meta.output_name() for column in ids)]
    defects = pl.col("defect").is_not_null()
    long = (
        frame.filter(~defects)
        .select("row", *ids, other.alias("_unit"), what.alias("_what"), *wanted)
        .unpivot(wanted, index=[*kept, "_unit", "_what"], variable_name="_f", value_name="value")
    )
    if beside:  # cell by cell in the same order
        sds = [
            (none if c.rel_sd is None else pl.col(f"f{c.rel_sd}")).alias(f"f{c.index}") for c in plan.cells
        ]
        long = long.with_columns(frame.filter(~defects).select(sds).unpivot(wanted)["value"].alias("rel_sd"))
    filled = long.filter(~_empty("value"))
    reading.skip("empty cell", long.height - filled.height)
    cells = pl.DataFrame(
        {
            "_f": wanted,
            "_at": [cell.index for cell in plan.cells],
            "item": [f"{prefix}{start + cell.index + 1}" for cell in plan.cells],
            "analyte": [cell.analyte for cell in plan.cells],
            "_told": [cell.unit for cell in plan.cells],
        },
        schema={"_f": pl.String, "_at": pl.Int64} | dict.fromkeys(("item", "analyte", "_told"), pl.String),
    )
    rows = filled.join(cells, on="_f", how="left").with_columns(
        unit=pl.coalesce("_told", "_unit"), analyte=pl.coalesce("analyte", "_what")
    )
    bad = frame.filter(defects).select("row", pl.lit(prefix + "record").alias("item"), *ids, "raw", "defect")
    out = pl.concat([rows, bad], how="diagonal").sort("row", "_at", maintain_order=True)
    return as_rows(out)


def _disagreeing(frame: pl.DataFrame, plan: Plan, headers: tuple[str, str]) -> int:
    """How many values differ from the second value of their record, in the same unit, by more than both are
    rounded."""
    keys = [key(name) for name in plan.names]
    second = tuple(keys.index(key(name)) if key(name) in keys else -1 for name in headers)
    if -1 in second or not {"value", "unit"} <= plan.columns.keys():
        return 0
    first = (plan.columns["value"][0], plan.columns["unit"][0])
    value, unit, again, its_unit = (pl.col(f"f{index}").str.strip_chars() for index in (*first, *second))
    apart = (value.cast(pl.Float64, strict=False) - again.cast(pl.Float64, strict=False)).abs()
    decimals = [text.str.extract(r"^[^.]*\.?(\d*)$").str.len_chars() for text in (value, again)]
    rounding = 0.5 * pl.lit(10.0).pow(-pl.min_horizontal(decimals).cast(pl.Float64))
    differs = (apart > rounding * (1 + 1e-6)) & (unit == its_unit)
    return int(frame.select(differs.fill_null(False).sum()).item())


def cut(
    frame: pl.DataFrame, plan: Plan, layout: Layout, reading: Reading, prefix: str = "", start: int = 0
) -> Iterator[pl.DataFrame]:
    """Our rows of one piece of a table, in frames of at most some `ROWS` rows.

    `frame`: `row` (1-based record of the source, ascending), `f0`, `f1`, ... (the fields, text), `raw`
    (the record as sent where it could not be cut; its fields are then null) and `defect`. What is set
    aside is counted in `reading` under its name. `prefix` goes before every `item`;
    `start` is the 0-based column of the source where `f0` stands.
    """
    frame = _set_aside(frame, plan, layout, reading)
    if layout.checked_by is not None:
        reading.disagreeing += _disagreeing(frame, plan, layout.checked_by)
    step = ROWS if layout.wide is None else max(1, ROWS // max(1, len(plan.cells)))
    for piece in frame.iter_slices(step):
        if layout.wide is None:
            yield _long(piece, plan, layout, prefix)
        else:
            rows = _wide(piece, plan, layout, reading, prefix, start)
            if rows.height:
                yield rows
