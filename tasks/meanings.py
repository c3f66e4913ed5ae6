"""What the texts of a row mean: which analyte or ratio, in which specimen and unit, with which status and role. Pure
Polars.

Each distinct combination of texts is resolved once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from schemas.catalogue import Catalogue
from schemas.layout import Layout
from schemas.result import ROLES, STATUSES
from schemas.units import as_comparable
from tasks.codes import by_text, coded_frame, combinations, taken
from tasks.numbers import NumberStyle

#: bases that results of any specimen may have
_ANYWHERE = ("amount", "response")


@dataclass
class Context:
    """What the exports are read with whose rows are standardised together."""

    reading_hash: str
    layout: Layout
    catalogue: Catalogue
    timezone: str | None = None
    style: NumberStyle | None = None
    _seen: dict[tuple, dict] = field(default_factory=dict)

    def look_up(self, analyte: str | None, code: str | None, unit: str | None, specimen: str | None) -> dict:
        """What the four texts mean together; resolved once per distinct combination."""
        key = (analyte, code, unit, specimen)
        if key not in self._seen:
            self._seen[key] = _resolve(self, *key)
        return self._seen[key]


_LOOKUP = {
    "id": pl.String,
    "is_ratio": pl.Boolean,
    "specimen_id": pl.String,
    "factor": pl.Float64,
    "unit_id": pl.String,
    "basis": pl.String,
    "analyte_problem": pl.String,
    "specimen_problem": pl.String,
    "unit_problem": pl.String,
    "hint": pl.String,
}


def _resolve(
    context: Context, analyte: str | None, code: str | None, unit: str | None, specimen: str | None
) -> dict:
    catalogue, layout = context.catalogue, context.layout
    out: dict = dict.fromkeys(_LOOKUP)
    where = catalogue.resolve_specimen(specimen, layout)
    what = catalogue.resolve_analyte(analyte, code, layout, where)
    said = what.specimen_from_code or what.specimen_from_text
    if where is None and (specimen or "").strip():
        out["specimen_problem"] = "unknown specimen"
    elif where is None and said is None:
        out["specimen_problem"] = "no specimen"
    elif where is not None and said is not None and not _same_matrix(catalogue, where, said):
        out["specimen_problem"] = "specimen and code disagree"
    elif where is None:
        where = said
        what = catalogue.resolve_analyte(analyte, code, layout, where)
    out["id"], out["is_ratio"], out["specimen_id"] = what.id, what.kind == "metric", where
    if what.problem:
        out["analyte_problem"], _, out["hint"] = (part or None for part in what.problem.partition(": "))
    if what.id is not None:
        resolve = _resolve_ratio_unit if out["is_ratio"] else _resolve_unit
        resolve(out, context, unit)
    return out


def _same_matrix(catalogue: Catalogue, one: str, other: str) -> bool:
    """Whether a stated specimen can be what a code or name says: labs put 24 h codes on random urine."""
    return catalogue.specimens[one].matrix == catalogue.specimens[other].matrix


def _resolve_ratio_unit(out: dict, context: Context, unit: str | None) -> None:
    factor = context.catalogue.reported_factor(out["id"], unit, context.layout)
    if factor is None:
        out["unit_problem"] = "unit cannot be converted" if (unit or "").strip() else "no unit"
    else:
        out["factor"], out["unit_id"], out["basis"] = (
            factor,
            context.catalogue.metrics[out["id"]].unit,
            "ratio",
        )


def _resolve_unit(out: dict, context: Context, unit: str | None) -> None:
    catalogue = context.catalogue
    if not (unit or "").strip() and catalogue.analytes[out["id"]].measured_as != "number":
        out["unit_problem"] = "no unit"
        return
    found, out["unit_problem"] = catalogue.resolve_unit(unit, context.layout)
    if found is None:
        return
    if context.layout.comparable_response:
        found = as_comparable(found)
    converted = catalogue.conversion(out["id"], found)
    where = out["specimen_id"]
    if converted is None:
        out["unit_problem"] = "unit cannot be converted"
    elif where is not None and found.basis not in (*catalogue.specimens[where].bases, *_ANYWHERE):
        out["unit_problem"] = "unit does not fit the specimen"
    else:
        (out["factor"], out["unit_id"]), out["basis"] = converted, found.basis


def looked_up(rows: pl.DataFrame, context: Context) -> pl.DataFrame:
    """`rows` with what their analyte, code, unit and specimen mean together: the columns of `_LOOKUP`."""
    distinct, at = combinations(rows.select("analyte", "code", "unit", "specimen"))
    found = pl.DataFrame([context.look_up(*key) for key in distinct.rows()], schema=_LOOKUP)
    texts = [name for name, dtype in _LOOKUP.items() if dtype == pl.String]
    return rows.hstack(taken(coded_frame(found, *texts), at))


def statuses_and_roles(rows: pl.DataFrame, context: Context) -> pl.DataFrame:
    """`rows` with `status_id` and `role_id`. An absent status is final and an absent role is sample; what a text
    that is not known means is null."""

    def meant(column: str, of: Callable[[str], str | None], names: tuple[str, ...], absent: str) -> pl.Series:
        def known(texts: pl.Series) -> pl.Series:
            return pl.Series([of(text) if text else absent for text in texts], dtype=pl.Enum(names))

        return by_text(rows[column], known, absent)

    rows = rows.with_columns(
        by_text(rows[name], lambda texts: texts.str.strip_chars()) for name in ("status", "role")
    )
    role = meant("role", context.catalogue.role, ROLES, "sample")
    for rule in reversed(context.layout.roles):
        applies = by_text(rows[rule.column], partial(_matches, rule.matches)).fill_null(False)
        role = role.zip_with(~applies, pl.Series([rule.role], dtype=role.dtype))
    status = meant("status", context.catalogue.status, STATUSES, "final")
    return rows.with_columns(role.alias("role_id"), status.alias("status_id"))


def _matches(pattern: str, texts: pl.Series) -> pl.Series:
    return texts.str.contains(f"(?i){pattern}")
