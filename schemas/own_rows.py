"""The rows that a lab's own catalogue files add: complete, and held to their contracts."""

from __future__ import annotations

import csv
from collections.abc import Mapping

import polars as pl
from pandera.errors import SchemaErrors

from schemas.catalogue import read_rows
from schemas.catalogue_rows import CatalogueError, Row
from schemas.contracts import CONTRACTS, WHOLE_ROW_RULE, columns_of
from schemas.outputs import COLUMNS_OF_SAMPLES


def check_rows(name: str, rows: list[Row]) -> None:
    """Hold `rows` of the file `name` to its contract; CatalogueError says which row, column and why."""
    model = CONTRACTS[name][0]
    frame = pl.DataFrame([row.values for row in rows], schema=dict.fromkeys(columns_of(name), pl.String))
    problem = None
    try:
        model.validate(frame, lazy=True)
    except SchemaErrors as errors:
        problem = errors.failure_cases.sort("index", nulls_last=True).row(0, named=True)
    if problem is not None:
        where = rows[problem["index"]].origin if problem["index"] is not None else name
        field = model.to_schema().columns.get(problem["column"] or "")
        mend = f"{problem['column']} must be: {field.description}" if field else f"it {WHOLE_ROW_RULE}"
        raise CatalogueError(f"{where}: {mend}; the built-in {name} shows how")


def checked_rows(added: Mapping[str, bytes], built_in: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """The rows that a lab's own files add, complete and held to their contracts.

    `added` is file name -> content, `built_in` the rows of the built-in files. Columns that are not
    essential may be left out. Raises CatalogueError naming file, row and mend.
    """
    out = {}
    for name, content in added.items():
        if name not in CONTRACTS:
            raise CatalogueError(f"{name}: there is no such catalogue file; there are {', '.join(CONTRACTS)}")
        try:
            rows = read_rows(name, content)
        except UnicodeDecodeError:
            raise CatalogueError(f"{name}: not UTF-8; save it as CSV in UTF-8") from None
        except csv.Error as error:
            raise CatalogueError(f"{name}: no CSV: {error}; save it as CSV in UTF-8") from None
        essential, columns = CONTRACTS[name][1], columns_of(name)
        complete = []
        for row in rows:
            _refuse_wrong_columns(row, essential, columns)
            values = {column: (row.values.get(column) or "").strip() for column in columns}
            complete.append(Row(row.origin, values))
        if complete:
            check_rows(name, complete)
            out[name] = complete
    _refuse_redefined_units(out, built_in)
    for row in out.get("metrics.csv", ()):
        if row.values["id"] in COLUMNS_OF_SAMPLES:
            raise CatalogueError(f"{row.origin}: {row.values['id']} is a column of panels; choose another id")
    return out


def _refuse_wrong_columns(row: Row, essential: tuple[str, ...], columns: list[str]) -> None:
    for found in row.values:
        if found not in columns:  # the csv module calls surplus fields None
            what = "more fields than headers" if found is None else f"a column {found!r} that is not known"
            raise CatalogueError(f"{row.origin}: {what}; the columns are {', '.join(columns)}")
    for needed in essential:
        if row.values.get(needed) is None:
            raise CatalogueError(f"{row.origin}: no {needed}; needed are {', '.join(essential)}")


_UNIT_KEYS = {
    "unit_amounts.csv": ("ucum",),
    "unit_denominators.csv": ("unit", "annotation"),
    "unit_spellings.csv": ("part", "text"),
}


def _refuse_redefined_units(own: Mapping[str, list[Row]], built_in: Mapping[str, list[Row]]) -> None:
    """A unit that meant something else in one lab would change numbers without a word."""
    for name, keys in _UNIT_KEYS.items():
        known = {tuple(row.values[key] for key in keys): row.values for row in built_in[name]}
        for row in own.get(name, ()):
            key = tuple(row.values[column] for column in keys)
            if known.setdefault(key, row.values) != row.values:
                raise CatalogueError(
                    f"{row.origin}: {key[-1]!r} exists already; say it in the layout, under [units]"
                )
