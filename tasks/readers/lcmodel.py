"""What the two tables of LCModel (brain MRS) have in common: a fitted metabolite is two results.

LCModel prints for each metabolite its concentration, the Cramér-Rao bound of it in percent (%SD), and its ratio
to a reference that the header names (`/Cr+PCr`). Both numbers are results of the same metabolite: item by item
the concentration in the unit that the layout says (institutional units unless the lab knows better), and the
ratio in the unit that the header prints. The bound belongs to the fit, so both carry it: 999 % was not fitted.

Formats: LCModel.f (public domain since 2021), subroutine FINOUT: concentration F8.3 or 1PE8.2, I4 and `%`,
ratio F8.3 or 1PE8.1, one character that is `+` or `-` where the ratio lies far from its prior expectation,
and the name.
"""

from __future__ import annotations

import polars as pl

from schemas.export import TEXT_COLUMNS, Reading, as_rows
from schemas.layout import Layout
from tasks.readers.headers import key

#: rows of one batch, about
BATCH = 50_000
CUT = "the file ends within the record"
#: what is added to a unit that is not the one it seems: nobody knows it, so the ratios are quarantined
SCALED = "scaled by CONREL"
UNPROVEN = "without a line of its own"
#: what the table itself holds; a layout's [columns] have no say in it
_OWN = frozenset({"analyte", "value", "rel_sd"})


def number(text: str) -> float | None:
    """A number as Fortran prints it; None where there is none."""
    try:
        return float(text.upper().replace("D", "E"))
    except ValueError:
        return None


def reference_of(name: str, own: str | None, conrel: bool = False) -> str:
    """The reference of a table's ratios, as their unit names it.

    `own`: the ratio that the reference prints of itself; None: the table has no line of it. Where CONREL was set,
    all ratios are that many times larger, and the header does not say so: only the reference's own line does.
    """
    if own is None:
        return f"{name} {UNPROVEN}"
    itself = number(own)
    is_one = itself is not None and abs(itself - 1) <= 0.002
    return name if is_one and not conrel else f"{name} {SCALED}"


class Rows:
    """The rows found since the last frame, and what each voxel or file adds to them."""

    def __init__(self, layout: Layout, reading: Reading) -> None:
        self.layout, self.reading = layout, reading
        self._rows: list[dict[str, object]] = []
        self._met: dict[str, None] = {}
        self._used: set[str] = set()

    @property
    def full(self) -> bool:
        """Whether it is time for a frame."""
        return len(self._rows) >= BATCH

    def known(self, facts: dict[str, str]) -> dict[str, object]:
        """The columns that all results of a voxel share, from what the file says of it: name -> text.

        A layout's alias `A + B` is two texts, joined by a space.
        """
        self._met |= dict.fromkeys(facts)
        named = {key(name): name for name in reversed(facts)}
        out: dict[str, object] = dict(self.layout.constants)
        for ours, aliases in self.layout.columns.items():
            if ours in _OWN:
                continue
            for alias in aliases:
                parts = [named.get(key(part)) for part in alias.split(" + ")]
                texts = [facts[part].strip() for part in parts if part is not None]
                if len(texts) == len(parts):
                    if any(texts):
                        out[ours] = " ".join(texts).strip()
                    self.reading.columns_used[ours] = alias
                    self._used.update(part for part in parts if part is not None)
                    break
        return out

    def fit(
        self, row: int, items: tuple[str, str], name: str, conc: str, sd: str, ratio: str, reference: str,
        known: dict[str, object], comment: str | None = None, cut: bool = False,
    ) -> None:  # fmt: skip
        """The two results of one metabolite; an empty cell is skipped by its name. `cut`: the file ends within
        the ratio, or may."""
        shared = known | {"row": row, "analyte": name, "rel_sd": sd or None}
        if comment:
            shared["comment"] = comment
        for item, value, unit in ((items[0], conc, None), (items[1], ratio, f"/{reference}")):
            if value and cut and item == items[1]:
                self.broken(row, value, CUT, item)
            elif value:
                self._rows.append(shared | {"item": item, "value": value} | ({"unit": unit} if unit else {}))
            else:
                self.reading.skip("empty cell")

    def broken(self, row: int, raw: str, defect: str, item: str = "record") -> None:
        """A record, or a cell of one, that cannot be trusted."""
        self._rows.append({"row": row, "item": item, "raw": raw, "defect": defect})

    def frame(self) -> pl.DataFrame:
        """The rows found since the last call."""
        rows, self._rows = self._rows, []
        schema = {"row": pl.Int64} | dict.fromkeys(("item", *TEXT_COLUMNS), pl.String)
        return as_rows(pl.DataFrame(rows, schema=schema, orient="row"))

    def finish(self) -> None:
        """Say what was read of the file's own texts, and what not."""
        self.reading.columns_unused = [name for name in self._met if name not in self._used]
